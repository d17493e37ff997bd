"""What a finished run did not export: its adapter as a GGUF file, further quantizations."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltf_lite.core.errors import UsageError
from ltf_lite.core.files import read_as, whole, write_as
from ltf_lite.core.progress import bar, say
from ltf_lite.export.gguf.divergence import divergence
from ltf_lite.export.gguf.lora import write_lora
from ltf_lite.export.gguf.quantize import KINDS, tensor_types
from ltf_lite.export.gguf.types import FileFacts, Parity, judged
from ltf_lite.pipeline.common import set_threads
from ltf_lite.pipeline.exported import adapter_of, files_of, finished
from ltf_lite.pipeline.graph import stage_of
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.run.lock import locked
from ltf_lite.pipeline.stages import export as stage
from ltf_lite.pipeline.stages.report import costed
from ltf_lite.report.page import write as write_report


def export(folder: Path, kinds: Sequence[str] = (), adapter: bool = False) -> None:
    """Write what is not there of the adapter's file and of these kinds of quantized files.

    A quantized file is measured as those of the run are: success on the test problems, divergence
    from f16. Card and report tell of it, and `ltf train` has nothing to do again. Raises RunError,
    ExportError, and UsageError for an unknown kind, before anything is written.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UsageError(f"cannot quantize to {unknown[0]!r} (known: {', '.join(KINDS)})")
    # On import, bitsandbytes asks for a pack of CPU kernels that nothing here needs.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    finished(folder)  # before it is locked, which writes
    with locked(folder):
        run = finished(folder)
        run.check("export")
        set_threads(run)
        there = read_as(run.at.parity, Parity).success.keys() & files_of(run).keys()
        new = [kind for kind in dict.fromkeys(kinds) if kind not in there]
        wanted = adapter and not adapter_of(run).is_file()
        if wanted:
            write_lora(run.at.model, run.at.adapter, adapter_of(run), run.preset.name)
        if wanted or new:
            _describe(run, _measured(run, new), new)


def _measured(run: Run, kinds: Sequence[str]) -> Parity:
    """Quantize, and measure what became of it; the record of the run's other files stays."""
    parity = read_as(run.at.parity, Parity)
    success, far, facts = dict(parity.success), dict(parity.divergence), dict(parity.files)
    f16, paths = files_of(run)["f16"], stage.paths_of(run) if kinds else []
    with bar("export", 2 * len(kinds)) as advance:
        for kind in kinds:
            file = f16.with_name(f"{run.preset.name}.{kind}.gguf")
            advance(0, file.name)
            with whole(file) as half:
                stage.quantized(f16, half, kind)
            success[kind] = stage.success_of(run, kind, file, advance)
            advance(1, f"{kind} against f16")
            far[kind] = divergence(f16, file, paths)
            facts[kind] = FileFacts(os.path.getsize(file), tensor_types(file))
            advance(1, file.name)
    points = run.preset.export.success_points
    return judged(parity.tokens, parity.greedy, success, far, facts, points)


def _describe(run: Run, found: Parity, new: Sequence[str]) -> None:
    """Have card, report and manifest tell of what is new."""
    write_as(run.at.parity, found)
    files = files_of(run)
    stage.describe(run, {kind: files[kind] for kind in found.files}, found)
    for each in found.coarse:
        if any(f" {kind} " in each for kind in new):
            say(f"  BELOW ITS FLOOR: {each}")
    run.record(stage_of("export"))
    report = stage_of("report")
    entry = run.entry(report.name)
    if entry.status == "done":
        write_report(run.at, costed(run), run.preset)
        wanted = run.input_hash(report.parts, report.upstream)
        run.stages[report.name] = replace(entry, input=wanted)
        run.record(report)
    run.save()

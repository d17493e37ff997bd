"""Write the GGUF files, and prove that they answer like the model that was tuned.

A run whose parity fails is a failed run; parity.json says by how much either way.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltf_lite.engines import open_engine
from ltf_lite.engines.llamacpp import LlamaCppEngine
from ltf_lite.engines.torch_engine import read_style
from ltf_lite.export import (
    ExportError,
    bits_that_fit,
    divergence,
    greedy_parity,
    model_card,
    modelfile,
    quantize,
    tensor_types,
    token_parity,
    write_gguf,
)
from ltf_lite.files import read_json, write_json, write_text
from ltf_lite.harvest import read
from ltf_lite.pipeline.common import problems_of, seed_of, set_threads, task_of
from ltf_lite.pipeline.run import Run
from ltf_lite.pipeline.stages.evaluate import evaluate, record_file
from ltf_lite.presets import ReasonerSection
from ltf_lite.progress import bar

TEXTS = 2000  # of the harvest, whose tokens are compared
PATHS = 100  # of the harvest, on which quantized files are held against f16


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    folder = run.folder / "gguf"
    folder.mkdir(exist_ok=True)
    kinds = run.preset.export.quantizations
    with bar("export", 4 + 2 * len(kinds)) as advance:
        files = _write(run, folder, advance)
        f16 = files["f16"]
        parity: dict[str, Any] = {"tokens": _tokens(run, f16)}
        advance(1, "tokenizer")
        parity["greedy"] = _greedy(run, f16)
        advance(1, "greedy answers")
        parity["success"] = {kind: _success(run, kind, files[kind]) for kind in kinds}
        advance(1, "success")
        parity["divergence"], paths = {}, _paths(run) if kinds else []
        for kind in kinds:
            parity["divergence"][kind] = divergence(f16, files[kind], paths)
            advance(1, f"{kind} against f16")
    parity["files"] = {
        kind: {"bytes": os.path.getsize(file), "types": tensor_types(file)}
        for kind, file in files.items()
    }
    failures = _failures(run, parity)
    write_json(folder / "parity.json", {**parity, "passed": not failures, "failures": failures})
    _describe(run, folder, files, parity)
    if failures:
        raise ExportError(f"parity failed: {'; '.join(failures)} (see {folder / 'parity.json'})")
    return {"bytes": {kind: file["bytes"] for kind, file in parity["files"].items()}}


def _write(run: Run, folder: Path, advance: Callable[[int, str], None]) -> dict[str, Path]:
    """The files by kind, f16 first; one that is already there is whole."""
    name, kinds = run.preset.name, run.preset.export.quantizations
    files = {kind: folder / f"{name}.{kind}.gguf" for kind in ("f16", *kinds)}
    f16 = files["f16"]
    if not f16.is_file():
        write_gguf(run.folder / "model", f16, "f16", name, {"ltf.task": run.preset.task.name})
    advance(1, f16.name)
    for kind in kinds:
        if not files[kind].is_file():
            quantize(f16, files[kind], kind)
        advance(1, files[kind].name)
    return files


def _describe(run: Run, folder: Path, files: dict[str, Path], parity: dict[str, Any]) -> None:
    """The model card and the Modelfile, from the run's own records."""
    task, style = task_of(run), read_style(run.folder / "model")
    records = {
        model: read_json(record_file(run.folder / "evaluation" / model, model, _section(run)))
        for model in ("base", "tuned")
    }
    rates = {model: record["rates"]["greedy"] for model, record in records.items()}
    answer = records["tuned"]["paths"][0]
    problem = task.problem(answer["problem"])
    names, stop = [file.name for file in files.values()], task.stop(style)
    searched = [section.label for section in run.preset.search]
    card = model_card(
        run.manifest["preset"],
        read_json(run.folder / "tuning" / "run.json")["settings"]["method"],
        searched,
        names,
        task.prompt(problem, style),
        stop,
        answer,
        parity,
        rates,
    )
    write_text(folder / "README.md", card)
    write_text(folder / "Modelfile", modelfile(names[-1], stop, task.room(problem, style)))


def _tokens(run: Run, f16: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer

    rows = itertools.islice(read(run.folder / "harvest"), TEXTS)
    texts = [text for row in rows for text in (row["prompt"], row["text"])]
    engine = LlamaCppEngine(f16)
    try:
        return token_parity(AutoTokenizer.from_pretrained(run.folder / "model"), engine, texts)
    finally:
        engine.close()


def _paths(run: Run) -> list[tuple[str, str]]:
    """Prompt and text of some paths, drawn from the whole harvest, one in memory for each."""
    rng = random.Random(seed_of(run.preset.seed, "divergence"))
    drawn: list[tuple[str, str]] = []
    for n, row in enumerate(read(run.folder / "harvest")):
        at = n if n < PATHS else rng.randrange(n + 1)
        if at < PATHS:
            drawn[at : at + 1] = [(row["prompt"], row["text"])]
    return drawn


def _greedy(run: Run, f16: Path) -> dict[str, Any]:
    """Token for token against transformers, in 32 bits throughout if the memory allows it."""
    model, task = run.folder / "model", task_of(run)
    problems = problems_of(run, "test")[: run.preset.export.greedy_problems]
    prompts = [task.prompt(problem, read_style(model)) for problem in problems]
    room = _section(run).settings().get("max_tokens") or 64
    bits = bits_that_fit(model)
    if bits == 16:
        return greedy_parity(model, f16, prompts, room, bits)
    f32 = f16.with_name(".parity.f32.gguf")
    try:
        write_gguf(model, f32, "f32", run.preset.name)
        return greedy_parity(model, f32, prompts, room, bits)
    finally:
        f32.unlink(missing_ok=True)


def _section(run: Run) -> ReasonerSection:
    """The preset's single pass; the schema holds that there is one."""
    return next(s for s in run.preset.evaluation if s.single_pass)


def _success(run: Run, kind: str, file: Path) -> dict[str, Any]:
    """Single pass of the quantized file on the test set, beside the torch model's."""
    engine = open_engine(file)
    try:
        found = evaluate(run, engine, f"tuned {kind}", _section(run), run.folder / "gguf")
    finally:
        engine.close()
    reference = read_json(record_file(run.folder / "evaluation" / "tuned", "tuned", _section(run)))
    rate, wanted = found["rates"]["greedy"], reference["rates"]["greedy"]["rate"]
    return {**rate, "torch": wanted, "points": 100 * (rate["rate"] - wanted)}


def _failures(run: Run, parity: dict[str, Any]) -> list[str]:
    tokens, greedy = parity["tokens"], parity["greedy"]
    failures = []
    if tokens["mismatches"]:
        failures.append(f"{tokens['mismatches']} of {tokens['n']} texts get other tokens")
    if differing := greedy["n"] - greedy["equal"] - greedy["ties"]:
        failures.append(f"{differing} of {greedy['n']} greedy answers differ")
    for kind, rate in parity["success"].items():
        if abs(rate["points"]) > run.preset.export.success_points:
            failures.append(f"{kind} solves {rate['points']:+.1f} points beside the torch model")
    return failures

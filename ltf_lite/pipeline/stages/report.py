"""Write the report and say the headline."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ltf_lite.core.errors import LtfError
from ltf_lite.core.manifest import Manifest, StageEntry
from ltf_lite.evaluation.cost import Price
from ltf_lite.pipeline.common import previous_of, round_of
from ltf_lite.pipeline.graph import stage_of
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.run.lock import REFUSED, UnwritableError, locked
from ltf_lite.report.page import write

REPEATED = ("search", "tune", "merge")  # what every round does


def main(run: Run) -> None:
    write(run.at, costed(run), run.preset)


def costed(run: Run) -> Manifest:
    """The manifest with what earlier rounds took: without them this run would not be.

    Those that are not there any more are left out.
    """
    earlier: list[tuple[str, StageEntry]] = []
    now = run
    with suppress(LtfError):  # a round that is gone can't be counted any more
        while before := previous_of(now):
            number = round_of(before) + 1
            own = [(f"{name}, round {number}", before.entry(name)) for name in REPEATED]
            earlier, now = [*own, *earlier], before
    return replace(run.manifest, stages={**dict(earlier), **run.manifest.stages})


def rewrite(folder: Path, price: Price) -> Run:
    """Write the report of a run whose other stages are done anew.

    Raises RunError where another process works on it, UnwritableError of these where its folder
    can't be written, BrokenFile where a file is not what the run wrote, and CostError for a price
    that can't be applied.
    """
    with locked(folder):
        run = Run.load(folder)
        run.check()
        try:
            write(run.at, costed(run), run.preset, price)
            stage = stage_of("report")
            if run.entry(stage.name).status == "done":
                run.record(stage)  # else `ltf train` would take it for damaged
                run.save()
        except OSError as error:
            if error.errno in REFUSED:
                raise UnwritableError(f"cannot write to {folder}: {error.strerror}") from error
            raise
        return run

"""Write the report and say the headline."""

from __future__ import annotations

from pathlib import Path

from ltf_lite.evaluation.cost import Price
from ltf_lite.pipeline.graph import stage_of
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.run.lock import REFUSED, UnwritableError, locked
from ltf_lite.report.page import write


def main(run: Run) -> None:
    write(run.at, run.manifest, run.preset)


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
            write(run.at, run.manifest, run.preset, price)
            stage = stage_of("report")
            if run.entry(stage.name).status == "done":
                run.record(stage)  # else `ltf train` would take it for damaged
                run.save()
        except OSError as error:
            if error.errno in REFUSED:
                raise UnwritableError(f"cannot write to {folder}: {error.strerror}") from error
            raise
        return run

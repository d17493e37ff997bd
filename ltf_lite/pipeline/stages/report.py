"""Write the report and say the headline."""

from __future__ import annotations

from pathlib import Path

from ltf_lite.evaluation.cost import Price
from ltf_lite.pipeline.common import searched, task_of
from ltf_lite.pipeline.run import Run, locked
from ltf_lite.pipeline.train import STAGES
from ltf_lite.report.page import write


def main(run: Run) -> None:
    write(run.folder, run.manifest, task_of(run), searched(run))


def rewrite(folder: Path, price: Price) -> Run:
    """Write the report of a run whose other stages are done anew.

    Raises RunError where another process works on it, CostError for a price that can't be applied.
    """
    with locked(folder):
        run = Run.load(folder)
        write(folder, run.manifest, task_of(run), searched(run), price)
        stage = next(stage for stage in STAGES if stage.name == "report")
        if run.stages.get(stage.name, {}).get("status") == "done":
            run.record(stage)  # else `ltf train` would take it for damaged
            run.save()
        return run

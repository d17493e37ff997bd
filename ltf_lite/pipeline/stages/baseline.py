"""Ask the base the test problems with every reasoner, before anything is searched or tuned."""

from __future__ import annotations

from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.stages.evaluate import ask


def main(run: Run) -> None:
    ask(run, "base", run.preset.evaluation)

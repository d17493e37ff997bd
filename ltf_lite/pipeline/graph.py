"""The stages of a run in their order: what each reads of the preset, builds on, and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltf_lite.core.folder import RunFolder

_AT = RunFolder(Path())  # the paths below are within the run's folder
PREVIOUS = "previous"  # where a run goes on from another, what that has found and learnt counts
EVALUATED = ("task", "model", "evaluation", "budgets", "retention.heldout", "retention.other")


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    `parts` of the preset and the outputs of the stages in `upstream` are what it depends on: it is
    run again where they changed. It writes into `folder`; `outputs` are what of that other stages
    read.
    """

    name: str
    title: str
    parts: tuple[str, ...]
    upstream: tuple[str, ...]
    folder: Path
    outputs: tuple[Path, ...]


STAGES = (
    Stage(
        name="problems",
        title="problems",
        parts=("task", "problems"),
        upstream=(),
        folder=_AT.problems("").parent,
        outputs=(_AT.problems("").parent,),
    ),
    Stage(
        name="baseline",
        title="evaluate the base",
        parts=(*EVALUATED, "retention.problems"),
        upstream=("problems",),
        folder=_AT.evaluation("base"),
        outputs=(_AT.evaluation("base"),),
    ),
    Stage(
        name="search",
        title="search and harvest",
        parts=(
            *("task", "model", "engine", "search", "harvest.fatal_step", "harvest.replay"),
            PREVIOUS,
        ),
        upstream=("problems",),
        folder=_AT.harvest,
        outputs=(_AT.harvest,),
    ),
    Stage(
        name="tune",
        title="tune",
        parts=("task", "model", "harvest", "tuning", "retention", PREVIOUS),
        # Not the baseline: what the base can do decides no step, and is the same made again.
        upstream=("problems", "search"),
        folder=_AT.tuning,
        outputs=(_AT.adapter, _AT.tuning_result),
    ),
    Stage(
        name="merge",
        title="merge",
        parts=("model",),
        upstream=("tune",),
        folder=_AT.model,
        outputs=(_AT.model,),
    ),
    Stage(
        name="evaluate",
        title="evaluate the tuned model",
        parts=EVALUATED,
        upstream=("problems", "merge"),
        folder=_AT.evaluation("tuned"),
        outputs=(_AT.evaluation("tuned"),),
    ),
    Stage(
        name="export",
        title="export GGUF and prove parity",
        parts=("name", "task", "export", "evaluation"),
        upstream=("problems", "baseline", "search", "merge", "evaluate"),
        folder=_AT.gguf,
        outputs=(_AT.gguf,),
    ),
    Stage(
        name="report",
        title="report",
        parts=("name", "about"),
        upstream=("baseline", "evaluate", "export"),
        folder=_AT.report,
        outputs=(_AT.report,),
    ),
)


def stage_of(name: str) -> Stage:
    """The stage of that name."""
    return next(stage for stage in STAGES if stage.name == name)

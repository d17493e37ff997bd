"""What a round gained: the single pass on the validation problems, beside the round before."""

from __future__ import annotations

from contextlib import closing
from statistics import fmean
from typing import Any

from ltf_lite.core.progress import bar
from ltf_lite.evaluation.significance import mcnemar, paired_interval
from ltf_lite.pipeline.common import (
    previous_of,
    problems_of,
    round_of,
    seed_of,
    set_threads,
    single_pass_of,
)
from ltf_lite.pipeline.opening import engine_of
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.reasoners import solve


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    before = previous_of(run)
    if before is None:
        raise RunError(f"{run.folder} is a first round: there is none before it")
    count = 2 * run.preset.problems.validation
    with bar("what the round gained: problems", count) as advance:
        now, then = _right(run, advance), _right(before, advance)
    low, high = paired_interval(now, then, seed_of(run.preset.seed, "rise"))
    return {
        "round": round_of(run) + 1,
        "before": fmean(then),
        "after": fmean(now),
        "n": len(now),
        "points": 100 * (fmean(now) - fmean(then)),
        "low": 100 * low,
        "high": 100 * high,
        "p": mcnemar(now, then),
    }


def _right(run: Run, advance: Any) -> list[bool]:
    """Whether a run's tuned model solves each validation problem in a single pass."""
    problems, reasoner = problems_of(run, "validation"), single_pass_of(run)
    with closing(engine_of(run, "tuned")) as engine:
        seed = seed_of(run.preset.seed, "rise")
        found = list(solve(reasoner, problems, run.preset.task, engine, seed))
    advance(len(problems))
    return [each.attempts[0].verdict.correct for each in found]

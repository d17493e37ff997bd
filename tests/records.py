"""Records and results as evaluation makes them, in one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ltf_lite.evaluation.naming import name_of, title_of
from ltf_lite.evaluation.types import AskedPath, Cost, Rate, Record, Result, Scored
from ltf_lite.reasoners.choice import SAMPLE, SINGLE_PASS, Choice
from ltf_lite.tasks import Problem

SEARCH = Choice("search", picker="value")
HELPED = Choice("search", picker="verifier")
CHANCE = Choice("search", picker="chance")
SOLVER = Choice("search", picker="solver")


def voted(n: int) -> Choice:
    return Choice("self_consistency", n=n, picker="votes")


def best_of(n: int) -> Choice:
    return Choice("best_of_n", n=n, picker="likelihood")


def oracle(n: int) -> Choice:
    return Choice("oracle", n=n, picker="verifier")


def problem(k: int | str) -> Problem:
    return Problem("countdown", str(k), f"problem {k}", {"k": k})


def scored(
    choice: Choice,
    marks: str | None = None,
    rate: Rate | None = None,
    seconds: float = 0.001,
    alone: float | None = None,
) -> Scored:
    """A way of choosing, by a mark a problem or by its rate."""
    if rate is None:
        found = marks or "0"
        rate = Rate(found.count("1") / len(found), 0.0, 1.0, len(found))
    return Scored(choice, rate, Cost(10.0, 20.0, seconds, alone), marks)


def record(
    model: str = "base",
    reasoner: str = "cot",
    solved: Mapping[Choice, str | None] | None = None,
    *,
    kinds: Mapping[str, int] | None = None,
    spent: Sequence[int] | None = None,
    pass_at: Mapping[int, Rate] | None = None,
    paths: Sequence[AskedPath] = (),
    valid_steps: float | None = None,
    task: str = "countdown",
    n: int | None = None,
    **settings: Any,
) -> Record:
    """A record of problems 0, 1, 2, …; `solved` has a mark a problem for each choice."""
    marks = next((each for each in (solved or {}).values() if each), None)
    count = n if n is not None else len(marks) if marks else len(spent or ())
    return Record(
        task=task,
        model=model,
        reasoner=reasoner,
        label=" ".join([reasoner, *(f"{k}={v}" for k, v in settings.items())]),
        settings=settings,
        split="test",
        seed=0,
        n=count,
        seconds=1.0,
        calls=1,
        tokens_in=0,
        tokens_out=sum(spent or ()),
        nodes=0,
        scored=tuple(scored(choice, each) for choice, each in (solved or {}).items()),
        kinds=dict(kinds or {}),
        problems=tuple(map(problem, range(count))),
        spent=tuple(spent if spent is not None else [1] * count),
        valid_steps=valid_steps,
        pass_at=dict(pass_at or {}),
        paths=tuple(paths),
    )


def result(
    model: str,
    reasoner: str,
    choice: Choice,
    rate: float,
    *,
    low: float | None = None,
    high: float | None = None,
    n: int = 100,
    seconds: float = 0.001,
    alone: float | None = None,
    valid_steps: float | None = None,
    **settings: Any,
) -> Result:
    found = Rate(rate, rate if low is None else low, rate if high is None else high, n)
    return Result(
        model=model,
        answer=name_of(choice, title_of(reasoner), settings),
        reasoner=reasoner,
        label=" ".join([reasoner, *(f"{k}={v}" for k, v in settings.items())]),
        settings=settings,
        calls=1,
        valid_steps=valid_steps,
        scored=scored(choice, None, found, seconds, alone),
    )


__all__ = [
    "CHANCE",
    "HELPED",
    "SAMPLE",
    "SEARCH",
    "SINGLE_PASS",
    "SOLVER",
    "best_of",
    "oracle",
    "problem",
    "record",
    "result",
    "scored",
    "voted",
]

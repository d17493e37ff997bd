"""The questions of an evaluation, on whatever machine a model answers them, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from ltf_lite.engines import Engine
from ltf_lite.evaluation.types import Alone
from ltf_lite.pipeline.hearing import Advance, quiet
from ltf_lite.reasoners import Reasoner, Solution, solve, solve_within
from ltf_lite.tasks import Problem, Task

ALONE = 8  # problems asked one by one: enough for a median, few enough to keep evaluation short
FEW, ENOUGH = 3, 30.0  # of them, once so many seconds went by
FIRST = 8  # problems asked once more before the clock runs


@dataclass(frozen=True)
class Answers:
    """What came of problems asked together, and what that cost.

    `sooner` is what the same search comes to at token budgets. `runtime` is the engine's.
    """

    solutions: list[Solution]
    seconds: float
    calls: int = 0
    tokens_in: int = 0
    sooner: dict[int, list[Solution]] = field(default_factory=dict)
    alone: Alone | None = None
    runtime: str = ""


@dataclass(frozen=True)
class Question:
    """Problems for a reasoner that asks a model, with the seed of its draws.

    At the token `budgets` it is seen what the search has come to. The first `alone` problems are
    asked one by one as well, for the time that one takes.
    """

    number: int
    reasoner: Reasoner
    problems: tuple[Problem, ...]
    seed: int
    budgets: tuple[int, ...] = ()
    alone: int = 0

    def shares(self, size: int, number: int) -> list[Question]:
        """The same in parts of at most so many problems, numbered from `number` on."""
        first = [*range(0, len(self.problems), size)]
        return [
            replace(
                self,
                number=number + k,
                problems=self.problems[at : at + size],
                alone=0 if k else self.alone,
            )
            for k, at in enumerate(first)
        ]

    def asked(self, task: Task, engine: Engine, advance: Advance = quiet) -> Answers:
        """The answers of an engine; raises what that raises. `advance` hears, by 0."""
        if self.alone or not engine.usage.calls:
            # The first call pays for allocations that no later one pays for.
            list(solve(self.reasoner, self.problems[:FIRST], task, engine, self.seed))
        calls, tokens_in = engine.usage.calls, engine.usage.tokens_in
        began = time.perf_counter()
        found, sooner = solve_within(
            self.reasoner, self.problems, task, engine, self.seed, self.budgets
        )
        seconds = time.perf_counter() - began
        calls, tokens_in = engine.usage.calls - calls, engine.usage.tokens_in - tokens_in
        few = self.problems[: self.alone]
        lone = one_by_one(self.reasoner, few, task, engine, self.seed, advance) if few else None
        return Answers(found, seconds, calls, tokens_in, sooner, lone, engine.runtime)


def without_model(
    reasoner: Reasoner, problems: Sequence[Problem], task: Task, seed: int, dialect: str
) -> Answers:
    """What comes of problems for a reasoner that asks no model."""
    began = time.perf_counter()
    found = list(solve(reasoner, problems, task, seed=seed, dialect=dialect))
    return Answers(found, time.perf_counter() - began)


def together(parts: Sequence[Answers]) -> Answers:
    """Answers to the parts of one question, in order: the seconds of all are added up."""
    budgets = parts[0].sooner
    return Answers(
        solutions=[each for part in parts for each in part.solutions],
        seconds=sum(part.seconds for part in parts),
        calls=sum(part.calls for part in parts),
        tokens_in=sum(part.tokens_in for part in parts),
        sooner={most: [each for part in parts for each in part.sooner[most]] for most in budgets},
        alone=next((part.alone for part in parts if part.alone), None),
        runtime=", ".join(dict.fromkeys(part.runtime for part in parts)),
    )


def one_by_one(
    reasoner: Reasoner,
    problems: Sequence[Problem],
    task: Task,
    engine: Engine,
    seed: int,
    advance: Advance = quiet,
) -> Alone:
    """How long a problem takes that is asked by itself, none profiting from another's prompt.

    Where that is long a few problems are enough.
    """
    took: list[float] = []
    for problem in problems:
        if len(took) >= FEW and sum(took) > ENOUGH:
            break
        advance(0, f"{reasoner.label}: {len(took)} of {len(problems)} asked alone")
        engine.clear()
        began = time.perf_counter()
        list(solve(reasoner, [problem], task, engine, seed))
        took.append(time.perf_counter() - began)
    return Alone(n=len(took), seconds=median(took), low=min(took), high=max(took))

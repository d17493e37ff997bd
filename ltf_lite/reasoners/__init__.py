"""Reasoners: how an engine is driven over a problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ltf_lite.core.plugins import Registry
from ltf_lite.engines import Engine
from ltf_lite.reasoners.base import (
    Attempt,
    Node,
    Reasoner,
    ReasonerError,
    Solution,
    Watch,
    attempt_of,
    check_powers,
    path_to,
)
from ltf_lite.reasoners.choice import Choice
from ltf_lite.reasoners.lockstep import Turn, lockstep
from ltf_lite.tasks import Problem, Task

REASONERS: Registry[Reasoner] = Registry("ltf_lite.reasoners", "reasoner", Reasoner)


def get_reasoner(name: str, **settings: Any) -> Reasoner:
    """The reasoner of that name; raises PluginError, and pydantic's error for a setting."""
    return REASONERS.get(name)(**settings)


def able(reasoner: Reasoner, task: Task) -> None:
    """Refuse a reasoner that needs a power the task lacks; raises ReasonerError by name."""
    check_powers(reasoner, task, REASONERS.all())


def solve(
    reasoner: Reasoner,
    problems: Sequence[Problem],
    task: Task,
    engine: Engine | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    dialect: str | None = None,
) -> Iterator[Solution]:
    """Solve many problems together, in their order.

    A reasoner that asks a model asks `engine`, in the engine's dialect unless it is told another,
    and no questions of one that learnt none; one that asks no model writes its paths in `dialect`.
    Raises ReasonerError, and what the engine raises.
    """
    able(reasoner, task)
    told = dialect or (engine.dialect.name if engine else "")
    if not reasoner.asks_model:
        for problem in problems:  # one after the other: a tree of all states is large
            growth = reasoner.begin(problem, task, told, seed)
            growth.watch = watch
            for _ in reasoner.search(growth):
                pass
            if watch:
                watch(problem, growth.tree)
            yield _solution(reasoner, growth)
        return
    assert engine is not None, f"{reasoner.name} asks a model"
    if engine.dialect.search is False:
        reasoner = reasoner.unasked()
    growths = [reasoner.begin(problem, task, told, seed) for problem in problems]
    turns = [Turn(growth.problem, growth.tree, reasoner.search(growth)) for growth in growths]
    budget = reasoner.budget.tokens if reasoner.budget else None
    lockstep(turns, engine, seed, budget, watch)
    for growth in growths:
        yield _solution(reasoner, growth)


def _solution(reasoner: Reasoner, growth: Any) -> Solution:
    choices = reasoner.choices(growth)
    return Solution(growth.problem, growth.attempts, choices, growth.tree)


__all__ = [
    "REASONERS",
    "Attempt",
    "Choice",
    "Node",
    "Reasoner",
    "ReasonerError",
    "Solution",
    "Watch",
    "able",
    "attempt_of",
    "get_reasoner",
    "path_to",
    "solve",
]

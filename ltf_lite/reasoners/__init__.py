"""Reasoners: how an engine is driven over a problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
    found, _ = _asked(reasoner, problems, task, engine, seed, told, watch)
    yield from found


def solve_within(
    reasoner: Reasoner,
    problems: Sequence[Problem],
    task: Task,
    engine: Engine,
    seed: int,
    budgets: Sequence[int],
) -> tuple[list[Solution], dict[int, list[Solution]]]:
    """(what `solve` gives, the same at each of these token budgets), by one search of a model.

    A search at a budget is the same search, ended sooner: its tree, answers and tokens are those
    that it has at the first answer that passes the budget. Raises as `solve` does.
    """
    able(reasoner, task)
    return _asked(reasoner, problems, task, engine, seed, engine.dialect.name, None, budgets)


def _asked(
    reasoner: Reasoner,
    problems: Sequence[Problem],
    task: Task,
    engine: Engine,
    seed: int,
    dialect: str,
    watch: Watch | None,
    budgets: Sequence[int] = (),
) -> tuple[list[Solution], dict[int, list[Solution]]]:
    """The solutions of a reasoner that asks a model, and those at each of `budgets`."""
    if engine.dialect.search is False:
        reasoner = reasoner.unasked()
    growths = [reasoner.begin(problem, task, dialect, seed) for problem in problems]
    turns = [Turn(growth.problem, growth.tree, reasoner.search(growth)) for growth in growths]
    place = {id(turn): k for k, turn in enumerate(turns)}
    sooner: dict[int, dict[int, Solution]] = {tokens: {} for tokens in budgets}

    def halted(turn: Turn, tokens: int, tree: list[Node]) -> None:
        k = place[id(turn)]
        found = _solution(reasoner, growths[k])
        for own, node in zip(tree, found.tree, strict=True):
            own.verdict = node.verdict
        sooner[tokens][k] = replace(found, tree=tree)

    most = reasoner.budget.tokens if reasoner.budget else None
    lockstep(turns, engine, seed, most, watch, budgets, halted if budgets else None)
    found = [_solution(reasoner, growth) for growth in growths]
    return found, {
        tokens: [own.get(k, solution) for k, solution in enumerate(found)]
        for tokens, own in sooner.items()
    }


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
    "solve_within",
]

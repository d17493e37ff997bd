"""The random walk, which asks no model: the floor of every table."""

from __future__ import annotations

from typing import ClassVar, Literal

from ltf_lite.reasoners.base import Search
from ltf_lite.reasoners.choice import Choice
from ltf_lite.reasoners.exact import Exact, StateTree


class RandomWalk(Exact):
    """Legal random steps, the last one hitting the target if it can: the floor of every table."""

    title: ClassVar[str] = "random legal steps"

    name: Literal["random"] = "random"

    def search(self, growth: StateTree) -> Search:
        end, solved = 0, growth.task.solved
        while not growth.task.finished(growth.problem, growth.left(end)) and (
            options := growth.options(end)
        ):
            hits = [move for move in options if solved(growth.problem, move.left)]
            end = growth.add(end, growth.rng.choice(hits or options))
        growth.keep([end])
        yield from ()

    def choices(self, growth: StateTree) -> dict[Choice, int | None]:
        return {Choice("search", picker="chance"): 0 if growth.attempts else None}


PLUGIN = RandomWalk

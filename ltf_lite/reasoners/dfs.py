"""Depth-first search, which asks no model: it backs out of states that cannot win."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.reasoners.base import Search
from ltf_lite.reasoners.exact import Exact, StateTree


class DFS(Exact):
    """Depth-first search that backs out of hopeless states.

    Keeps `paths` solutions and `failures` dead ends: paths up to the step that lost the problem.
    """

    title: ClassVar[str] = "depth-first search (exact)"

    name: Literal["dfs"] = "dfs"
    paths: int = Field(1, ge=0)
    failures: int = Field(0, ge=0)

    def search(self, growth: StateTree) -> Search:
        good: list[int] = []
        bad: list[int] = []
        task, problem, stack = growth.task, growth.problem, [0]
        while stack and not growth.full and len(good) < self.paths:
            parent = stack.pop()
            if task.finished(problem, growth.left(parent)):
                good.append(parent)
                continue
            hopeful: list[int] = []
            for move in growth.options(parent):
                growth.show()
                hope = task.solvable(problem, move.left)
                (hopeful if hope else bad).append(growth.add(parent, move))
            stack.extend(reversed(hopeful))
        growth.keep(good + bad[: self.failures])
        yield from ()


PLUGIN = DFS

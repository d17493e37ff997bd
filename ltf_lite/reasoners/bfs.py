"""Breadth-first search, which asks no model: level by level over all states."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.reasoners.base import Search
from ltf_lite.reasoners.exact import Exact, StateTree


class BFS(Exact):
    """Breadth-first search over states, level by level, with no knowledge of the target's reach.

    Keeps `paths` solutions and `failures` full paths that miss the target, and stops as soon as it
    has met so many of both.
    """

    title: ClassVar[str] = "breadth-first search (exact)"

    name: Literal["bfs"] = "bfs"
    paths: int = Field(1, ge=0)
    failures: int = Field(0, ge=0)

    def search(self, growth: StateTree) -> Search:
        level = [0]
        for _ in range(growth.task.longest(growth.problem) - 1):
            level = _next_level(growth, level)
        growth.rng.shuffle(level)  # or all that is kept would begin with the same few moves
        good, bad = self._ends(growth, level)
        bad = growth.rng.sample(bad, min(self.failures, len(bad)))
        growth.keep(good[: self.paths] + bad)
        yield from ()

    def _ends(self, tree: StateTree, level: list[int]) -> tuple[list[int], list[int]]:
        """Ends that reach the target and ends that miss it, one step from the states of a level."""
        good: list[int] = []
        bad: list[int] = []
        solved, problem = tree.task.solved, tree.problem
        for parent in level:
            if tree.full or (len(good) >= self.paths and len(bad) >= self.failures):
                break
            tree.show()
            for move in tree.options(parent):
                (good if solved(problem, move.left) else bad).append(tree.add(parent, move))
        return good, bad


def _next_level(tree: StateTree, level: list[int]) -> list[int]:
    """The states one step from those of a level, each reached once."""
    reached, found = set(), []
    for parent in level:
        if tree.full:
            break
        tree.show()
        for move in tree.options(parent):
            if move.left not in reached:
                reached.add(move.left)
                found.append(tree.add(parent, move))
    return found


PLUGIN = BFS

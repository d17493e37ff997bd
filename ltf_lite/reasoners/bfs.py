"""Breadth-first search, which asks no model: level by level over all states."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltf_lite.engines import Engine
from ltf_lite.reasoners.base import Solution, Watch
from ltf_lite.reasoners.exact import StateTree, solution
from ltf_lite.tasks import NumbersGame, Problem
from ltf_lite.tasks.solver import moves


@dataclass(frozen=True)
class BFS:
    """Breadth-first search over states, level by level, with no knowledge of the target's reach.

    Keeps `paths` solutions and `failures` full paths that miss the target, and stops as soon as it
    has met so many of both.
    """

    paths: int = 1
    failures: int = 0
    style: str = "compact"
    name = "bfs"
    needs_engine = False

    def solve(
        self,
        problems: Sequence[Problem],
        task: NumbersGame,
        engine: Engine | None,
        seed: int,
        watch: Watch | None = None,
    ) -> Iterator[Solution]:
        for problem in problems:
            rng = random.Random(f"{seed}:{problem.id}")
            tree, level = StateTree(task, problem, self.style, watch), [0]
            for _ in problem.numbers[2:]:
                level = _next_level(tree, level)
            rng.shuffle(level)  # or all that is kept would begin with the same few moves
            good, bad = self._ends(tree, level)
            bad = rng.sample(bad, min(self.failures, len(bad)))
            yield solution(self.name, tree, good[: self.paths] + bad)

    def _ends(self, tree: StateTree, level: list[int]) -> tuple[list[int], list[int]]:
        """Ends that reach the target and ends that miss it, one step from the states of a level."""
        good: list[int] = []
        bad: list[int] = []
        rules, goal = tree.task.rules, (tree.problem.target,)
        for parent in level:
            if tree.full or (len(good) >= self.paths and len(bad) >= self.failures):
                break
            tree.show()
            for move in moves(tree.left(parent), rules):
                (good if move.left == goal else bad).append(tree.add(parent, move))
        return good, bad


def _next_level(tree: StateTree, level: list[int]) -> list[int]:
    """The states one step from those of a level, each reached once."""
    rules, reached, found = tree.task.rules, set(), []
    for parent in level:
        if tree.full:
            break
        tree.show()
        for move in moves(tree.left(parent), rules):
            if move.left not in reached:
                reached.add(move.left)
                found.append(tree.add(parent, move))
    return found

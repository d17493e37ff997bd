"""Depth-first search, which asks no model: it backs out of states that cannot win."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltf_lite.engines import Engine
from ltf_lite.reasoners.base import Solution, Watch
from ltf_lite.reasoners.exact import StateTree, solution
from ltf_lite.tasks import NumbersGame, Problem
from ltf_lite.tasks.solver import moves, solvable


@dataclass(frozen=True)
class DFS:
    """Depth-first search that backs out of hopeless states.

    Keeps `paths` solutions and `failures` dead ends: paths up to the step that lost the problem.
    """

    paths: int = 1
    failures: int = 0
    style: str = "compact"
    name = "dfs"
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
            tree = StateTree(task, problem, self.style, watch)
            good, bad = self._search(tree)
            yield solution(self.name, tree, good + bad[: self.failures])

    def _search(self, tree: StateTree) -> tuple[list[int], list[int]]:
        """Ends that reach the target, at most `paths`, and the hopeless states met on the way."""
        good: list[int] = []
        bad: list[int] = []
        rules, target, stack = tree.task.rules, tree.problem.target, [0]
        while stack and not tree.full and len(good) < self.paths:
            parent = stack.pop()
            left = tree.left(parent)
            if len(left) == 1:
                good.append(parent)
                continue
            hopeful: list[int] = []
            for move in moves(left, rules):
                tree.show()
                hope = solvable(move.left, target, rules)
                (hopeful if hope else bad).append(tree.add(parent, move))
            stack.extend(reversed(hopeful))
        return good, bad

"""The random walk, which asks no model: the floor of every table."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltf_lite.engines import Engine
from ltf_lite.reasoners.base import Solution, Watch
from ltf_lite.reasoners.exact import StateTree, solution
from ltf_lite.tasks import NumbersGame, Problem


@dataclass(frozen=True)
class RandomWalk:
    """Legal random steps, the last one hitting the target if it can: the floor of every table."""

    style: str = "compact"
    name = "random"
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
            tree, end = StateTree(task, problem, self.style, watch), 0
            while len(left := tree.left(end)) > 1 and (options := task.moves(left)):
                hits = [move for move in options if move.left == (problem.target,)]
                end = tree.add(end, rng.choice(hits or options))
            yield solution(self.name, tree, [end])

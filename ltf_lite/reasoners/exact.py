"""Engine-free search: breadth-first, depth-first, and the random walk that is the floor."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltf_lite.engines import Engine
from ltf_lite.reasoners.base import Attempt, Solution
from ltf_lite.tasks import NumbersGame, Problem
from ltf_lite.tasks.solver import Move

NODES = 200_000  # expanded a problem at most


def _solution(name: str, task, problem, style: str, good, bad, nodes: int) -> Solution:
    attempts = [Attempt(task.write(problem, path, style)) for path in [*good, *bad]]
    return Solution(problem, attempts, {name: 0 if attempts else None}, nodes)


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
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int
    ) -> Iterator[Solution]:
        for problem in problems:
            good: list[list[Move]] = []
            bad: list[list[Move]] = []
            nodes = 0
            stack: list[list[Move]] = [[]]
            while stack and nodes < NODES and len(good) < self.paths:
                path = stack.pop()
                left = path[-1].left if path else task.start(problem)
                nodes += 1
                if len(left) == 1:
                    good.append(path)
                    continue
                hopeful = []
                for move in task.moves(left):
                    if task.solvable(problem, move.left):
                        hopeful.append([*path, move])
                    elif len(bad) < self.failures:
                        bad.append([*path, move])
                stack.extend(reversed(hopeful))
            yield _solution(self.name, task, problem, self.style, good, bad, nodes)


@dataclass(frozen=True)
class BFS:
    """Breadth-first search over states, level by level, with no knowledge of the target's reach.

    Keeps `paths` solutions and `failures` full paths that miss the target.
    """

    paths: int = 1
    failures: int = 0
    style: str = "compact"
    name = "bfs"
    needs_engine = False

    def solve(
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int
    ) -> Iterator[Solution]:
        for problem in problems:
            level: list[list[Move]] = [[]]
            nodes = 0
            for _ in range(len(problem.numbers) - 1):
                reached: dict[tuple, list[Move]] = {}
                wide: list[list[Move]] = []
                for path in level:
                    nodes += 1
                    left = path[-1].left if path else task.start(problem)
                    for move in task.moves(left):
                        if len(move.left) == 1 or move.left not in reached:
                            reached.setdefault(move.left, path)
                            wide.append([*path, move])
                level = wide
                if nodes > NODES:
                    break
            good = [path for path in level if path and path[-1].left == (problem.target,)]
            bad = [path for path in level if path and path[-1].left != (problem.target,)]
            random.Random(f"{seed}:{problem.id}").shuffle(bad)
            yield _solution(
                self.name, task, problem, self.style,
                good[: self.paths], bad[: self.failures], nodes,
            )  # fmt: skip


@dataclass(frozen=True)
class RandomWalk:
    """Legal random steps, the last one hitting the target if it can: the floor of every table."""

    style: str = "compact"
    name = "random"
    needs_engine = False

    def solve(
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int
    ) -> Iterator[Solution]:
        for problem in problems:
            rng = random.Random(f"{seed}:{problem.id}")
            left, path = task.start(problem), []
            while len(left) > 1 and (options := task.moves(left)):
                hits = [m for m in options if m.left == (problem.target,)]
                path.append(rng.choice(hits or options))
                left = path[-1].left
            yield _solution(self.name, task, problem, self.style, [path], [], len(path))

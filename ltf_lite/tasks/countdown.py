"""Countdown: whole numbers from 0 up, a target, test targets held out of training."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ltf_lite.tasks.arithmetic import Rules
from ltf_lite.tasks.base import Problem, Split, TaskError, share
from ltf_lite.tasks.numbers_game import (
    LARGEST,
    MAX_NUMBERS,
    NumbersGame,
    whole_number,
    whole_range,
)
from ltf_lite.tasks.solver import state

TEST_TARGETS = 0.1  # share of the targets that only test problems have
VALIDATION = 0.1  # share of the other problems
CEILING = LARGEST**MAX_NUMBERS  # no intermediate result is larger
DRAWS = ("uniform", "walk")
PATIENCE = 2000  # draws in a row without a new problem, after which there are none


@dataclass
class Countdown(NumbersGame):
    """`count` numbers and a target, each from an inclusive range.

    `draw` says which solvable problems are likely: `uniform`, numbers and target drawn apart; or
    `walk`, the target is where random legal steps end, so that problems with many solutions come
    more often.
    """

    name: ClassVar[str] = "countdown"
    count: int = 4
    numbers: tuple[int, int] = (1, 100)
    targets: tuple[int, int] = (10, 100)
    max_intermediate: int | None = None
    draw: str = "uniform"

    def __post_init__(self) -> None:
        whole_number(self.count, "countdown: count", 2, MAX_NUMBERS)
        if self.draw not in DRAWS:
            raise TaskError(f"countdown: draw must be {' or '.join(DRAWS)}, not {self.draw!r}")
        self.numbers = whole_range(self.numbers, "countdown: numbers", 1, LARGEST)
        self.targets = whole_range(self.targets, "countdown: targets", 0, LARGEST)
        if self.max_intermediate is not None:
            whole_number(self.max_intermediate, "countdown: max_intermediate", 0, CEILING)
            if self.max_intermediate < self.targets[1]:
                raise TaskError("countdown: max_intermediate must not be below the largest target")

    @property
    def rules(self) -> Rules:
        """Whole numbers from 0 up, up to `max_intermediate` where it is set."""
        return Rules(integers=True, maximum=self.max_intermediate)

    @cached_property
    def test_targets(self) -> frozenset[int]:
        """The targets that only the test split has: the same for every seed and size."""
        low, high = self.targets
        ranked = sorted(range(low, high + 1), key=lambda target: share(f"countdown:{target}"))
        return frozenset(ranked[: max(1, round(TEST_TARGETS * len(ranked)))])

    def split_of(self, problem: Problem) -> Split:
        """The split of a problem, whatever the order of its numbers."""
        if problem.target in self.test_targets:
            return "test"
        return "validation" if share(problem.id) < VALIDATION else "train"

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different solvable problems of a split; raises TaskError if there are not so many."""
        whole_number(n, "countdown: the count of problems", 1, sys.maxsize)
        found: list[Problem] = []
        for problem in self._draws(split, seed):
            if problem is None:
                advice = "ask for fewer or widen the ranges" if found else "widen the ranges"
                raise TaskError(
                    f"countdown: found only {len(found)} of {n} solvable {split} problems with "
                    f"{self.count} numbers {self.numbers[0]}..{self.numbers[1]} and targets "
                    f"{self.targets[0]}..{self.targets[1]}: {advice}"
                )
            found.append(problem)
            if len(found) == n:
                break
        return found

    def _draws(self, split: Split, seed: int) -> Iterator[Problem | None]:
        """Different solvable problems of a split, then None when it seems to have no more."""
        rng = random.Random(f"countdown:{split}:{seed}")
        in_test = self.test_targets
        targets = [
            target
            for target in range(self.targets[0], self.targets[1] + 1)
            if (target in in_test) == (split == "test")
        ]
        seen, wanted = set[str](), set(targets)
        misses = 0 if targets else PATIENCE
        while misses < PATIENCE:
            numbers = tuple(rng.randint(*self.numbers) for _ in range(self.count))
            target = rng.choice(targets) if self.draw == "uniform" else self._walk(rng, numbers)
            problem = Problem(self.name, numbers, target)
            misses += 1
            if target not in wanted or problem.id in seen or self.split_of(problem) != split:
                continue
            seen.add(problem.id)
            if self.solvable(problem):
                misses = 0
                yield problem
        yield None

    def _walk(self, rng: random.Random, numbers: tuple[int, ...]) -> int:
        """Where random legal steps from these numbers end; -1 where the cap leaves no step."""
        left = state(numbers)
        while len(left) > 1:
            options = self.moves(left)
            if not options:
                return -1
            left = rng.choice(options).left
        return int(left[0])

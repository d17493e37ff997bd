"""Countdown: whole numbers from 0 up, a target, test targets held out of training."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import field_validator, model_validator

from ltf_lite.tasks.contract import Problem, Split, Task, TaskError, share
from ltf_lite.tasks.numbers.examples import Look
from ltf_lite.tasks.numbers.game import (
    LARGEST,
    MAX_NUMBERS,
    NumbersGame,
    posed,
    whole_number,
    whole_range,
)
from ltf_lite.tasks.numbers.game24 import Game24
from ltf_lite.tasks.numbers.rules import Rules
from ltf_lite.tasks.numbers.solver import moves, state

TEST_TARGETS = 0.1  # share of the targets that only test problems have
VALIDATION = 0.1  # share of the other problems
CEILING = LARGEST**MAX_NUMBERS  # no intermediate result is larger
PATIENCE = 20_000  # draws in a row without a new problem, after which there are none


class Countdown(NumbersGame):
    """`count` numbers and a target, each from an inclusive range.

    `draw` says which solvable problems are likely: `uniform`, numbers and target drawn apart; or
    `walk`, the target is where random legal steps end, so that problems with many solutions come
    more often.
    """

    title: ClassVar[str] = "Countdown"
    test_apart: ClassVar[str] = "targets that no other problem has"
    name: Literal["countdown"] = "countdown"
    count: int = 4
    numbers: tuple[int, int] = (1, 100)
    targets: tuple[int, int] = (10, 100)
    max_intermediate: int | None = None
    draw: Literal["uniform", "walk"] = "uniform"

    @field_validator("count", mode="before")
    @classmethod
    def _count_is_whole(cls, value: object) -> int:
        return whole_number(value, "count", 2, MAX_NUMBERS)

    @field_validator("numbers", mode="before")
    @classmethod
    def _numbers_are_a_range(cls, value: object) -> tuple[int, int]:
        return whole_range(value, "numbers", 1, LARGEST)

    @field_validator("targets", mode="before")
    @classmethod
    def _targets_are_a_range(cls, value: object) -> tuple[int, int]:
        return whole_range(value, "targets", 0, LARGEST)

    @field_validator("max_intermediate", mode="before")
    @classmethod
    def _cap_is_whole(cls, value: object) -> int | None:
        return None if value is None else whole_number(value, "max_intermediate", 0, CEILING)

    @model_validator(mode="after")
    def _cap_leaves_the_targets(self) -> Countdown:
        if self.max_intermediate is not None and self.max_intermediate < self.targets[1]:
            raise TaskError("max_intermediate must not be below the largest target")
        return self

    def sibling(self) -> Task | None:
        return Game24()

    @cached_property
    def rules(self) -> Rules:
        """Whole numbers from 0 up, up to `max_intermediate` where it is set."""
        return Rules(integers=True, maximum=self.max_intermediate)

    @property
    def look(self) -> Look:
        return Look(self.numbers, self.targets, self.rules)

    @cached_property
    def test_targets(self) -> frozenset[int]:
        """The targets that only the test split has: the same for every seed and size."""
        low, high = self.targets
        ranked = sorted(range(low, high + 1), key=lambda target: share(f"countdown:{target}"))
        return frozenset(ranked[: max(1, round(TEST_TARGETS * len(ranked)))])

    def split_of(self, problem: Problem) -> Split:
        """The split of a problem, whatever the order of its numbers."""
        if problem.data["target"] in self.test_targets:
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
            problem = posed(self.name, numbers, target)
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
            options = moves(left, self.rules)
            if not options:
                return -1
            left = rng.choice(options).left
        return int(left[0])


PLUGIN = Countdown

"""Game of 24: four numbers 1..13, any rational on the way, the target 24."""

from __future__ import annotations

import csv
import random
import re
import sys
from collections.abc import Mapping
from functools import cached_property, lru_cache
from io import TextIOWrapper
from itertools import combinations_with_replacement
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from ltf_lite.core.places import open_regular
from ltf_lite.tasks.contract import Problem, Split, Task, TaskError, share
from ltf_lite.tasks.numbers.examples import Look
from ltf_lite.tasks.numbers.game import NumbersGame, posed, whole_number, whole_range
from ltf_lite.tasks.numbers.rules import Rules
from ltf_lite.tasks.numbers.solver import solvable, state
from ltf_lite.tasks.numbers.typed import typed

HIGHEST = 13
TARGET = 24
PUZZLES = 1362  # of them are solvable
_WHOLE = re.compile("[0-9]{1,4}")


@lru_cache(maxsize=1)
def puzzles() -> tuple[tuple[int, ...], ...]:
    """The 1,362 solvable puzzles, in lexicographic order."""
    return tuple(
        numbers
        for numbers in combinations_with_replacement(range(1, HIGHEST + 1), 4)
        if solvable(state(numbers), TARGET, Rules(integers=False))
    )


class Game24(NumbersGame):
    """The 1,362 puzzles, split by a fixed shuffle, or by the ranks of a CSV.

    `ranked` names a CSV whose rows are puzzles from easy to hard (a column `Puzzles` holding
    `1 1 4 6`, or the first column that does). Ranks `test_ranks` (inclusive, from 1) are the test
    split; a tenth of the other puzzles is validation.
    """

    title: ClassVar[str] = "Game of 24"
    parts: ClassVar[tuple[str, ...]] = ("numbers",)
    name: Literal["game24"] = "game24"
    ranked: str | None = None
    test_ranks: tuple[int, int] = (901, 1000)

    @field_validator("test_ranks", mode="before")
    @classmethod
    def _ranks_are_a_range(cls, value: object) -> tuple[int, int]:
        return whole_range(value, "test_ranks", 1, PUZZLES)

    @property
    def look(self) -> Look:
        return Look((1, HIGHEST), (TARGET, TARGET), self.rules)

    def sibling(self) -> Task | None:
        """In numbers that the embedded base reads."""
        from ltf_lite.tasks.numbers.countdown import Countdown  # it imports this module

        return Countdown(numbers=(1, 50), max_intermediate=999)

    def problem(self, data: Any) -> Problem:
        """The problem of `{"numbers": [...]}`, the target being 24; raises TaskError."""
        if isinstance(data, str):
            data = typed(data)
        if isinstance(data, Mapping):
            data = {**data, "target": data.get("target", TARGET)}
        problem = super().problem(data)
        for number in problem.data["numbers"]:
            whole_number(number, "a number of game24", 1, HIGHEST)
        if len(problem.data["numbers"]) != 4 or problem.data["target"] != TARGET:
            raise TaskError(f"game24 has four numbers and the target {TARGET}")
        return problem

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        splits: dict[Split, list[Problem]] = {"train": [], "validation": [], "test": []}
        rows = self._ranked_rows() if self.ranked else list(puzzles())
        for rank, numbers in enumerate(rows, 1):
            problem = posed(self.name, numbers, TARGET)
            part = share(problem.id)
            if self.ranked:
                is_test = self.test_ranks[0] <= rank <= self.test_ranks[1]
            else:
                is_test = part >= 0.9
            split: Split = "test" if is_test else "validation" if part < 0.1 else "train"
            splits[split].append(problem)
        return splits

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different problems of a split; raises TaskError if it has not so many."""
        whole_number(n, "game24: the count of problems", 1, sys.maxsize)
        pool = self._splits[split]
        if n > len(pool):
            raise TaskError(f"game24: the {split} split has {len(pool)} problems, not {n}")
        return random.Random(f"game24:{split}:{seed}").sample(pool, n)

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different problems of a split, or all if it has fewer."""
        return self.problems(split, min(n, len(self._splits[split])), seed)

    def _ranked_rows(self) -> list[tuple[int, ...]]:
        rows: dict[tuple[int, ...], None] = {}
        try:
            with TextIOWrapper(open_regular(str(self.ranked)), "utf-8-sig", newline="") as file:
                for row in csv.reader(file):
                    for cell in row:
                        parts = cell.split()
                        if len(parts) == 4 and all(map(_WHOLE.fullmatch, parts)):
                            rows.setdefault(tuple(sorted(map(int, parts))))
                            break
        except (OSError, ValueError, csv.Error) as error:
            raise TaskError(f"game24: cannot read the ranked puzzles: {error}") from error
        known = set(puzzles())
        wrong = next((row for row in rows if row not in known), None)
        if wrong:
            shown = " ".join(map(str, wrong))
            raise TaskError(f"game24: {self.ranked} lists {shown}, which is no solvable puzzle")
        if len(rows) < self.test_ranks[1]:
            raise TaskError(
                f"game24: {self.ranked} has {len(rows)} puzzles, test_ranks asks for rank "
                f"{self.test_ranks[1]}"
            )
        return list(rows)


PLUGIN = Game24

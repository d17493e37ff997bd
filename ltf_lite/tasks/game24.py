"""Game of 24: four numbers 1..13, any rational on the way, the target 24."""

from __future__ import annotations

import csv
import random
import re
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement
from typing import Any, ClassVar

from ltf_lite.tasks.arithmetic import Rules
from ltf_lite.tasks.base import Problem, Split, TaskError, share
from ltf_lite.tasks.numbers_game import NumbersGame, whole_number, whole_range
from ltf_lite.tasks.solver import solvable, state

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


@dataclass
class Game24(NumbersGame):
    """The 1,362 puzzles, split by a fixed shuffle, or by the ranks of a CSV.

    `ranked` names a CSV whose rows are puzzles from easy to hard (a column `Puzzles` holding
    `1 1 4 6`, or the first column that does). Ranks `test_ranks` (inclusive, from 1) are the test
    split; a tenth of the other puzzles is validation.
    """

    name: ClassVar[str] = "game24"
    ranked: str | None = None
    test_ranks: tuple[int, int] = (901, 1000)

    def __post_init__(self) -> None:
        self.test_ranks = whole_range(self.test_ranks, "game24: test_ranks", 1, PUZZLES)

    def problem(self, data: Any) -> Problem:
        """The problem of `{"numbers": [...]}`, the target being 24; raises TaskError."""
        if isinstance(data, dict):
            data = {**data, "target": data.get("target", TARGET)}
        problem = super().problem(data)
        for number in problem.numbers:
            whole_number(number, "a number of game24", 1, HIGHEST)
        if len(problem.numbers) != 4 or problem.target != TARGET:
            raise TaskError(f"game24 has four numbers and the target {TARGET}")
        return problem

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        splits: dict[Split, list[Problem]] = {"train": [], "validation": [], "test": []}
        rows = self._ranked_rows() if self.ranked else list(puzzles())
        for rank, numbers in enumerate(rows, 1):
            problem = Problem(self.name, numbers, TARGET)
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
            with open(str(self.ranked), newline="", encoding="utf-8-sig") as file:
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

"""What every reasoner shares: an attempt at a problem, and the solution that holds them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ltf_lite.engines import Engine
from ltf_lite.tasks import NumbersGame, Problem


@dataclass(frozen=True)
class Attempt:
    """One path as text; logprob in nats (None where no model wrote it), tokens generated."""

    text: str
    tokens: int = 0
    logprob: float | None = None
    finished: bool = True
    beyond: str = ""


@dataclass
class Solution:
    """Everything a reasoner found for one problem.

    `choices` maps a way of choosing (`greedy`, `self-consistency@32`, …) to the index of the
    attempt it chose, None where it chose nothing. `sample` stands for no choice: its success is
    the mean over the attempts. `oracle@n` is left to whoever has the verdicts.
    """

    problem: Problem
    attempts: list[Attempt]
    choices: dict[str, int | None]
    nodes: int = 0


class Reasoner(Protocol):
    """Solves many problems together; `needs_engine` says whether a model is asked at all."""

    name: str
    needs_engine: bool

    def solve(
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int
    ) -> Iterator[Solution]: ...

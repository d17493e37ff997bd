"""What every task shares: problem, path, verdict, and the contract a task fulfils."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

KINDS = (
    "format",
    "illegal",
    "arithmetic",
    "bookkeeping",
    "dead_end",
    "incomplete",
    "wrong_answer",
)


class TaskError(ValueError):
    """A setting or a problem that cannot be, with a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One instance of a task; the id does not depend on the order of the numbers."""

    task: str
    numbers: tuple[int, ...]
    target: int

    @property
    def id(self) -> str:
        return f"{self.task}:{'-'.join(map(str, sorted(self.numbers)))}>{self.target}"

    def as_dict(self) -> dict[str, Any]:
        return {"numbers": list(self.numbers), "target": self.target}


class Verdict(NamedTuple):
    """What the verifier says of a path; `fatal_step` counts from 0, None when correct."""

    correct: bool
    kind: str | None
    fatal_step: int | None
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "correct": self.correct,
            "kind": self.kind,
            "fatal_step": self.fatal_step,
            "message": self.message,
        }


class Line(NamedTuple):
    """One line of a path and where it stands in the text.

    `start:end` are the characters of the line, `decision:decision_end` those that choose (the two
    operands and the operator). `step` is None where the line is no step.
    """

    text: str
    start: int
    end: int
    decision: int
    decision_end: int
    step: tuple | None


class Path(NamedTuple):
    """A parsed chain of thought: step lines, then the answer line if there is one."""

    lines: tuple[Line, ...]
    answer: Line | None
    compact: bool


class Task(Protocol):
    """What a family of problems has to offer. `verify` never raises on what a model wrote."""

    name: str

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]: ...
    def problem(self, data: Any) -> Problem: ...
    def prompt(self, problem: Problem, style: str) -> str: ...
    def parse(self, problem: Problem, text: str) -> Path: ...
    def verify(self, problem: Problem, path: Path) -> Verdict: ...
    def stop(self, style: str) -> list[str]: ...


def share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone: the same problem, the same split."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64

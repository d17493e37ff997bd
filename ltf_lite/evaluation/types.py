"""The records of evaluation: what is measured, written by one stage and read by the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ltf_lite.core.files import ForeignFile, read_as, write_as
from ltf_lite.reasoners.choice import Choice
from ltf_lite.tasks import Problem, Verdict

OnDisk = TypeVar("OnDisk", "Record", "Abilities")

SCHEMA = 3  # of a record on disk; one of another number is not read


@dataclass(frozen=True)
class Rate:
    """A share of `n` problems with its 95 % interval."""

    rate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Cost:
    """What a problem costs: its share of the whole set, asked in bulk.

    `tokens` are generated, `tokens_in` are read. `seconds` are of wall time. `alone` is the median
    of problems asked one at a time, None where nobody asked so.
    """

    tokens: float
    tokens_in: float
    seconds: float
    alone: float | None = None


@dataclass(frozen=True)
class Scored:
    """A way of choosing and what it came to.

    `solved` has a character a problem, 1 where the choice was right; None for the mean over
    samples, which chooses nothing.
    """

    choice: Choice
    rate: Rate
    cost: Cost
    solved: str | None = None


@dataclass(frozen=True)
class Alone:
    """Seconds of `n` problems asked one at a time: median, smallest, largest."""

    n: int
    seconds: float
    low: float
    high: float


@dataclass(frozen=True)
class AskedPath:
    """One path of an evaluation: of which problem (its id), what was written, its verdict."""

    problem: str
    text: str
    tokens: int
    logprob: float | None
    answer: str | None
    verdict: Verdict


@dataclass(frozen=True)
class Record:
    """One model asked with one reasoner on a split.

    `model` is `base`, `tuned`, `none` where no model was asked, or `tuned q8_0` of an exported
    file. `label` names the reasoner with its settings for a person. `seconds`, `calls` and tokens
    are of the whole set, asked in bulk. `spent` has the generated tokens of each of `problems`.
    `pass_at` maps k to pass@k of samples. `valid_steps` is the share of steps that are legal and
    right, None where a task has no steps to check. `kinds` counts how paths ended, `success` among
    them. `runtime` is the engine's: only seconds of one runtime are compared.
    """

    task: str
    model: str
    reasoner: str
    label: str
    settings: dict[str, Any]
    split: str
    seed: int
    n: int
    seconds: float
    calls: int
    tokens_in: int
    tokens_out: int
    nodes: int
    scored: tuple[Scored, ...]
    kinds: dict[str, int]
    problems: tuple[Problem, ...]
    spent: tuple[int, ...]
    alone: Alone | None = None
    valid_steps: float | None = None
    pass_at: dict[int, Rate] = field(default_factory=dict)
    paths: tuple[AskedPath, ...] = ()
    runtime: str = ""
    schema: int = SCHEMA

    def of(self, kind: str) -> Scored | None:
        """The first way of choosing of this kind, None where there is none."""
        return next((each for each in self.scored if each.choice.kind == kind), None)

    @property
    def single_pass(self) -> Scored | None:
        return self.of("single_pass")

    @property
    def budget(self) -> int | None:
        """The most tokens that the reasoner was allowed a problem, None without a limit."""
        return self.settings.get("budget")


@dataclass(frozen=True)
class Result:
    """One row of a run's results: a model, a way of answering, and what it came to.

    `answer` is the way of answering in words. `calls` are of the whole set, asked in bulk.
    """

    model: str
    answer: str
    reasoner: str
    label: str
    settings: dict[str, Any]
    calls: int
    valid_steps: float | None
    scored: Scored
    runtime: str = ""

    @property
    def choice(self) -> Choice:
        return self.scored.choice

    @property
    def rate(self) -> Rate:
        return self.scored.rate

    @property
    def cost(self) -> Cost:
        return self.scored.cost


@dataclass(frozen=True)
class Ability:
    """One thing a model can do: a rate, or the NLL of a text (nats a token).

    `kind` is single_pass, valid_steps, sample, tot, …, sibling, other_task or heldout_nll. `name`
    is the kind, and for a further reasoner of a kind also `by`, the settings that tell it from the
    first. `solved` has one character a problem where answers are right or wrong, else `each` has
    what the value is made of: a value a problem, or (above, below) of a ratio of sums. `problems`
    is a hash of what was asked, `n` problems or paragraphs.
    """

    name: str
    kind: str
    label: str
    problems: str
    n: int
    value: float
    low: float | None = None
    high: float | None = None
    solved: str | None = None
    each: tuple[Any, ...] = ()
    by: str = ""


@dataclass(frozen=True)
class Abilities:
    """Abilities of `base` or `tuned`, as they lie on disk."""

    task: str
    model: str
    abilities: tuple[Ability, ...]
    schema: int = SCHEMA


def read_record(file: Path, task: str | None = None) -> Record:
    """A record of evaluation, of this task if one is named.

    Raises BrokenFile where it can't be read, and ForeignFile where it is of another schema or task.
    """
    return _checked(read_as(file, Record, SCHEMA), file, task)


def read_abilities(file: Path, task: str | None = None) -> Abilities:
    """Like `read_record`."""
    return _checked(read_as(file, Abilities, SCHEMA), file, task)


def _checked(found: OnDisk, file: Path, task: str | None) -> OnDisk:
    if task is not None and found.task != task:
        raise ForeignFile(
            f"{file} is a record of the task {found.task}, not {task}: it is of another "
            "run; delete it or move it there"
        )
    return found


def write_record(file: Path, record: Record | Abilities) -> None:
    write_as(file, record)


def single_pass_of(records: Iterable[Record], model: str) -> Record | None:
    """The record of a model's single pass."""
    return next((r for r in records if r.model == model and r.single_pass), None)

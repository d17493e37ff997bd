"""What tuning writes down: how a checkpoint did, a line of the log, the result of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core import seals
from ltf_lite.core.files import CHANGED, BrokenFile, write_text
from ltf_lite.core.seals import hash_bytes


@dataclass(frozen=True)
class Validation:
    """How a checkpoint did on the validation problems.

    `success` is the rate of its single pass on `n` problems, with its 95 % interval; `valid_steps`
    is the share of steps that are legal and right, None where the task has no steps to check.
    `abilities` has the number of each, `kept` that over the base's, None where the base has 0.
    `shortfall` is by how much the worst ability misses its floor, 0 where none does.
    """

    success: float
    low: float = 0.0
    high: float = 1.0
    n: int = 0
    valid_steps: float | None = None
    abilities: dict[str, float] = field(default_factory=dict)
    kept: dict[str, float | None] = field(default_factory=dict)
    shortfall: float = 0.0

    @property
    def rank(self) -> tuple[float, float]:
        """What the kept adapter has most of: nothing lost below a floor, then success."""
        return -self.shortfall, self.success


@dataclass(frozen=True)
class LogLine:
    """One validation and the steps since the one before.

    `learning`, `forgetting` and `replay` are mean losses of those steps (nats a token), `rate` is
    the learning rate, `seconds` are of training alone since its start. `weight` is that of a
    forgotten token in J beside a learnt one's, 0 where tokens are not weighed.
    """

    step: int
    learning: float
    forgetting: float
    rate: float
    seconds: float
    validation: Validation
    replay: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True)
class Best:
    """The kept adapter: at which step it was written, and how it did."""

    step: int
    validation: Validation


@dataclass(frozen=True)
class Sides:
    """A count of successes, of failures, and of what the base said while it searched."""

    success: int = 0
    failed: int = 0
    replay: int = 0

    @property
    def total(self) -> int:
        return self.success + self.failed + self.replay


@dataclass(frozen=True)
class TuningResult:
    """What a tuning run came to: the step that was kept, how it did, what it cost.

    `tokens` went through training, `dropped` examples did not: they were too long or had nothing
    to forget. `padding` is the share of what was computed that was no token of an example.
    `precision` is what the base computed in. `micro_batch` is how many successes went through one
    pass.
    """

    step: int
    validation: Validation
    seconds: float
    tokens: Sides
    tokens_per_second: float
    loader: str
    micro_batch: int
    trainable_parameters: int
    dropped: Sides
    padding: float = 0.0
    precision: str = ""


@dataclass
class Tally:
    """What a run counts; it lies in every checkpoint. Seconds are of training alone."""

    seconds: float = 0.0
    success_tokens: int = 0
    failed_tokens: int = 0
    replay_tokens: int = 0
    computed: int = 0  # tokens and padding
    learning: float = 0.0  # all three: summed over the steps since the last validation
    forgetting: float = 0.0
    replay: float = 0.0
    summed: int = 0
    learn: int = 0  # both: marked tokens since the last validation
    forget: int = 0
    first: tuple[float, ...] | None = None  # the losses of the first look
    pieces: int = 1  # that a micro-batch is cut into, as many as the device needs

    def begin(self) -> None:
        """Count anew what is counted between two validations."""
        self.learning = self.forgetting = self.replay = 0.0
        self.summed = self.learn = self.forget = 0


BEGINS = b'{"step"'  # a line of the log
_lines = TypeAdapter(LogLine)


def read_log(path: Path) -> list[LogLine]:
    """The lines of a log, none where there is no log; half a line at its end is left out.

    Raises BrokenFile where another line is no line of a log, or they are not what was written.
    """
    if not path.is_file():
        return []
    lines, newline, half = path.read_bytes().rpartition(b"\n")
    if not half.startswith(BEGINS[: len(half)]):
        raise BrokenFile(path)
    if not seals.unchanged(path, hash_bytes(lines + newline)):
        raise BrokenFile(path, CHANGED)
    try:
        return [_lines.validate_json(line) for line in lines.split(b"\n") if newline]
    except ValidationError:
        raise BrokenFile(path) from None


def append_log(path: Path, line: LogLine) -> None:
    _write_log(path, [*read_log(path), line])


def rewind_log(path: Path, step: int) -> None:
    """Drop the lines after a step, and one that was cut off."""
    if kept := [line for line in read_log(path) if line.step <= step]:
        _write_log(path, kept)
    else:
        path.unlink(missing_ok=True)  # no empty log is ever a whole one


def _write_log(path: Path, lines: Sequence[LogLine]) -> None:
    write_text(path, "".join(_written(line) for line in lines))


def best_line(lines: Sequence[LogLine]) -> LogLine:
    """The line of the adapter that was kept: of equals the later one."""
    return max(reversed(lines), key=lambda line: line.validation.rank)


def _written(line: LogLine) -> str:
    return json.dumps(_lines.dump_python(line, mode="json"), allow_nan=False) + "\n"

"""What the tuned model answers against what the base does, problem by problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from ltf_lite.evaluation.significance import discordant, mcnemar, paired_interval
from ltf_lite.evaluation.success import FEW
from ltf_lite.evaluation.types import Record
from ltf_lite.reasoners import Choice

REAL = 0.05  # p below which a difference is called real
SEED = 0  # of the bootstrap: the same records give the same interval


@dataclass(frozen=True)
class Side:
    """One way of answering and its rate over the problems that are compared."""

    model: str
    reasoner: str
    label: str
    settings: dict[str, object]
    choice: Choice
    rate: float


@dataclass(frozen=True)
class Difference:
    """Two ways of answering the same `n` problems.

    `points` is the difference first - second in points, with its 95 % interval. `b` problems only
    the first solved, `c` only the second. `p` is McNemar's.
    """

    first: Side
    second: Side
    n: int
    points: float
    low: float
    high: float
    b: int
    c: int
    p: float

    @property
    def real(self) -> bool:
        """Whether these problems tell the two apart."""
        return self.n >= FEW and self.p < REAL


@dataclass(frozen=True)
class Answered:
    """A way of answering, and by problem whether it was right."""

    record: Record
    choice: Choice
    right: dict[str, bool]

    @property
    def single(self) -> bool:
        return self.choice.kind == "single_pass"

    def side(self, right: list[bool]) -> Side:
        made = self.record
        return Side(made.model, made.reasoner, made.label, made.settings, self.choice, fmean(right))


def compared(records: Iterable[Record]) -> list[Difference]:
    """The tuned single pass against the base's single pass and each of the base's searches.

    Only the problems that both answered count.
    """
    answered = _answered(records)
    tuned = next((one for one in answered if one.record.model == "tuned" and one.single), None)
    if tuned is None:
        return []
    others = [
        one
        for one in answered
        if one.record.model == "base" and (not one.single or one.record.label == tuned.record.label)
    ]
    others.sort(key=lambda one: not one.single)
    return [_difference(tuned, one) for one in others if tuned.right.keys() & one.right.keys()]


def same_reasoner(records: Iterable[Record]) -> list[Difference]:
    """What the tuned model answers against what the base answers in the very same way.

    A row for each reasoner, settings and choice that both were asked with, the single pass among
    them. The mean over samples chooses nothing and has no row.
    """
    answered = _answered(records)
    base = {(o.record.label, o.choice): o for o in answered if o.record.model == "base"}
    pairs = (
        (one, base.get((one.record.label, one.choice)))
        for one in answered
        if one.record.model == "tuned"
    )
    return [
        _difference(one, other)
        for one, other in pairs
        if other and one.right.keys() & other.right.keys()
    ]


def _answered(records: Iterable[Record]) -> list[Answered]:
    """What records tell of each choice; an oracle is no way of answering."""
    found = []
    for record in records:
        names = [problem.id for problem in record.problems]
        for scored in record.scored:
            if scored.solved is not None and not scored.choice.is_bound:
                marks = (mark == "1" for mark in scored.solved)
                right = dict(zip(names, marks, strict=True))
                found.append(Answered(record, scored.choice, right))
    return found


def _difference(tuned: Answered, other: Answered) -> Difference:
    shared = [name for name in tuned.right if name in other.right]
    first, second = ([one.right[name] for name in shared] for one in (tuned, other))
    low, high = paired_interval(first, second, SEED)
    b, c = discordant(first, second)
    return Difference(
        first=tuned.side(first),
        second=other.side(second),
        n=len(shared),
        points=100 * (b - c) / len(shared),
        low=100 * low,
        high=100 * high,
        b=b,
        c=c,
        p=mcnemar(first, second),
    )

"""Whether a model still does what it did when it was first measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ltf_lite.evaluation.history import Measurement
from ltf_lite.evaluation.retention import HELDOUT_NLL
from ltf_lite.evaluation.significance import Part, mcnemar, paired_p

LEVEL = 0.05  # that any verdict of one measurement is a false alarm
SEED = 0  # of the draws: the same measurements give the same p

Fate = Literal["fallen", "ok", "first"]


@dataclass(frozen=True)
class Seen:
    """A value with its 95 % interval, and when it was measured (UTC)."""

    at: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Judged:
    """An ability now and when it was first measured.

    `difference` is now - first, `p` its two-sided p; None where nothing was measured before. A rate
    has fallen when it is lower, the NLL of a text when it is higher.
    """

    ability: str
    label: str
    n: int
    now: Seen
    first: Seen | None
    difference: float | None
    p: float | None
    verdict: Fate


def judged(
    now: Sequence[Measurement], first: Sequence[Measurement | None]
) -> tuple[list[Judged], float]:
    """Each ability, `first` beside `now`, and the p below which a fall is significant.

    That p is LEVEL over the number of abilities compared (Bonferroni).
    """
    level = LEVEL / max(1, sum(one is not None for one in first))
    return [_judged(*pair, level) for pair in zip(now, first, strict=True)], level


def parts(each: Any) -> list[Part]:
    """(numerator, denominator) that every problem adds to a measurement."""
    values = map(int, each) if isinstance(each, str) else each
    return [tuple(value) if isinstance(value, list | tuple) else (value, 1) for value in values]


def _judged(now: Measurement, first: Measurement | None, level: float) -> Judged:
    known = now.ability, now.label, now.n, _seen(now)
    if first is None:
        return Judged(*known, None, None, None, "first")
    p, difference = _p(first, now), now.value - first.value
    worse = difference > 0 if now.ability == HELDOUT_NLL else difference < 0
    verdict: Fate = "fallen" if worse and p < level else "ok"
    return Judged(*known, _seen(first), difference, p, verdict)


def _p(first: Measurement, now: Measurement) -> float:
    if isinstance(now.each, str):
        return mcnemar(*([mark == "1" for mark in one.each] for one in (first, now)))
    return paired_p(parts(first.each), parts(now.each), SEED)


def _seen(one: Measurement) -> Seen:
    return Seen(one.at, one.value, one.low, one.high)

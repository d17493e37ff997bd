"""Whether a model still does what it did when it was first measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ltf_lite.evaluation.history import Measurement
from ltf_lite.evaluation.retention import HELDOUT_NLL
from ltf_lite.evaluation.significance import Part, mcnemar, paired_p

LEVEL = 0.05  # that any verdict of one measurement is a false alarm
SEED = 0  # of the draws: the same measurements give the same p
FALLEN, OK, FIRST = "fallen", "ok", "first"


def judged(
    now: Sequence[Measurement], first: Sequence[Measurement | None]
) -> tuple[list[dict[str, Any]], float]:
    """A row for each ability, `first` beside `now`, and the p below which a fall is significant.

    That p is LEVEL over the number of abilities compared (Bonferroni). A row has the `difference`
    now - first (None where nothing was measured before), its two-sided `p`, and the `verdict`:
    fallen, ok or first. Rates fall when they are lower, the NLL of a text when it is higher.
    """
    level = LEVEL / max(1, sum(one is not None for one in first))
    return [_row(*pair, level) for pair in zip(now, first, strict=True)], level


def parts(each: Any) -> list[Part]:
    """What every problem adds to a measurement, above and below."""
    values = map(int, each) if isinstance(each, str) else each
    return [tuple(value) if isinstance(value, list | tuple) else (value, 1) for value in values]


def _row(now: Measurement, first: Measurement | None, level: float) -> dict[str, Any]:
    told = {"ability": now.ability, "label": now.label, "n": now.n, "now": _value(now)}
    if first is None:
        return {**told, "first": None, "difference": None, "p": None, "verdict": FIRST}
    p, difference = _p(first, now), now.value - first.value
    worse = difference > 0 if now.ability == HELDOUT_NLL else difference < 0
    verdict = FALLEN if worse and p < level else OK
    return {**told, "first": _value(first), "difference": difference, "p": p, "verdict": verdict}


def _p(first: Measurement, now: Measurement) -> float:
    if isinstance(now.each, str):
        return mcnemar(*([mark == "1" for mark in one.each] for one in (first, now)))
    return paired_p(parts(first.each), parts(now.each), SEED)


def _value(one: Measurement) -> dict[str, Any]:
    return {"at": one.at, "value": one.value, "low": one.low, "high": one.high}

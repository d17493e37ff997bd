"""What the tuned model answers against what the base does, problem by problem."""

from __future__ import annotations

import json
from collections.abc import Iterable
from statistics import fmean
from typing import Any, NamedTuple

from ltf_lite.evaluation.significance import discordant, mcnemar, paired_interval

SEED = 0  # of the bootstrap: the same records give the same interval


class Side(NamedTuple):
    """One way of answering, and by problem whether it was right."""

    model: str
    choice: str
    label: str
    right: dict[str, bool]


def compared(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tuned single pass against the base's single pass and each of the base's searches.

    `records` are a run's evaluation records as they lie on disk. A row has `first` (tuned) and
    `second`, each with model, choice, label and rate over the `n` problems that both answered; the
    difference first - second in `points` and its 95 % interval `low` and `high` in points; `b` and
    `c`, the problems that only the first and only the second solved; and McNemar's `p`.
    """
    sides = _sides(records)
    tuned = next((s for s in sides if s.model == "tuned" and s.choice == "greedy"), None)
    if tuned is None:
        return []
    others = [
        side
        for side in sides
        if side.model == "base" and (side.choice != "greedy" or side.label == tuned.label)
    ]
    others.sort(key=lambda side: side.choice != "greedy")
    return [_row(tuned, side) for side in others if tuned.right.keys() & side.right.keys()]


def same_reasoner(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the tuned model answers against what the base answers in the very same way.

    A row for each reasoner, settings and choice that both were asked with, single pass among them,
    of the same shape as those of `compared`. The mean over samples chooses nothing and has no row.
    """
    sides = _sides(records)
    base = {(side.label, side.choice): side for side in sides if side.model == "base"}
    pairs = ((s, base.get((s.label, s.choice))) for s in sides if s.model == "tuned")
    return [_row(s, other) for s, other in pairs if other and s.right.keys() & other.right.keys()]


def _sides(records: Iterable[dict[str, Any]]) -> list[Side]:
    """What records tell of each choice; an oracle is no way of answering."""
    found = []
    for record in records:
        names = [key(problem) for problem in record["problems"]]
        for choice, marks in record["solved"].items():
            if not choice.startswith("oracle"):
                right = dict(zip(names, (mark == "1" for mark in marks), strict=True))
                found.append(Side(record["model"], choice, record["label"], right))
    return found


def key(problem: dict[str, Any]) -> str:
    """What a record's problem is known by in others."""
    return json.dumps(problem, sort_keys=True)


def _row(tuned: Side, other: Side) -> dict[str, Any]:
    shared = [name for name in tuned.right if name in other.right]
    first, second = ([side.right[name] for name in shared] for side in (tuned, other))
    low, high = paired_interval(first, second, SEED)
    b, c = discordant(first, second)
    return {
        "first": _facts(tuned, first), "second": _facts(other, second), "n": len(shared),
        "points": 100 * (b - c) / len(shared), "low": 100 * low, "high": 100 * high,
        "b": b, "c": c, "p": mcnemar(first, second),
    }  # fmt: skip


def _facts(side: Side, right: list[bool]) -> dict[str, Any]:
    return {
        "model": side.model, "choice": side.choice, "label": side.label, "rate": fmean(right),
    }  # fmt: skip

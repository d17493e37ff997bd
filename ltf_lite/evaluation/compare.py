"""The tuned single pass against what the base does on the same problems, problem by problem."""

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
    `c`, the problems that only the first and only the second solved; and McNemar's `p`. An answer
    of an older record that doesn't say which problems it solved has no row.
    """
    sides = [side for record in records for side in _sides(record)]
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


def _sides(record: dict[str, Any]) -> list[Side]:
    """What a record tells of each choice; an oracle is no way of answering."""
    if "solved" in record:
        names = [_name(problem) for problem in record["problems"]]
        told = {
            choice: dict(zip(names, (mark == "1" for mark in marks), strict=True))
            for choice, marks in record["solved"].items()
            if not choice.startswith("oracle")
        }
    elif "greedy" in record["rates"]:  # older, but with one path a problem there is no doubt
        paths = record.get("paths", ())
        told = {"greedy": {_name(path["problem"]): path["correct"] for path in paths}}
    else:
        told = {}
    model, label = record["model"], record["label"]
    return [Side(model, choice, label, right) for choice, right in told.items()]


def _name(problem: dict[str, Any]) -> str:
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

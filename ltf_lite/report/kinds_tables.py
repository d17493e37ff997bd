"""How paths failed before and after tuning, and which of them were trained on, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltf_lite.evaluation import wilson
from ltf_lite.harvest import solved
from ltf_lite.report.results import records
from ltf_lite.report.tables import Cell, Table, cell, rate, share
from ltf_lite.tasks.base import KINDS

ENDS = ("success", *KINDS)


def kinds_table(folder: Path) -> Table:
    """How the paths of every model and reasoner ended, as shares of its paths."""
    found = [r for r in records(folder) if r["model"] != "none" and sum(r["kinds"].values())]
    ends = [end for end in ENDS if end == "success" or any(end in r["kinds"] for r in found)]
    return Table(
        "kinds", "How the paths ended",
        ("model", "reasoner", "paths", *ends),
        [
            (cell(r["model"]), cell(r["label"]), cell(sum(r["kinds"].values()), "{:,}"),
             *(share(part(r, end)) for end in ends))
            for r in found
        ],
        "Shares of the paths that were followed to an end, those that a search tried among them.",
    )  # fmt: skip


def part(record: Mapping[str, Any], end: str) -> float:
    """The share of a record's paths that ended so."""
    return record["kinds"].get(end, 0) / sum(record["kinds"].values())


def kind_changes(found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Reasoner → change of the share of each failure kind that it had, tuned less base, in points.

    `found` are the records of `report.results.records`; a reasoner that only one was asked with is
    left out.
    """
    by_label: dict[str, dict[str, Mapping[str, Any]]] = {}
    for record in found:
        if sum(record["kinds"].values()):
            by_label.setdefault(record["label"], {})[record["model"]] = record
    return {
        label: {
            kind: 100 * (part(own["tuned"], kind) - part(own["base"], kind))
            for kind in KINDS
            if kind in own["base"]["kinds"] or kind in own["tuned"]["kinds"]
        }
        for label, own in by_label.items()
        if {"base", "tuned"} <= own.keys()
    }


def kinds_change_table(found: Sequence[Mapping[str, Any]]) -> Table | None:
    """By reasoner, which kinds went away with tuning and which came, in points; None without.

    `found` are the records of `report.results.records`.
    """
    changes = kind_changes(found)
    kinds = [kind for kind in KINDS if any(kind in own for own in changes.values())]
    if not kinds:
        return None
    return Table(
        "kinds_change", "Which kinds went away and which came: tuned less base, points",
        ("reasoner", *kinds, "went away", "came"),
        [
            (cell(label), *(cell(own.get(kind, 0.0), "{:+.1f}") for kind in kinds),
             _named(own, -1), _named(own, 1))
            for label, own in changes.items()
        ],
        "Points of the share of all paths. Went away and came name the kinds that changed by a "
        "point or more, the largest change first.",
    )  # fmt: skip


def _named(changes: Mapping[str, float], sign: int) -> Cell:
    """The kinds that became rarer (-1) or more frequent (1), the largest change first."""
    moved = [kind for kind in changes if sign * changes[kind] >= 1]
    return cell(", ".join(sorted(moved, key=lambda kind: -sign * changes[kind])) or None)


def searched_table(folder: Path, asked: Mapping[str, int]) -> Table:
    """Of how many training problems each reasoner found a right path; `asked` is of how many."""
    found = solved(folder / "harvest")
    return Table(
        "searched", "What the search solved of the training problems",
        ("reasoner", "problems", "solved [95 %]"),
        [
            (cell(label), cell(n, "{:,}"), rate(_wilson(found.get(label, 0), n)))
            for label, n in asked.items()
        ],
        "Solved: a right path is among those harvested, whichever the reasoner would have chosen.",
    )  # fmt: skip


def _wilson(count: int, n: int) -> dict[str, float]:
    low, high = wilson(count, n)
    return {"rate": count / n, "low": low, "high": high}


def examples_table(examples: Mapping[str, Any]) -> Table | None:
    """What was harvested and what was trained on, by reasoner; None for an older run's record."""
    if "taken" not in examples:
        return None
    taken, found = examples["taken"], examples["found"]
    names = list(dict.fromkeys([*found, *taken]))
    ends = [end for end in ENDS if any(end in found.get(n, {}) for n in names)]
    return Table(
        "examples", "What was trained on",
        ("reasoner", "taken", "of", *ends),
        [
            (cell(name), cell(sum(taken.get(name, {}).values()), "{:,}"),
             cell(sum(found.get(name, {}).values()), "{:,}"),
             *(_of(taken.get(name, {}).get(end, 0), found.get(name, {}).get(end, 0))
               for end in ends))
            for name in names
        ],
        "Taken of found, by how the path ended. Left out as doubles of what is forgotten: "
        f"{examples['doubles']:,}; failures in which there was nothing to forget: "
        f"{examples['nothing_to_forget']:,}.",
    )  # fmt: skip


def _of(taken: int, found: int) -> Cell:
    return Cell(taken, f"{taken:,} of {found:,}") if found else cell(None)

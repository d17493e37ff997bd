"""How paths failed before and after tuning, and which of them were trained on, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ltf_lite.evaluation.success import rate_of
from ltf_lite.evaluation.types import Record
from ltf_lite.harvest.browse import Found, solved
from ltf_lite.harvest.sampling import Taken
from ltf_lite.harvest.store import ROUND
from ltf_lite.report.kinds import Titles, ends_of, ordered, title_in, titles_of
from ltf_lite.report.tables.base import Cell, Table, cell, rate, share


def with_paths(records: Sequence[Record]) -> list[Record]:
    """The records of models that followed any path to an end."""
    return [r for r in records if r.model != "none" and any(r.kinds.values())]


def kinds_table(records: Sequence[Record], kinds: Sequence[str]) -> Table | None:
    """How the paths of every model and reasoner ended, as shares of its paths; None without."""
    found = with_paths(records)
    if not found:
        return None
    ends, titles = ends_of(kinds, [r.kinds for r in found]), titles_of(found)
    return Table(
        "kinds",
        "How the paths ended",
        ("model", "reasoner", "paths", *ends),
        [
            (
                cell(r.model),
                Cell(r.label, titles[r.label]),
                cell(sum(r.kinds.values()), "{:,}"),
                *(share(part(r, end)) for end in ends),
            )
            for r in found
        ],
        "Shares of the paths that were followed to an end, those that a search tried among them.",
    )


def part(record: Record, end: str) -> float:
    """The share of a record's paths that ended so."""
    return record.kinds.get(end, 0) / sum(record.kinds.values())


def kind_changes(records: Sequence[Record], kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Reasoner → change of the share of each failure kind that it had, tuned less base, in points.

    A reasoner that only one of the models was asked with is left out.
    """
    by_label: dict[str, dict[str, Record]] = {}
    for record in records:
        if sum(record.kinds.values()):
            by_label.setdefault(record.label, {})[record.model] = record
    pairs = {
        label: (own["base"], own["tuned"])
        for label, own in by_label.items()
        if {"base", "tuned"} <= own.keys()
    }
    return {
        label: {
            kind: 100 * (part(tuned, kind) - part(base, kind))
            for kind in kinds
            if kind in base.kinds or kind in tuned.kinds
        }
        for label, (base, tuned) in pairs.items()
    }


def kinds_change_table(records: Sequence[Record], kinds: Sequence[str]) -> Table | None:
    """By reasoner, which kinds went away with tuning and which came, in points; None without."""
    changes, titles = kind_changes(records, kinds), titles_of(records)
    shown = [kind for kind in kinds if any(kind in own for own in changes.values())]
    if not shown:
        return None
    return Table(
        "kinds_change",
        "Which kinds went away and which came: tuned less base, points",
        ("reasoner", *shown, "went away", "came"),
        [
            (
                Cell(label, titles[label]),
                *(cell(own.get(kind, 0.0), "{:+.1f}") for kind in shown),
                _named(own, -1),
                _named(own, 1),
            )
            for label, own in changes.items()
        ],
        "Points of the share of all paths. Went away and came name the kinds that changed by a "
        "point or more, the largest change first.",
    )


def _named(changes: Mapping[str, float], sign: int) -> Cell:
    """The kinds that became rarer (-1) or more frequent (1), the largest change first."""
    moved = [kind for kind in changes if sign * changes[kind] >= 1]
    return cell(", ".join(sorted(moved, key=lambda kind: -sign * changes[kind])) or None)


def searched_table(
    harvest: Path, asked: Mapping[str, int], titles: Titles = MappingProxyType({})
) -> Table:
    """Of how many training problems each reasoner found a right path; `asked` is of how many.

    A reasoner that was asked again in a later round has a row for each.
    """
    found = solved(harvest)
    later = {label: asked.get(label.partition(ROUND)[0]) for label in found if ROUND in label}
    asked = {**asked, **{label: n for label, n in later.items() if n is not None}}
    return Table(
        "searched",
        "What the search solved of the training problems",
        ("reasoner", "problems", "solved [95 %]"),
        [
            (
                Cell(label, title_in(titles, label)),
                cell(n, "{:,}"),
                rate(rate_of(found.get(label, 0), n)),
            )
            for label, n in asked.items()
        ],
        "Solved: a right path is among those harvested, whichever the reasoner would have chosen.",
    )


def examples_table(
    examples: Taken, known: Sequence[str], titles: Titles = MappingProxyType({})
) -> Table:
    """What was harvested and what was trained on, by reasoner."""
    taken, found = examples.taken, examples.found
    names = list(dict.fromkeys([*found, *taken]))
    counts = [found.get(name, {}) for name in names]
    kinds = ordered(known, (kind for count in counts for kind in count))
    ends = [end for end in ends_of(kinds, counts) if any(end in count for count in counts)]
    return Table(
        "examples",
        "What was trained on",
        ("reasoner", "taken", "of", *ends),
        [
            (
                Cell(name, title_in(titles, name)),
                cell(sum(taken.get(name, {}).values()), "{:,}"),
                cell(sum(found.get(name, {}).values()), "{:,}"),
                *(
                    _of(taken.get(name, {}).get(end, 0), found.get(name, {}).get(end, 0))
                    for end in ends
                ),
            )
            for name in names
        ],
        "Taken of found, by how the path ended. Left out as doubles of what is forgotten: "
        f"{examples.doubles:,}; failures in which there was nothing to forget: "
        f"{examples.nothing_to_forget:,}{_unwritable(examples)}.",
    )


def fatal_table(found: Sequence[Found]) -> Table:
    """How fatal steps were found where the verifier does not tell them, and what that cost."""
    return Table(
        "fatal_steps",
        "How fatal steps were found",
        ("way", "failed paths", "completions", "tokens", "engine seconds"),
        [
            (
                cell(row.by),
                cell(row.paths, "{:,}"),
                cell(row.completions, "{:,}"),
                cell(row.tokens, "{:,}"),
                cell(row.seconds, "{:,.1f}"),
            )
            for row in found
        ],
        "brother: the path leaves a right path of its problem there. rollouts: no completion by "
        "the model is right after it. whole: nobody knows. What it cost is part of the search's.",
    )


def _unwritable(examples: Taken) -> str:
    if not examples.unwritable:
        return ""
    return f"; paths that the learnt dialect cannot write: {examples.unwritable:,}"


def _of(taken: int, found: int) -> Cell:
    return Cell(taken, f"{taken:,} of {found:,}") if found else cell(None)

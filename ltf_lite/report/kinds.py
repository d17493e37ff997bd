"""The failure kinds of a report: in which order they stand, what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ltf_lite.evaluation.types import Record
from ltf_lite.tasks import Task

SUCCESS = "success"  # how a path ends that is right: it counts beside the kinds


def kinds_of(task: Task, records: Iterable[Record]) -> list[str]:
    """Every failure kind of a task in its own order, then any others of the records, sorted."""
    return ordered(task.kinds, (kind for record in records for kind in record.kinds))


def ordered(known: Iterable[str], found: Iterable[str]) -> list[str]:
    """The known kinds, then those found beside them, sorted; success is none of them."""
    first = list(known)
    return [*first, *sorted(set(found) - {*first, SUCCESS})]


def ends_of(kinds: Sequence[str], found: Iterable[Mapping[str, int]]) -> list[str]:
    """Success, then the kinds that occur in any of these counts."""
    counts = list(found)
    return [SUCCESS, *(kind for kind in kinds if any(kind in count for count in counts))]


def word_of(kind: str, words: Mapping[str, str]) -> str:
    """What a kind is called."""
    return words.get(kind, kind.replace("_", " "))

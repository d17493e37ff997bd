"""The failure kinds of a report: in which order they stand, what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ltf_lite.evaluation.naming import title_of, worded
from ltf_lite.evaluation.types import Record
from ltf_lite.harvest.store import ROUND
from ltf_lite.presets import Preset
from ltf_lite.tasks import Task

Titles = Mapping[str, str]
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


def titles_of(records: Iterable[Record], words: Mapping[str, str] = MappingProxyType({})) -> Titles:
    """What each reasoner of these records is called, by its label."""
    return {
        record.label: worded(
            record.reasoner, record.settings, record.single_pass is not None, words
        )
        for record in records
    }


def titles_in(preset: Preset, words: Mapping[str, str] = MappingProxyType({})) -> Titles:
    """What each reasoner of a preset's search is called, by its label."""
    return {
        each.label: worded(each.name, each.settings(), each.single_pass, words)
        for each in preset.search
    }


def title_in(titles: Titles, label: str) -> str:
    """What a label of the harvest is called, with its round where it has one."""
    own, mark, number = label.partition(ROUND)
    return titles.get(own, title_of(own)) + mark + number

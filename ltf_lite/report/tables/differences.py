"""Which differences between ways of answering are real, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ltf_lite.core.folder import RunFolder
from ltf_lite.evaluation.compare import Difference, compared, same_reasoner
from ltf_lite.evaluation.naming import name_of, title_of
from ltf_lite.evaluation.success import FEW
from ltf_lite.evaluation.types import read_record
from ltf_lite.report.results import record_files
from ltf_lite.report.tables.base import Cell, Table, cell, share
from ltf_lite.report.tables.success import Files, stamped

ABOUT = (
    "On the problems that both were asked. p is how often chance alone would split the problems "
    "that only one of them solved at least this unevenly (McNemar's exact test); below 0.05 the "
    "difference is called real, and above it these problems can't tell the two apart, which does "
    "not prove them equal. Intervals: paired bootstrap over problems. p is not corrected for the "
    "number of rows."
)


class Differences(NamedTuple):
    """A run's: the tuned single pass against the base's answers, and each answer with itself."""

    single: list[Difference]
    same: list[Difference]


def differences(folder: RunFolder, task: str | None = None) -> Differences:
    """The rows of `compared` and of `same_reasoner` for a run."""
    return _differences_of(stamped(record_files(folder)), task)


@lru_cache(maxsize=8)  # thousands of resamples a row: a moment, but not at every look at a run
def _differences_of(files: Files, task: str | None) -> Differences:
    found = [read_record(file, task) for file, _ in files]
    return Differences(compared(found), same_reasoner(found))


def difference_table(found: Sequence[Difference]) -> Table | None:
    """The tuned single pass against the base's answers to the same problems; None without any."""
    return _table(
        "single_pass_differences",
        "The tuned single pass against each answer of the base",
        ("the base's", "tuned single pass", "base"),
        found,
    )


def same_table(found: Sequence[Difference]) -> Table | None:
    """Every way of answering before and after tuning, on the same problems; None without any."""
    return _table(
        "same_reasoner_differences",
        "Each answer after tuning against the same before it",
        ("answer", "tuned", "base"),
        found,
    )


def _table(
    name: str, title: str, head: tuple[str, str, str], found: Sequence[Difference]
) -> Table | None:
    if not found:
        return None
    first, *sides = head
    columns = (
        first,
        "n",
        *sides,
        "difference, points [95 %]",
        "only tuned solved",
        "only base solved",
        "p",
        "real?",
    )
    return Table(name, title, columns, [_row(each) for each in found], ABOUT)


def _row(found: Difference) -> tuple[Cell, ...]:
    other, p = found.second, found.p
    return (
        cell(name_of(other.choice, title_of(other.reasoner), other.settings)),
        cell(found.n),
        share(found.first.rate),
        share(other.rate),
        points(found),
        cell(found.b),
        cell(found.c),
        Cell(p, f"{p:.2g}" if p >= 1e-4 else "< 0.0001"),
        cell(real(found)),
    )


def points(found: Difference) -> Cell:
    """A difference in points with its interval."""
    shown = f"{found.points:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"
    return Cell(found.points, shown, found.low, found.high)


def real(found: Difference) -> str:
    """What a difference allows to say."""
    if found.n < FEW:
        return "too few problems to conclude anything"
    return "yes" if found.real else "can't tell"

"""The tables of a report: one source for the page, the app's Markdown and results.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ltf_lite.core.text import signs
from ltf_lite.evaluation.types import Rate

NONE = "–"
# How a formula of a spreadsheet begins, also behind what another one takes for the end of a cell.
FORMULA = re.compile(r"(?:^|;)\s*[=+\-@＝＋－＠]|^[\t\r]")
NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( %)?( \[[-+\d.,e %]*\])?")
COLUMNS = ("table", "row", "column", "value", "low", "high", "shown")


class Cell(NamedTuple):
    """A value, how a person reads it, and its 95 % interval if it has one."""

    value: Any
    shown: str
    low: float | None = None
    high: float | None = None


class Table(NamedTuple):
    """Rows of cells under a head; `name` is what results.csv calls it, `note` stands below it."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    note: str = ""


def cell(value: Any, form: str = "{}", times: float = 1) -> Cell:
    """A value shown by a format, numbers that many times as large; None as a dash."""
    if value is None:
        return Cell(None, NONE)
    return Cell(value, form.format(value if times == 1 else times * value))


def share(value: float | None) -> Cell:
    return cell(value, "{:.1f} %", 100)


def rate(found: Rate) -> Cell:
    """A rate with its interval."""
    return Cell(found.rate, percent(found), found.low, found.high)


def percent(found: Rate) -> str:
    return f"{100 * found.rate:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def without_empty(table: Table, *keep: str) -> Table:
    """The table without the columns in which no row has a value, but for those to keep."""
    columns = list(zip(*table.rows, strict=True))
    kept = [
        at
        for at, name in enumerate(table.head)
        if name in keep or any(each.value is not None for each in columns[at])
    ]
    return table._replace(
        head=tuple(table.head[at] for at in kept),
        rows=[tuple(row[at] for at in kept) for row in table.rows],
    )


def as_markdown(table: Table) -> str:
    """The table and its note, without its title, for a page that has one."""
    lines = grid(table.head, ([each.shown for each in row] for row in table.rows))
    return f"{lines}\n{table.note}\n" if table.note else lines


def grid(head: Iterable[Any], body: Iterable[Iterable[Any]]) -> str:
    """Rows of anything as a Markdown table."""
    lines = [[_flat(each) for each in line] for line in (head, *body)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _flat(each: Any) -> str:
    return signs(" ".join(str(each).split())).replace("|", "\\|")


def as_csv(tables: Sequence[Table]) -> str:
    """Every cell of the tables a line, with their titles and notes.

    Rows count from 1; a title or a note stands in a row without number.
    """
    return csv_text(_csv_rows(tables))


def _csv_rows(tables: Sequence[Table]) -> Iterator[Sequence[Any]]:
    yield COLUMNS
    for table in tables:
        for name, text in (("title", table.title), ("note", table.note)):
            if text:
                yield table.name, "", name, "", "", "", text
        for number, row in enumerate(table.rows, 1):
            for column, (value, shown, low, high) in zip(table.head, row, strict=True):
                yield table.name, number, column, value, low, high, shown


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV that any program reads as it is meant.

    Control characters and marks of direction become signs. An apostrophe stands before a text that
    a spreadsheet would take for a formula; numbers, alone or with their interval, stay.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([*map(_csv_cell, row)] for row in rows)
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None or isinstance(value, (int, float)):
        return value
    text = signs(str(value))
    return f"'{text}" if FORMULA.search(text) and not NUMBER.fullmatch(text) else text

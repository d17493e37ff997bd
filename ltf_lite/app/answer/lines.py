"""A file of problems, one a line: as JSON, as a row of a table, or as a person types it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import PurePath
from typing import Any, BinaryIO

from ltf_lite.app.answer.ask import posed
from ltf_lite.core.errors import LtfError
from ltf_lite.core.json_text import BLANK, Line, json_lines, text_lines
from ltf_lite.core.text import printable
from ltf_lite.tasks import Problem, Task, TaskError
from ltf_lite.tasks.table import READERS

TYPED, TABLES = ".txt", (".csv", ".tsv")  # any other ending is read as JSONL
PROBLEM, ID = "problem", "id"  # the columns or keys of a whole problem, and of a file's own name
COLUMNS = 6  # of a table that are told
TARGET = "target"  # the column of what a number game has to reach, if it stands apart
# Some whole numbers in one cell, as a table has to write a list.
LIST = re.compile(r"\[?\s*-?[0-9]{1,18}(?:[\s,;]+-?[0-9]{1,18})+\s*\]?")
LONGEST = 2000  # characters of such a cell


def lines_of(stream: BinaryIO, name: str, task: Task) -> Iterator[Line]:
    """Every line that is not blank, read as the ending of the file's name says.

    Raises what reading raises, and TaskError for a table that is none, or whose columns are not
    those of a problem.
    """
    ending = PurePath(name).suffix.lower()
    if ending in TABLES:
        rows = READERS[ending](io.BytesIO(stream.read()), name)  # a pipe can't be read twice
        lines = (Line(row.line, dict(row.data), table=True) for row in rows)
        if first := next(lines, None):
            _check_columns(task, first.data, name)
            yield from chain([first], lines)
        return
    read = text_lines if ending == TYPED else json_lines
    yield from (line for line in read(stream) if line.wrong != BLANK)


def problem_of(task: Task, line: Line) -> Problem | str:
    """The problem of a line, or the sentence that says why the line is none."""
    if line.wrong:
        return f"line {line.number} {line.wrong}"
    try:
        return _posed(task, line.data)
    except LtfError as error:
        return f"line {line.number}: {error}"


def id_of(line: Line) -> str | int | float | None:
    """What the file itself calls the problem of a line, in its column or key `id`."""
    found = _by_name(line.data).get(ID) if isinstance(line.data, dict) else None
    return found if isinstance(found, str | int | float) else None


def _by_name(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key.strip().lower(): own for key, own in data.items()}


def _check_columns(task: Task, row: Mapping[str, Any], name: str) -> None:
    """Refuse a table that has not the columns of a problem, or no names of columns at all."""
    known = _by_name(row)
    if PROBLEM in known or known.keys() >= set(task.parts):
        return
    parts = " and ".join(f"`{part}`" for part in task.parts)
    wanted = f"a column `{PROBLEM}`" + (f" or {parts}" if parts else "")
    there = ", ".join(repr(printable(name, 40)) for name in list(row)[:COLUMNS])
    raise TaskError(f"the first line of {name} has to name its columns, {wanted}; it names {there}")


def _posed(task: Task, data: Any) -> Problem:
    """The problem under its key, else of the whole line.

    Its lists may be written in words, and it may have an `id` that the task does not know.
    """
    given = data
    if isinstance(data, dict):
        own = _by_name(data)
        given = own.get(PROBLEM, {**data, **{key: own[key] for key in task.parts if key in own}})
        if task.aims and isinstance(given, str) and "->" not in given and own.get(TARGET):
            given = f"{given} -> {own[TARGET]}"
    *others, last = _readings(given)
    for each in others:
        with suppress(TaskError):
            return posed(task, each)
    return posed(task, last)


def _readings(given: Any) -> Iterator[Any]:
    """The data as it is, else without its `id`, else with its lists read."""
    yield given
    if isinstance(given, dict):
        bare = {key: own for key, own in given.items() if key.strip().lower() != ID}
        listed = {key: _list(own) if isinstance(own, str) else own for key, own in bare.items()}
        yield from (each for each in (bare, listed) if each != given)


def _list(cell: str) -> Any:
    if len(cell) > LONGEST:
        return cell
    cell = cell.strip()
    return [int(each) for each in re.findall("-?[0-9]+", cell)] if LIST.fullmatch(cell) else cell

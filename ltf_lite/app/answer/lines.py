"""A file of problems, one a line: as JSON, as a row of a table, or as a person types it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, BinaryIO

from ltf_lite.app.answer.ask import posed
from ltf_lite.core.errors import LtfError
from ltf_lite.core.json_text import BLANK, Line, json_lines, text_lines
from ltf_lite.tasks import Problem, Task, TaskError
from ltf_lite.tasks.table import READERS

TYPED, TABLES = ".txt", (".csv", ".tsv")  # any other ending is read as JSONL
PROBLEM = "problem"  # the column or the key of a whole problem
TARGET = "target"  # the column of what a number game has to reach, if it stands apart
# Some whole numbers in one cell, as a table has to write a list.
LIST = re.compile(r"\[?\s*-?[0-9]{1,18}(?:[\s,;]+-?[0-9]{1,18})+\s*\]?")
LONGEST = 2000  # characters of such a cell


def lines_of(stream: BinaryIO, name: str) -> Iterator[Line]:
    """Every line that is not blank, read as the ending of the file's name says.

    Raises what reading raises, and TaskError for a table that is none.
    """
    ending = PurePath(name).suffix.lower()
    if ending in TABLES:
        rows = READERS[ending](io.BytesIO(stream.read()), name)  # a pipe can't be read twice
        yield from (Line(row.line, dict(row.data)) for row in rows)
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


def _posed(task: Task, data: Any) -> Problem:
    """The problem under its key, else of the whole line; its lists may be written in words."""
    given = data
    if isinstance(data, dict):
        own = {key.strip().lower(): cell for key, cell in data.items()}
        given = own.get(PROBLEM, data)
        if task.aims and isinstance(given, str) and "->" not in given and own.get(TARGET):
            given = f"{given} -> {own[TARGET]}"
    try:
        return posed(task, given)
    except TaskError:
        listed = _listed(given)
        if listed == given:
            raise
        return posed(task, listed)


def _listed(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    return {key: _list(own) if isinstance(own, str) else own for key, own in given.items()}


def _list(cell: str) -> Any:
    if len(cell) > LONGEST:
        return cell
    cell = cell.strip()
    return [int(each) for each in re.findall("-?[0-9]+", cell)] if LIST.fullmatch(cell) else cell

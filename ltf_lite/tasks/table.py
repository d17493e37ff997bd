"""Rows of a file that a person brings: JSONL, JSON, CSV, TSV or parquet, one after the other.

Only a JSON file is held whole. What is wrong with a file is said with its line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ltf_lite.core.json_text import BLANK, BOM, json_lines
from ltf_lite.core.places import open_regular
from ltf_lite.core.text import sound
from ltf_lite.tasks.contract import TaskError

JSON_BYTES = 1 << 28  # of a .json file, which is read whole
CELL = 1 << 20  # characters of one cell of a CSV file
BATCH = 1000  # rows of a parquet file at a time


class Row(NamedTuple):
    """A row and the line it begins at, counted from 1 (in parquet and JSON: its number)."""

    line: int
    data: Mapping[str, Any]


def rows(file: str | Path) -> Iterator[Row]:
    """Every row of a file by its ending; raises TaskError with the line that cannot be read."""
    kind = READERS.get(Path(file).suffix.lower())
    if kind is None:
        raise TaskError(
            f"{file}: the ending says what a file holds, and this one is none of "
            f"{', '.join(READERS)}"
        )
    try:
        with open_regular(file) as stream:
            yield from kind(stream, str(file))
    except OSError as error:
        raise TaskError(f"cannot read {file}: {error.strerror or error}") from error


def _jsonl(stream: BinaryIO, name: str) -> Iterator[Row]:
    for line in json_lines(stream):
        if line.wrong and line.wrong != BLANK:
            raise TaskError(f"{name}, line {line.number} {line.wrong}")
        if not line.wrong:
            yield _row(line.data, name, line.number, "line")


def _json(stream: BinaryIO, name: str) -> Iterator[Row]:
    """A list of objects, an object that holds one such list, or an object of columns."""
    raw = stream.read(JSON_BYTES + 1)
    if len(raw) > JSON_BYTES:
        raise TaskError(f"{name} is longer than {JSON_BYTES >> 20} MB: write it as .jsonl")
    try:
        data = json.loads(raw.removeprefix(BOM).decode(), parse_constant=lambda name: None)
    except UnicodeDecodeError as error:
        raise TaskError(f"{name} is not UTF-8") from error
    except RecursionError as error:
        raise TaskError(f"{name} is nested too deeply") from error
    except ValueError as error:
        raise TaskError(f"{name} is not JSON: {error}") from error
    for number, each in enumerate(_listed(data, name), 1):
        yield _row(each, name, number, "row")


def _listed(data: Any, name: str) -> list[Any]:
    if isinstance(data, list):
        return data
    lists = {key: own for key, own in data.items() if isinstance(own, list)} if _is(data) else {}
    if len(lists) > 1 and len({len(own) for own in lists.values()}) == 1:
        return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if len(lists) == 1:
        return next(iter(lists.values()))
    raise TaskError(f"{name}: rows are a list of objects, as [{{...}}, {{...}}]")


def _is(data: Any) -> bool:
    return isinstance(data, Mapping)


def _separated(by: str) -> Callable[[BinaryIO, str], Iterator[Row]]:
    def read(stream: BinaryIO, name: str) -> Iterator[Row]:
        limit = csv.field_size_limit(CELL)  # of the whole process: it is put back
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        table = csv.reader(text, delimiter=_sign(stream, by), strict=True)
        names: list[str] = []
        line = 0
        try:
            for cells in table:
                before, line = line + 1, table.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if not names:
                    names = _header(cells, name)
                    continue
                if len(cells) != len(names):
                    told = f"{len(cells)} cells, not {len(names)}"
                    raise TaskError(f"{name}, line {before} has {told}")
                yield Row(before, dict(zip(names, cells, strict=True)))
        except UnicodeDecodeError as error:
            raise TaskError(f"{name}, line {line + 1} is not UTF-8") from error
        except csv.Error as error:
            raise TaskError(f"{name}, line {table.line_num}: {error}") from error
        finally:
            csv.field_size_limit(limit)

    return read


def _sign(stream: BinaryIO, by: str) -> str:
    """What parts the cells: semicolons where commas are decimal, as some programs write them."""
    first = stream.readline(CELL)
    stream.seek(0)
    return ";" if by == "," and first.count(b";") > first.count(b",") else by


def _header(cells: list[str], name: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    seen = set[str]()
    for each in names:
        if each in seen:
            raise TaskError(f"{name} has two columns {each!r}")
        seen.add(each)
    return names


def _parquet(stream: BinaryIO, name: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(stream) as table:
            for batch in table.iter_batches(BATCH):
                for each in batch.to_pylist():
                    number += 1
                    yield _row(each, name, number, "row")
    except (pa.ArrowException, ValueError) as error:
        if isinstance(error, TaskError):
            raise
        reason = str(error).splitlines()[0][:200]
        raise TaskError(f"{name} is no parquet file that can be read: {reason}") from error


def _row(data: Any, name: str, number: int, what: str) -> Row:
    if not isinstance(data, Mapping):
        shape = 'like {"question": "2 + 2?", "answer": "4"}'
        raise TaskError(f"{name}, {what} {number} is no object {shape}")
    return Row(number, data)


READERS: dict[str, Callable[[BinaryIO, str], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
}


def text_of(cell: Any) -> str:
    """A cell as text: numbers as they are written, None and blanks as nothing."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    # A page sends every line end as one sign: a question that is typed again is the same text.
    return sound(str(cell)).replace("\r\n", "\n").replace("\r", "\n").strip()

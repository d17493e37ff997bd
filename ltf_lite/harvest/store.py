"""The harvest on disk: append-only parquet shards of verified paths, read back without doubles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltf_lite.core.files import BrokenFile, ForeignFile, check, whole
from ltf_lite.core.spill import room, temporary
from ltf_lite.reasoners import Reasoner, Solution
from ltf_lite.tasks import Problem, Task

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("problem_id", pa.string()),
        ("problem", pa.string()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("correct", pa.bool_()),
        ("kind", pa.string()),
        ("fatal_step", pa.int32()),
        ("reasoner", pa.string()),
        ("settings", pa.string()),
        ("label", pa.string()),
        ("round", pa.int32()),
        ("engine", pa.string()),
        ("logprob", pa.float64()),
        ("tokens", pa.int32()),
        ("seed", pa.int64()),
        ("fatal_by", pa.string()),
        ("fatal_completions", pa.int32()),
        ("fatal_tokens", pa.int64()),
        ("fatal_seconds", pa.float64()),
    ]
)
NAMES = ", ".join(f'"{name}"' for name in SCHEMA.names)
ROUND = ", round "  # in a label
ROWS = 1024  # of a shard that are read at once

# What shards of earlier versions do not have, and what it was of all their rows.
ADDED = {"fatal_by": None, "fatal_completions": 0, "fatal_tokens": 0, "fatal_seconds": 0.0}


@dataclass(frozen=True, slots=True)
class Row:
    """One verified path of the harvest, and where it came from.

    `prompt` is what the model was asked; `answer` what the task reads in the path. `kind` and
    `fatal_step` are the verdict's, None of a right path. `label` is the reasoner with its
    `settings` for a person. `round` counts search, harvest and tune from 0. `logprob` is nats, of
    `tokens`; None and 0 where no model wrote the path. `fatal_by` is how the fatal step was found
    (`fatal`) where the verdict did not tell it, and the other three are what that cost.
    """

    problem: Problem
    prompt: str
    text: str
    answer: str | None
    correct: bool
    kind: str | None
    fatal_step: int | None
    reasoner: str
    settings: str
    label: str
    round: int
    engine: str
    logprob: float | None
    tokens: int
    seed: int
    fatal_by: str | None = None
    fatal_completions: int = 0
    fatal_tokens: int = 0
    fatal_seconds: float = 0.0

    @property
    def task(self) -> str:
        return self.problem.task


def rows_of(
    solution: Solution,
    task: Task,
    dialect: str,
    reasoner: Reasoner,
    engine: str,
    seed: int,
    round: int = 0,
) -> list[Row]:
    """The verified rows of a solution, each text once."""
    problem, seen = solution.problem, set[str]()
    prompt, label = task.prompt(problem, dialect), label_in(reasoner, round)
    settings = json.dumps(reasoner.settings())
    rows = []
    for attempt in solution.attempts:
        if attempt.text in seen:
            continue
        seen.add(attempt.text)
        verdict = attempt.verdict
        row = Row(
            problem=problem,
            prompt=prompt,
            text=attempt.text,
            answer=task.answer(task.parse(problem, attempt.text)),
            correct=verdict.correct,
            kind=verdict.kind,
            fatal_step=verdict.fatal_step,
            reasoner=reasoner.name,
            settings=settings,
            label=label,
            round=round,
            engine=engine,
            logprob=attempt.logprob,
            tokens=attempt.tokens,
            seed=seed,
        )
        rows.append(row)
    return rows


def label_in(reasoner: Reasoner, round: int) -> str:
    """A reasoner's label in a round; rounds count from 0, for a person from 1."""
    return f"{reasoner.label}{ROUND}{round + 1}" if round else reasoner.label


def write_shard(folder: Path, part: int, rows: Sequence[Row]) -> None:
    """Write `part-NNNNN.parquet`, as `whole` writes, with a checksum of each page."""
    with whole(shard(folder, part)) as half:
        pq.write_table(as_table(rows), half, compression="zstd", write_page_checksum=True)


def as_table(rows: Sequence[Row]) -> pa.Table:
    return pa.table({name: [_cell(row, name) for row in rows] for name in SCHEMA.names}, SCHEMA)


def _cell(row: Row, name: str) -> Any:
    if name == "problem_id":
        return row.problem.id
    if name == "problem":
        return json.dumps({"text": row.problem.text, "data": row.problem.data}, allow_nan=False)
    return getattr(row, name)


def as_rows(table: pa.Table, file: Path) -> list[Row]:
    """The rows of a table of a shard; raises BrokenFile where they are not of the harvest."""
    try:
        return [row_of(told) for told in table.to_pylist()]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BrokenFile(file) from None


def row_of(told: dict[str, Any]) -> Row:
    """A row of the values of a shard's columns."""
    id, text = told.pop("problem_id"), told.pop("problem")
    problem = Problem(told.pop("task"), id, **json.loads(text))
    return Row(**told, problem=problem)


def shard(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.parquet"


def shards(folder: Path) -> list[Path]:
    """The shards of paths in a harvest's folder, in order."""
    return numbered(folder, "part")


def numbered(folder: Path, kind: str) -> list[Path]:
    """The shards of a kind in the order of their numbers, which may have more than five digits."""
    files = (
        file for file in folder.glob(f"{kind}-*.parquet") if file.stem[len(kind) + 1 :].isdigit()
    )
    return sorted(files, key=lambda file: int(file.stem[len(kind) + 1 :]))


def read(
    folder: Path, reasoners: Sequence[str] | None = None, task: str | None = None
) -> Iterator[Row]:
    """Every row of the harvest, a path that several reasoners found only once (the first).

    `reasoners` names those whose rows are read at all (None: every one's). Raises BrokenFile where
    a shard is not what was written, and ForeignFile where it is not of `task`.
    """
    seen: set[tuple[str, str]] = set()
    for file in shards(folder):
        for row in as_rows(read_shard(file), file):
            _refuse_foreign(file, [row.task], task)
            if reasoners is not None and row.reasoner not in reasoners:
                continue
            key = row.problem.id, row.text
            if key not in seen:
                seen.add(key)
                yield row


def _refuse_foreign(file: Path, tasks: Iterable[str], task: str | None) -> None:
    for other in tasks:
        if task is not None and other != task:
            raise ForeignFile(
                f"{file} is of the task {other}, not {task}: it is of another run's harvest; "
                "delete it or move it there"
            )


def by_problem(
    folder: Path, reasoners: Sequence[str] | None, task: str, newest: bool = False
) -> Iterator[list[Row]]:
    """The rows that `read` gives, a problem at a time, in the order of the problems' ids.

    Memory holds the rows of one problem. Those of the `newest` round come first, if asked for.
    """
    base, files = temporary(), shards(folder)
    base.execute(f"CREATE TABLE paths (file, {NAMES})")
    every = f"INSERT INTO paths VALUES ({', '.join('?' * (len(SCHEMA.names) + 1))})"
    for number, file in enumerate(files):
        for some in _read_on(file):
            told = some.to_pydict()
            _refuse_foreign(file, told["task"], task)
            with room():
                base.executemany(every, zip(repeat(number), *told.values()))
    asked = (
        f"WHERE reasoner IN ({', '.join('?' * len(reasoners))})" if reasoners is not None else ""
    )
    order = f"SELECT * FROM paths {asked} ORDER BY problem_id, rowid"
    with room():
        found = base.execute(order, reasoners or ())
    for _, group in groupby(found, key=itemgetter(1 + SCHEMA.names.index("problem_id"))):
        texts: dict[str, Row] = {}
        for number, *cells in group:
            told = dict(zip(SCHEMA.names, cells, strict=True))
            texts.setdefault(told["text"], _told(told, files[number]))
        yield sorted(texts.values(), key=lambda row: -row.round) if newest else [*texts.values()]


def _told(told: dict[str, Any], file: Path) -> Row:
    try:
        return row_of({**told, "correct": bool(told["correct"])})
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BrokenFile(file) from None


def _read_on(file: Path) -> Iterator[pa.RecordBatch]:
    """A shard, a part after the other; raises BrokenFile where it is not what was written."""
    with reading(file) as one:
        for batch in one.iter_batches(ROWS):
            table = _with_added(pa.Table.from_batches([batch]), SCHEMA.names)
            yield from table.select(SCHEMA.names).cast(SCHEMA).to_batches()


def read_shard(file: Path, columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """A shard, or some of its columns; raises BrokenFile where it is not what was written."""
    wanted = pa.schema([SCHEMA.field(name) for name in columns])
    with reading(file) as one:
        there = [c for c in columns if c not in ADDED or c in one.schema_arrow.names]
        return _with_added(one.read(there), columns).select(list(columns)).cast(wanted)


@contextmanager
def reading(file: Path) -> Iterator[pq.ParquetFile]:
    """A shard of any kind; raises BrokenFile where it, or what is made of it, is not as written."""
    check(file)
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as one:
            yield one
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, KeyError, TypeError):
        raise BrokenFile(file) from None
    except OSError as error:
        if error.errno is not None:  # not pyarrow's own
            raise
        raise BrokenFile(file) from None


def _with_added(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """A table of an earlier version with the columns that it lacks."""
    for name in columns:
        if name in ADDED and name not in table.column_names:
            own = pa.repeat(pa.scalar(ADDED[name], SCHEMA.field(name).type), table.num_rows)
            table = table.append_column(name, own)
    return table

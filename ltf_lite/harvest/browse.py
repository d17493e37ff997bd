"""Looking at the failures of a harvest: how many of which kind, page by page, and where each broke.

Of the shards only a few columns are read, and whole rows only of the page that is looked at.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltf_lite.harvest.store import SCHEMA, Row
from ltf_lite.tasks import NumbersGame, Problem
from ltf_lite.tasks.text import Step

GROUPS = ("reasoner", "kind", "fatal_step")
SOLVED = ("reasoner", "problem_id")
COLUMNS = ("problem_id", "text", "correct", *GROUPS)


def counts(folder: Path) -> list[dict[str, Any]]:
    """{"reasoner", "kind", "fatal_step", "n"} of the failed paths, the most frequent first.

    As everywhere, a path that several reasoners found is the first one's. A shard that can't be
    read is left out; `failures` names it.
    """
    index, _ = _index(folder)
    groups = index.group_by(list(GROUPS)).aggregate([([], "count_all")])
    rows = groups.rename_columns([*GROUPS, "n"]).to_pylist()
    return sorted(rows, key=lambda row: (-row["n"], *(str(row[name]) for name in GROUPS)))


def solved(folder: Path) -> dict[str, int]:
    """Reasoner → of how many problems it found a right path, whoever else found the same.

    A shard that can't be read is left out.
    """
    tables = [pa.schema([SCHEMA.field(name) for name in SOLVED]).empty_table()]
    for file in sorted(folder.glob("part-*.parquet")):
        with suppress(OSError, KeyError, pa.ArrowException):
            table = pq.ParquetFile(file).read(columns=[*SOLVED, "correct"])
            tables.append(table.filter(table["correct"]).select(list(SOLVED)))
    groups = pa.concat_tables(tables).group_by("reasoner")
    counted = groups.aggregate([("problem_id", "count_distinct")]).to_pylist()
    return {row["reasoner"]: row["problem_id_count_distinct"] for row in counted}


def failures(
    folder: Path,
    kind: str | None = None,
    reasoner: str | None = None,
    fatal_step: int | None = None,
    offset: int = 0,
    limit: int = 20,
) -> tuple[list[Row], int, list[str]]:
    """A page of the failed paths in the harvest's order, how many there are, unreadable shards.

    None of a filter means all. A folder without shards has no paths.
    """
    index, unreadable = _index(folder)
    for name, wanted in (("kind", kind), ("reasoner", reasoner), ("fatal_step", fatal_step)):
        if wanted is not None:
            index = index.filter(pc.equal(index[name], wanted))
    page = index.slice(max(0, offset), max(0, limit)).to_pylist()
    rows: list[Row] = []
    for shard in dict.fromkeys(place["shard"] for place in page):
        places = [place["row"] for place in page if place["shard"] == shard]
        try:
            table = pq.ParquetFile(folder / shard).read()
            rows += table.select(SCHEMA.names).take(places).cast(SCHEMA).to_pylist()
        except (OSError, KeyError, pa.ArrowException):
            unreadable.append(shard)
    return rows, index.num_rows, unreadable


def _index(folder: Path) -> tuple[pa.Table, list[str]]:
    """Shard, row, reasoner, kind and fatal step of every failed path; the unreadable shards."""
    seen = []
    for file in sorted(folder.glob("part-*.parquet")):
        with suppress(FileNotFoundError):  # the search has just begun anew
            about = file.stat()
            seen.append((file.name, about.st_mtime_ns, about.st_size))
    index, unreadable = _built(folder.resolve(), tuple(seen))
    return index, list(unreadable)


@lru_cache(maxsize=2)  # for turning pages; an entry is some tens of bytes a failed path
def _built(
    folder: Path, shards: tuple[tuple[str, int, int], ...]
) -> tuple[pa.Table, tuple[str, ...]]:
    schema = pa.schema([SCHEMA.field(name) for name in COLUMNS])
    placed = pa.schema([*schema, ("row", pa.int64()), ("shard", pa.string())])
    tables, unreadable = [placed.empty_table()], list[str]()
    for name, _, _ in shards:
        try:
            table = pq.ParquetFile(folder / name).read(columns=list(COLUMNS))
            table = table.select(list(COLUMNS)).cast(schema)
        except (OSError, KeyError, pa.ArrowException):
            unreadable.append(name)
            continue
        rows = pa.array(np.arange(table.num_rows))
        table = table.append_column("row", rows).filter(pc.invert(table["correct"]))
        tables.append(table.append_column("shard", pa.repeat(name, table.num_rows)))
    return _first_of_doubles(pa.concat_tables(tables)), tuple(unreadable)


def _first_of_doubles(table: pa.Table) -> pa.Table:
    """Of equal texts of a problem the first, in the table's order, as `read` does."""
    numbered = table.append_column("at", pa.array(np.arange(table.num_rows)))
    firsts = numbered.group_by(["problem_id", "text"]).aggregate([("at", "min")])["at_min"]
    kept = table.drop_columns(["problem_id", "text", "correct"])
    return kept.take(firsts.take(pc.sort_indices(firsts))).combine_chunks()


def marked(row: Row, task: NumbersGame) -> tuple[list[dict[str, str]], str]:
    """The lines of a path as {"text", "state"}, and the verifier's reason.

    A state is `right`, `fatal`, `after` the fatal step, or `missing`: a last entry without text,
    where a step or the answer should be. `task` has the settings of the harvest's run.
    """
    problem = _problem(row)
    path = task.parse(problem, row["text"])
    verdict = task.verify(problem, path)
    texts = [line.text for line in (*path.lines, *([path.answer] if path.answer else []))]
    if verdict.correct:
        return [{"text": text, "state": "right"} for text in texts], verdict.message
    fatal = verdict.fatal_step or 0
    lines = [
        {"text": text, "state": "right" if at < fatal else "after" if at > fatal else "fatal"}
        for at, text in enumerate(texts)
    ]
    if fatal >= len(texts):
        lines.append({"text": "", "state": "missing"})
    return lines, verdict.message


def saving_step(row: Row, task: NumbersGame) -> str | None:
    """The first step that could have stood in the fatal one's place, as a line in the row's style.

    None where the numbers left can't reach the target any more, or no number is left to combine.
    """
    problem = _problem(row)
    path = task.parse(problem, row["text"])
    left, fatal = task.start(problem), task.verify(problem, path).fatal_step
    if fatal is None:
        return None
    for line in path.lines[:fatal]:
        after = task.legal(left, Step(*line.step)) if line.step else None
        if after is None:
            return None
        left = after
    compact = row["prompt"] == task.prompt(problem, "compact")
    style = "compact" if compact else "standard"
    moves = (move for move in task.moves(left) if task.solvable(problem, move.left))
    return next((task.line(Step(*move), style) for move in moves), None)


def _problem(row: Row) -> Problem:
    return Problem(row["task"], tuple(row["numbers"]), row["target"])

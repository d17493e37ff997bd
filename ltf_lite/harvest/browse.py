"""Looking at the failures of a harvest: how many of which kind, page by page, and where each broke.

Of the shards only a few columns are read, and whole rows only of the page that is looked at.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ltf_lite.core.files import BrokenFile
from ltf_lite.harvest.store import SCHEMA, Row, as_rows, read_shard, shards
from ltf_lite.tasks import Solver, Task

GROUPS = ("label", "kind", "fatal_step")
SOLVED = ("label", "problem_id")
COLUMNS = ("problem_id", "text", "correct", *GROUPS)


class Failed(NamedTuple):
    """How many paths of a reasoner (its label) failed in one way at one step."""

    label: str
    kind: str
    fatal_step: int | None
    n: int


class MarkedLine(NamedTuple):
    """A line of a path: `right`, `fatal`, `after` the fatal step, or `missing`."""

    text: str
    state: str


def counts(folder: Path) -> list[Failed]:
    """The failed paths by reasoner, kind and fatal step, the most frequent first.

    As everywhere, a path that several reasoners found is the first one's. A shard that can't be
    read is left out; `failures` names it.
    """
    index, _ = _index(folder)
    groups = index.group_by(list(GROUPS)).aggregate([([], "count_all")])
    rows = [Failed(**row) for row in groups.rename_columns([*GROUPS, "n"]).to_pylist()]
    return sorted(rows, key=lambda row: (-row.n, row.label, row.kind, str(row.fatal_step)))


def solved(folder: Path) -> dict[str, int]:
    """Label of a reasoner → of how many problems it found a right path, whoever else found it.

    A shard that can't be read is left out.
    """
    tables = [pa.schema([SCHEMA.field(name) for name in SOLVED]).empty_table()]
    for file in shards(folder):
        with suppress(OSError, BrokenFile):
            table = read_shard(file, [*SOLVED, "correct"])
            tables.append(table.filter(table["correct"]).select(list(SOLVED)))
    groups = pa.concat_tables(tables).group_by("label")
    counted = groups.aggregate([("problem_id", "count_distinct")]).to_pylist()
    return {row["label"]: row["problem_id_count_distinct"] for row in counted}


class Found(NamedTuple):
    """How many fatal steps were found in one way, and what that cost."""

    by: str
    paths: int
    completions: int
    tokens: int
    seconds: float


def found_fatal(folder: Path) -> list[Found]:
    """How fatal steps were found where no verdict told them; doubles count too.

    The cost of a path is that of all ways that were tried on it. A shard that can't be read is left
    out.
    """
    costs = ["fatal_completions", "fatal_tokens", "fatal_seconds"]
    columns = ["fatal_by", *costs]
    tables = [pa.schema([SCHEMA.field(name) for name in columns]).empty_table()]
    for file in shards(folder):
        with suppress(OSError, BrokenFile):
            tables.append(read_shard(file, columns))
    table = pa.concat_tables(tables)
    table = table.filter(pc.is_valid(table["fatal_by"]))
    sums = table.group_by("fatal_by").aggregate([([], "count_all"), *((c, "sum") for c in costs)])
    rows = sums.select(["fatal_by", "count_all", *(f"{c}_sum" for c in costs)]).to_pylist()
    return sorted(Found(*row.values()) for row in rows)


def failures(
    folder: Path,
    kind: str | None = None,
    label: str | None = None,
    fatal_step: int | None = None,
    offset: int = 0,
    limit: int = 20,
) -> tuple[list[Row], int, list[str]]:
    """A page of the failed paths in the harvest's order, how many there are, unreadable shards.

    None of a filter means all. A folder without shards has no paths.
    """
    index, unreadable = _index(folder)
    for name, wanted in (("kind", kind), ("label", label), ("fatal_step", fatal_step)):
        if wanted is not None:
            index = index.filter(pc.equal(index[name], wanted))
    page = index.slice(max(0, offset), max(0, limit)).to_pylist()
    rows: list[Row] = []
    for shard in dict.fromkeys(place["shard"] for place in page):
        places = [place["row"] for place in page if place["shard"] == shard]
        try:
            rows += as_rows(read_shard(folder / shard).take(places), folder / shard)
        except (OSError, BrokenFile):
            unreadable.append(shard)
    return rows, index.num_rows, unreadable


def _index(folder: Path) -> tuple[pa.Table, list[str]]:
    """Shard, row, label, kind and fatal step of every failed path; the unreadable shards."""
    seen = []
    for file in shards(folder):
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
            table = read_shard(folder / name, COLUMNS)
        except (OSError, BrokenFile):
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


def marked(row: Row, task: Task) -> tuple[list[MarkedLine], str]:
    """The lines of a path and how each stands to the fatal step, and the verifier's reason.

    The last line is `missing`, without text, where a step or the answer should be. `task` has the
    settings of the harvest's run.
    """
    path = task.parse(row.problem, row.text)
    verdict = task.verify(row.problem, path)
    texts = [line.text for line in path.all_lines()]
    if verdict.correct:
        return [MarkedLine(text, "right") for text in texts], verdict.message
    told = row.fatal_step if row.fatal_step is not None and row.fatal_by else verdict.fatal_step
    fatal = told or 0
    lines = [
        MarkedLine(text, "right" if at < fatal else "after" if at > fatal else "fatal")
        for at, text in enumerate(texts)
    ]
    if fatal >= len(texts):
        lines.append(MarkedLine("", "missing"))
    return lines, verdict.message


def saving_step(row: Row, task: Task) -> str | None:
    """The first step that could have stood in the fatal one's place, as a line in the row's form.

    None where the task has no solver, where the state before the fatal step is lost already, or
    where no step is left to take.
    """
    if not isinstance(task, Solver):
        return None
    problem, path = row.problem, task.parse(row.problem, row.text)
    fatal = task.verify(problem, path).fatal_step
    if fatal is None:
        return None
    state = task.start(problem)
    for line in path.lines[:fatal]:
        taken = task.take(problem, state, line.text, path.form, True)
        if taken is None:
            return None
        state = taken.state
    moves = (move for move in task.moves(problem, state) if task.solvable(problem, move.left))
    return next((task.line(move, path.form) for move in moves), None)

"""What a worker gives back, checked as if a stranger had sent it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ltf_lite.core.files import BrokenFile
from ltf_lite.harvest import Row, shard
from ltf_lite.harvest.replay import Said
from ltf_lite.harvest.store import SCHEMA, as_rows
from ltf_lite.pipeline.executors.part import Part, Search
from ltf_lite.pipeline.executors.ray.worker import Done


class Garbage(Exception):
    """An answer that is none, with what is wrong about it."""


def checked(part: Part, search: Search, answer: Any) -> tuple[Done, list[Row]]:
    """The answer and its rows, if they read back and are of this part; raises Garbage."""
    if not isinstance(answer, Done) or answer.number != part.number:
        raise Garbage("it gave back what it was not asked for")
    table = answer.table
    if not isinstance(table, pa.Table) or table.schema != SCHEMA:
        raise Garbage("it gave back rows that can't be read")
    try:
        rows = as_rows(table, shard(search.harvest, part.number))
    except BrokenFile:
        raise Garbage("it gave back rows that can't be read") from None
    asked = {problem.id: problem for problem in part.problems}
    told = part.reasoner.name, part.seed, search.round
    for row in rows:
        if row.problem != asked.get(row.problem.id):
            raise Garbage("it gave back rows of problems that it was not asked")
        if (row.reasoner, row.seed, row.round) != told:
            raise Garbage("it gave back rows of another search")
    said = answer.said
    if (said is not None) != search.records(part) or not all(
        isinstance(each, Said) for each in said or ()
    ):
        raise Garbage("it gave back another record of what the model said")
    return answer, rows

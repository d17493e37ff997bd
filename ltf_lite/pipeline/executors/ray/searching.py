"""A search as work for a cluster: workers give rows back, and this process writes the shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ltf_lite.core.files import BrokenFile
from ltf_lite.core.plugins import files_of, moved
from ltf_lite.engines import Engine
from ltf_lite.harvest import Row, shard
from ltf_lite.harvest.replay import Said
from ltf_lite.harvest.store import SCHEMA, as_rows, as_table
from ltf_lite.pipeline.executors.part import (
    Brought,
    Found,
    Part,
    Search,
    brought,
    earlier_rows,
    keep,
    search_part,
)
from ltf_lite.pipeline.executors.ray.job import Garbage


@dataclass(frozen=True)
class Sent:
    """What a worker found in a part: a table of its rows, and what the model said."""

    table: pa.Table
    said: list[Said] | None


@dataclass(frozen=True)
class Searching:
    """The job that a search is."""

    search: Search

    @property
    def files(self) -> list[str]:
        return files_of(self.search.task)

    def moved(self, places: Mapping[str, str]) -> Searching:
        return Searching(replace(self.search, task=moved(self.search.task, places)))

    def needs(self, parts: Sequence[Part]) -> dict[int, set[int]]:
        """Those with problems of its own, whose rows it builds on."""
        every = {part.number for part in parts} if self.search.builds else set[int]()
        return {
            part.number: every.intersection(
                range(part.number) if part.before is None else part.before
            )
            for part in parts
        }

    def earlier(self, part: Part) -> list[Row]:
        return earlier_rows(part, self.search) if self.search.builds else []

    def do(
        self, part: Part, engine: Engine | None, earlier: list[Row], beat: Callable[[], None]
    ) -> Sent:
        found = search_part(part, self.search, engine, earlier, beat)
        return Sent(as_table(found.rows), found.said)

    def checked(self, part: Part, found: Any) -> Found:
        """The rows, if they read back and are of this part."""
        table = found.table if isinstance(found, Sent) else None
        if not isinstance(table, pa.Table) or table.schema != SCHEMA:
            raise Garbage("it gave back rows that can't be read")
        try:
            rows = as_rows(table, shard(self.search.harvest, part.number))
        except BrokenFile:
            raise Garbage("it gave back rows that can't be read") from None
        asked = {problem.id: problem for problem in part.problems}
        told = part.reasoner.name, part.seed, self.search.round
        for row in rows:
            if row.problem != asked.get(row.problem.id):
                raise Garbage("it gave back rows of problems that it was not asked")
            if (row.reasoner, row.seed, row.round) != told:
                raise Garbage("it gave back rows of another search")
        said = found.said
        if (said is not None) != self.search.records(part) or not all(
            isinstance(each, Said) for each in said or ()
        ):
            raise Garbage("it gave back another record of what the model said")
        return Found(rows, said)

    def keep(self, part: Part, found: Found, speed: float | None) -> Brought:
        keep(part, self.search, found)
        return brought(found.rows, speed)

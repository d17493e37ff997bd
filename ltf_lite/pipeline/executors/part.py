"""A search in parts, one shard each, whoever works on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ltf_lite.engines import Engine
from ltf_lite.harvest import Recorder, Row, fatal, replay, rows_of, shard, write_said, write_shard
from ltf_lite.harvest.store import as_rows, read_shard
from ltf_lite.reasoners import Reasoner, solve
from ltf_lite.tasks import Problem, Solver, Task

NO_ENGINE = "none"


@dataclass(frozen=True)
class Part:
    """One shard's worth of work: a reasoner, its problems, and the seed of its draws."""

    number: int
    reasoner: Reasoner
    problems: tuple[Problem, ...]
    seed: int

    @property
    def asks(self) -> bool:
        """Whether the search asks the model more than the problems themselves."""
        return self.reasoner.asks_model and self.reasoner.grows_tree


@dataclass(frozen=True)
class Search:
    """What all parts share: the task, the dialect in which it is asked, the harvest's folder.

    `fatal_step` is how the fatal step is found where the task has no solver. In a `round` after the
    first a tuned model searches: what that says is not what the base said, and is not replayed.
    """

    task: Task
    dialect: str
    harvest: Path
    fatal_step: fatal.Way = "auto"
    round: int = 0

    def records(self, part: Part) -> bool:
        """Whether what the model says while it works on a part is kept to be replayed."""
        return part.asks and not self.round

    def is_done(self, part: Part) -> bool:
        said = not self.records(part) or replay.shard(self.harvest, part.number).is_file()
        return said and shard(self.harvest, part.number).is_file()


@dataclass(frozen=True)
class Brought:
    """What a part brought; tokens a second where a model was asked."""

    paths: int
    solved: int
    speed: float | None = None


def done(part: Part, search: Search, engine: Engine) -> list[Row]:
    """Search a part's problems with a model and write its shards: what it said, and its rows."""
    if not search.records(part):
        rows = work(part, search, engine)
    else:
        recorder = Recorder(engine, search.task, part.problems, search.dialect)
        rows = work(part, search, recorder)  # type: ignore[arg-type]
        write_said(search.harvest, part.number, recorder.said)
    write_shard(search.harvest, part.number, rows)
    return rows


def work(part: Part, search: Search, engine: Engine | None = None) -> list[Row]:
    """Search a part's problems; the verified rows of its shard."""
    name = engine.name if engine else NO_ENGINE
    found = solve(
        part.reasoner, part.problems, search.task, engine, part.seed, dialect=search.dialect
    )
    rows = [
        row
        for solution in found
        for row in rows_of(
            solution, search.task, search.dialect, part.reasoner, name, part.seed, search.round
        )
    ]
    if isinstance(search.task, Solver):
        return rows
    earlier = list(_earlier(part, search))
    return fatal.find(rows, search.task, search.fatal_step, engine, part.seed, earlier)


def _earlier(part: Part, search: Search) -> Iterator[Row]:
    """The right paths of this part's problems in the parts before it, which are all on disk.

    Later parts may be there too, of a run that was killed: they are as if they were not.
    """
    asked = {problem.id for problem in part.problems}
    for number in range(part.number):
        file = shard(search.harvest, number)
        if file.is_file():
            rows = as_rows(read_shard(file), file)
            yield from (row for row in rows if row.correct and row.problem.id in asked)


def brought(rows: list[Row], speed: float | None = None) -> Brought:
    """What the rows of a shard come to."""
    return Brought(len(rows), len({row.problem.id for row in rows if row.correct}), speed)

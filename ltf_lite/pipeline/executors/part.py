"""A search in parts, one shard each, whoever works on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltf_lite.engines import Engine
from ltf_lite.harvest import Row, rows_of, shard
from ltf_lite.reasoners import Reasoner, solve
from ltf_lite.tasks import Problem, Task

NO_ENGINE = "none"


@dataclass(frozen=True)
class Part:
    """One shard's worth of work: a reasoner, its problems, and the seed of its draws."""

    number: int
    reasoner: Reasoner
    problems: tuple[Problem, ...]
    seed: int


@dataclass(frozen=True)
class Search:
    """What all parts share: the task, the dialect in which it is asked, the harvest's folder."""

    task: Task
    dialect: str
    harvest: Path

    def is_done(self, part: Part) -> bool:
        return shard(self.harvest, part.number).is_file()


@dataclass(frozen=True)
class Brought:
    """What a part brought; tokens a second where a model was asked."""

    paths: int
    solved: int
    speed: float | None = None


def work(part: Part, search: Search, engine: Engine | None = None) -> list[Row]:
    """Search a part's problems; the verified rows of its shard."""
    name = engine.name if engine else NO_ENGINE
    found = solve(
        part.reasoner, part.problems, search.task, engine, part.seed, dialect=search.dialect
    )
    return [
        row
        for solution in found
        for row in rows_of(solution, search.task, search.dialect, part.reasoner, name, part.seed)
    ]


def brought(rows: list[Row], speed: float | None = None) -> Brought:
    """What the rows of a shard come to."""
    return Brought(len(rows), len({row.problem.id for row in rows if row.correct}), speed)

"""A search in parts, one shard each, whoever works on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltf_lite.engines import Engine
from ltf_lite.harvest import Recorder, Row, fatal, replay, rows_of, shard, write_said, write_shard
from ltf_lite.harvest.replay import Said
from ltf_lite.harvest.store import as_rows, read_shard
from ltf_lite.pipeline.hearing import quiet
from ltf_lite.reasoners import Reasoner, solve
from ltf_lite.tasks import Problem, Solver, Task

NO_ENGINE = "none"
CHUNK = 500  # problems of a part
TREE_CHUNK = 100  # for a model's tree, which asks for many prompts a problem


@dataclass(frozen=True)
class Part:
    """One shard's worth of work: a reasoner, its problems, and the seed of its draws.

    `before` are the numbers of the earlier parts with problems of its own; None: any may have some.
    """

    number: int
    reasoner: Reasoner
    problems: tuple[Problem, ...]
    seed: int
    before: tuple[int, ...] | None = None

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

    @property
    def builds(self) -> bool:
        """Whether a part builds on the rows of earlier ones: a failure is set beside a success."""
        return not isinstance(self.task, Solver)

    def is_done(self, part: Part) -> bool:
        said = not self.records(part) or replay.shard(self.harvest, part.number).is_file()
        return said and shard(self.harvest, part.number).is_file()


@dataclass(frozen=True)
class Brought:
    """What a part brought; tokens a second where a model was asked."""

    paths: int
    solved: int
    speed: float | None = None


@dataclass(frozen=True)
class Found:
    """What was found in a part: its rows, and what the model said where that is kept."""

    rows: list[Row]
    said: list[Said] | None = None


def done(part: Part, search: Search, engine: Engine) -> list[Row]:
    """Search a part's problems with a model and write its shards: what it said, and its rows."""
    found = search_part(part, search, engine)
    keep(part, search, found)
    return found.rows


def keep(part: Part, search: Search, found: Found) -> None:
    """Write a part's shards; the one that says that it is done comes last."""
    if found.said is not None:
        write_said(search.harvest, part.number, found.said)
    write_shard(search.harvest, part.number, found.rows)


def search_part(
    part: Part,
    search: Search,
    engine: Engine | None,
    earlier: Sequence[Row] | None = None,
    beat: Callable[[], object] = quiet,
) -> Found:
    """Search a part's problems, and keep what the model says where that is wanted; as `work`."""
    if engine is None or not search.records(part):
        return Found(work(part, search, engine, earlier, beat))
    recorder = Recorder(engine, search.task, part.problems, search.dialect)
    rows = work(part, search, recorder, earlier, beat)  # type: ignore[arg-type]
    return Found(rows, list(recorder.said))


def work(
    part: Part,
    search: Search,
    engine: Engine | None = None,
    earlier: Sequence[Row] | None = None,
    beat: Callable[[], object] = quiet,
) -> list[Row]:
    """Search a part's problems; the verified rows of its shard.

    `earlier` are the right rows of its problems in the parts before it, None where they are to be
    read from the disk. `beat` is called after each problem.
    """
    name = engine.name if engine else NO_ENGINE
    found = solve(
        part.reasoner, part.problems, search.task, engine, part.seed, dialect=search.dialect
    )
    rows: list[Row] = []
    for solution in found:
        rows += rows_of(
            solution, search.task, search.dialect, part.reasoner, name, part.seed, search.round
        )
        beat()
    if not search.builds:
        return rows
    if earlier is None:
        earlier = earlier_rows(part, search)
    return fatal.find(rows, search.task, search.fatal_step, engine, part.seed, earlier)


def earlier_rows(part: Part, search: Search) -> list[Row]:
    """The right paths of this part's problems in the parts before it, which are all on disk.

    Later parts may be there too, of a run that was killed: they are as if they were not.
    """
    asked = {problem.id for problem in part.problems}
    found: list[Row] = []
    for number in range(part.number) if part.before is None else part.before:
        file = shard(search.harvest, number)
        if file.is_file():
            rows = as_rows(read_shard(file), file)
            found += (row for row in rows if row.correct and row.problem.id in asked)
    return found


def size(reasoner: Reasoner) -> int:
    """The problems that one part of a reasoner's has at most."""
    return TREE_CHUNK if reasoner.asks_model and reasoner.grows_tree else CHUNK


def brought(rows: list[Row], speed: float | None = None) -> Brought:
    """What the rows of a shard come to."""
    return Brought(len(rows), len({row.problem.id for row in rows if row.correct}), speed)

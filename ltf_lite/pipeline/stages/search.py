"""Search the training problems with every reasoner of the preset and harvest all paths.

The work is a fixed list of parts, one shard each; a shard that is there is not made again, so a
killed search loses at most the part it was at.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from ltf_lite.engines import Engine
from ltf_lite.harvest import rows_of, shard, write_shard
from ltf_lite.pipeline.common import (
    chunks,
    problems_of,
    search_engine,
    seed_of,
    set_threads,
    style_of,
    task_of,
    threads_of,
)
from ltf_lite.pipeline.run import Run
from ltf_lite.pipeline.train import die_with_parent
from ltf_lite.presets import ReasonerSection
from ltf_lite.progress import bar
from ltf_lite.reasoners import TREES, get_reasoner
from ltf_lite.tasks import NumbersGame, Problem

CHUNK = 500  # problems a shard
TREE_CHUNK = 100  # for a tree, which asks for many prompts a problem


class Part(NamedTuple):
    """One shard's worth of work."""

    number: int
    section: ReasonerSection
    problems: list[Problem]
    seed: int


def main(run: Run) -> None:
    set_threads(run)
    folder, style, task = run.folder / "harvest", style_of(run), task_of(run)
    engine: Engine | None = None  # opened for the first reasoner that asks one
    with ExitStack() as stack:
        pool = stack.enter_context(
            ProcessPoolExecutor(
                threads_of(run),
                multiprocessing.get_context("spawn"),
                initializer=die_with_parent,  # idle workers notice by no other means
            )
        )
        for number, parts in enumerate(_parts(run), 1):
            section = parts[0].section
            todo = [part for part in parts if not shard(folder, part.number).is_file()]
            title = f"search {number}/{len(run.preset.search)}, {section.label}: problems"
            with bar(title, _size(parts), _size(parts) - _size(todo)) as advance:
                if todo and get_reasoner(section.name).needs_engine:
                    if engine is None:
                        engine = search_engine(run, style)
                        stack.callback(engine.close)
                    _with_engine(engine, todo, task, style, folder, advance)
                    continue
                futures = [pool.submit(_rows, part, task, None, style) for part in todo]
                for part, future in zip(todo, futures, strict=True):
                    write_shard(folder, part.number, future.result())
                    advance(len(part.problems), _note(part, future.result()))


def _with_engine(
    engine: Engine, parts: list[Part], task: NumbersGame, style: str, folder: Path,
    advance: Callable[..., None],
) -> None:  # fmt: skip
    for part in parts:
        tokens, seconds = engine.usage.tokens_out, engine.usage.seconds
        rows = _rows(part, task, engine, style)
        write_shard(folder, part.number, rows)
        speed = (engine.usage.tokens_out - tokens) / (engine.usage.seconds - seconds)
        advance(len(part.problems), f"{_note(part, rows)}, {speed:,.0f} tokens/s")


def _note(part: Part, rows: list[dict[str, Any]]) -> str:
    """What the last shard brought."""
    solved = len({row["problem_id"] for row in rows if row["correct"]})
    share = 100 * solved / len(part.problems)
    return f"{len(rows)} paths, {share:.0f} % of problems solved"


def _size(parts: list[Part]) -> int:
    return sum(len(part.problems) for part in parts)


def _parts(run: Run) -> list[list[Part]]:
    """The parts of each reasoner, in the preset's order."""
    problems, count, found = problems_of(run, "train"), 0, []
    for k, section in enumerate(run.preset.search):
        size, own = TREE_CHUNK if section.name in TREES else CHUNK, []
        for chunk in chunks(problems[: section.problems], size):
            seed = seed_of(run.preset.seed, "search", k, chunk[0].id)
            own.append(Part(count, section, chunk, seed))
            count += 1
        found.append(own)
    return found


def _rows(part: Part, task: NumbersGame, engine: Engine | None, style: str) -> list[dict[str, Any]]:
    settings = part.section.settings()
    if engine is None:
        settings["style"] = style
    reasoner = get_reasoner(part.section.name, **settings)
    name = engine.name if engine else "none"
    rows = []
    for solution in reasoner.solve(part.problems, task, engine, part.seed):
        rows += rows_of(solution, task, style, part.section.label, name, part.seed)
    return rows

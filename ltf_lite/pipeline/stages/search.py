"""Search the training problems with every reasoner of the preset and harvest all paths.

The work is a fixed list of parts, one shard each; a shard that is there is not made again, so a
killed search loses at most the part it was at.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

from ltf_lite.engines import open_engine
from ltf_lite.harvest import rows_of, shard, write_shard
from ltf_lite.pipeline.common import (
    chunks,
    problems_of,
    seed_of,
    set_threads,
    task_of,
    threads_of,
)
from ltf_lite.pipeline.run import Run
from ltf_lite.presets import ReasonerSection
from ltf_lite.progress import bar
from ltf_lite.reasoners import get_reasoner
from ltf_lite.tasks import NumbersGame, Problem

CHUNK = 500  # problems a shard


class Part(NamedTuple):
    """One shard's worth of work."""

    number: int
    section: ReasonerSection
    problems: list[Problem]
    seed: int


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    parts, folder = _parts(run), run.folder / "harvest"
    open_parts = [part for part in parts if not shard(folder, part.number).is_file()]
    with bar("search: problems", _size(parts), _size(parts) - _size(open_parts)) as advance:
        engine = open_engine(run.preset.model.base)
        task = task_of(run)
        free = [p for p in open_parts if not get_reasoner(p.section.name).needs_engine]
        context = multiprocessing.get_context("spawn")
        if free:
            with ProcessPoolExecutor(threads_of(run), context) as pool:
                todo = [pool.submit(_rows, part, task, None, engine.style) for part in free]
                for part, future in zip(free, todo, strict=True):
                    write_shard(folder, part.number, future.result())
                    advance(len(part.problems), part.section.name)
        for part in open_parts:
            if part not in free:
                write_shard(folder, part.number, _rows(part, task, engine, engine.style))
                advance(len(part.problems), part.section.name)
        usage = engine.usage
        engine.close()
    return {"tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out,
            "engine_seconds": round(usage.seconds, 2)}  # fmt: skip


def _size(parts: list[Part]) -> int:
    return sum(len(part.problems) for part in parts)


def _parts(run: Run) -> list[Part]:
    problems = problems_of(run, "train")
    parts: list[Part] = []
    for k, section in enumerate(run.preset.search):
        for chunk in chunks(problems[: section.problems], CHUNK):
            seed = seed_of(run.preset.seed, "search", k, chunk[0].id)
            parts.append(Part(len(parts), section, chunk, seed))
    return parts


def _rows(part: Part, task: NumbersGame, engine, style: str) -> list[dict[str, Any]]:
    settings = part.section.settings()
    if engine is None:
        settings["style"] = style
    reasoner = get_reasoner(part.section.name, **settings)
    rows = []
    for solution in reasoner.solve(part.problems, task, engine, part.seed):
        name = engine.name if engine else "none"
        rows += rows_of(solution, task, style, part.section.label, name, part.seed)
    return rows

"""Search the training problems with every reasoner of the preset and harvest all paths.

The work is a fixed list of parts, one shard each; a shard that is there is not made again, so a
killed search loses at most the part it was at.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
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
from ltf_lite.presets import ReasonerSection
from ltf_lite.progress import bar
from ltf_lite.reasoners import get_reasoner
from ltf_lite.tasks import NumbersGame, Problem

CHUNK = 500  # problems a shard
TREES, TREE_CHUNK = ("tot", "rap"), 100  # a tree asks for many prompts a problem


class Part(NamedTuple):
    """One shard's worth of work."""

    number: int
    section: ReasonerSection
    problems: list[Problem]
    seed: int


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    parts, folder = _parts(run), run.folder / "harvest"
    todo = [part for part in parts if not shard(folder, part.number).is_file()]
    free = [p for p in todo if not get_reasoner(p.section.name).needs_engine]
    asked = [part for part in todo if part not in free]
    style, task = style_of(run), task_of(run)
    with bar("search: problems", _size(parts), _size(parts) - _size(todo)) as advance:
        if free:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(threads_of(run), context) as pool:
                futures = [pool.submit(_rows, part, task, None, style) for part in free]
                for part, future in zip(free, futures, strict=True):
                    rows = future.result()
                    write_shard(folder, part.number, rows)
                    advance(len(part.problems), _note(part, rows))
        if not asked:
            return {"tokens_in": 0, "tokens_out": 0, "engine_seconds": 0.0}
        engine = search_engine(run, style)
        for part in asked:
            before = engine.usage.tokens_out, engine.usage.seconds
            rows = _rows(part, task, engine, style)
            write_shard(folder, part.number, rows)
            speed = (engine.usage.tokens_out - before[0]) / (engine.usage.seconds - before[1])
            advance(len(part.problems), f"{_note(part, rows)}, {speed:,.0f} tokens/s")
        usage = engine.usage
        engine.close()
    return {"tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out,
            "engine_seconds": round(usage.seconds, 2)}  # fmt: skip


def _note(part: Part, rows: list[dict[str, Any]]) -> str:
    """What the last shard brought."""
    solved = len({row["problem_id"] for row in rows if row["correct"]})
    return (
        f"{part.section.label}: {len(rows)} paths, "
        f"{100 * solved / len(part.problems):.0f} % of problems solved"
    )


def _size(parts: list[Part]) -> int:
    return sum(len(part.problems) for part in parts)


def _parts(run: Run) -> list[Part]:
    problems = problems_of(run, "train")
    parts: list[Part] = []
    for k, section in enumerate(run.preset.search):
        size = TREE_CHUNK if section.name in TREES else CHUNK
        for chunk in chunks(problems[: section.problems], size):
            seed = seed_of(run.preset.seed, "search", k, chunk[0].id)
            parts.append(Part(len(parts), section, chunk, seed))
    return parts


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

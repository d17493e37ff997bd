"""What limits a search of many machines: `python tests/benchmarks/scale.py [RUN]`.

Measured here: what one shard costs the process that writes the harvest, what problems, parts and
shards take of its memory and of a folder, and how fast tuning reads the harvest back. Computed from
that: how busy so many workers are kept, in a simulation in which they search shards and one process
writes them, one after the other. The rows are those of RUN's harvest, else of chains of thought of
the embedded base. What is assumed is printed beside what comes out. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import heapq
import pickle
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ltf_lite.core.folder import RunFolder
from ltf_lite.engines import open_engine
from ltf_lite.harvest import Limits, Row, by_problem, examples, read, rows_of, shards, write_shard
from ltf_lite.harvest.store import as_rows, as_table
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import Task, get_task

SHARD = 500  # problems, as in a search
FILES = 20_000  # empty shards that are listed
PROBLEMS = 20_000  # whose memory is measured
WORKERS = (1, 10, 100, 300, 1000, 3000)
SPREAD = 0.3  # of the time of a shard: standard deviation over mean


def seconds(work: Callable[[], object], runs: int = 5) -> float:
    """The median time of some runs."""
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return median(found)


def rows_here(folder: Path | None) -> tuple[Task, list[Row]]:
    """Rows of one shard, and their task."""
    if folder is not None:
        from ltf_lite.pipeline.run.folder import Run

        run = Run.load(folder)
        some: list[Row] = []
        for rows in by_problem(RunFolder(folder).harvest, None, run.preset.task.name):
            some += rows
            if len({row.problem.id for row in some}) == SHARD:
                break
        return run.preset.task, some
    task = get_task("countdown", draw="walk")
    cot, engine = get_reasoner("cot", n=8, temperature=1.0, max_tokens=40), open_engine("tiny-base")
    found = solve(cot, task.problems("train", SHARD, 0), task, engine, 0, dialect="compact")
    return task, [row for each in found for row in rows_of(each, task, "compact", cot, "tiny", 0)]


def measured(task: Task, rows: list[Row], folder: Path) -> dict[str, float]:
    """What a shard costs, in seconds, bytes and files."""
    harvest, many = folder / "harvest", folder / "many"
    told = pickle.dumps(as_table(rows))  # as a worker sends it
    write_shard(harvest, 0, rows)
    size = shards(harvest)[0].stat().st_size
    found = {
        "rows a shard": len(rows),
        "bytes a row on the disk": size / len(rows),
        "bytes a row through the network": len(told) / len(rows),
        "s to read what was sent": seconds(lambda: as_rows(pickle.loads(told), harvest)),
        "s to write a shard": seconds(lambda: write_shard(harvest, 0, rows)),
        "s to read a shard back": seconds(lambda: list(read(harvest))),
    }
    limits = Limits(1, 2)

    def draw() -> None:
        examples(by_problem(harvest, None, task.name), task, "whole", limits, 0, "compact")

    found["s to draw a shard's examples"] = seconds(draw)
    many.mkdir()
    for number in range(FILES):
        (many / f"part-{number:05d}.parquet").touch()
    found["s to list 1,000 shards"] = seconds(lambda: shards(many)) / FILES * 1000
    tracemalloc.start()
    held = task.problems("train", PROBLEMS, 0) if hasattr(task, "problems") else []
    found["bytes a problem in memory"] = tracemalloc.get_traced_memory()[0] / len(held)
    tracemalloc.stop()
    return found


def busy(workers: int, search: float, write: float, shards: int, seed: int = 0) -> float:
    """The share of their time that workers search, if one process takes their shards in turn.

    `search` is the mean time of a shard, `write` that of taking it over, in seconds. A worker has
    its next shard as soon as the last is taken over.
    """
    rng = random.Random(seed)
    ready = [(rng.gauss(search, SPREAD * search), worker) for worker in range(workers)]
    heapq.heapify(ready)
    free, searched = 0.0, sum(max(0.0, at) for at, _ in ready)
    end = 0.0
    for _ in range(max(shards, 20 * workers)):
        at, worker = heapq.heappop(ready)
        free = max(free, at) + write
        took = max(0.0, rng.gauss(search, SPREAD * search))
        heapq.heappush(ready, (free + took, worker))
        searched += took
        end = free
    left = sum(max(0.0, at - end) for at, _ in ready)  # begun, and not yet searched at the end
    return (searched - left) / (workers * end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--tokens", type=float, default=1200, help="that a problem is searched by")
    parser.add_argument("--speed", type=float, default=4000, help="tokens a second of one worker")
    parser.add_argument("--problems", type=float, default=1e8)
    told = parser.parse_args()
    task, rows = rows_here(told.run)
    with tempfile.TemporaryDirectory() as folder:
        costs = measured(task, rows, Path(folder))
    for name, value in costs.items():
        print(f"{name:36} {value:12,.4g}")
    search = SHARD * told.tokens / told.speed
    write = costs["s to read what was sent"] + costs["s to write a shard"]
    count = told.problems / SHARD
    print(
        f"\nassumed: {told.problems:,.0f} problems, {told.tokens:,.0f} tokens each, "
        f"{told.speed:,.0f} tokens a second and worker: {search:,.0f} s a shard"
    )
    for workers in WORKERS:
        share = busy(workers, search, write, 2000)
        days = count * search / workers / share / 86_400
        print(f"{workers:6,} workers: busy {100 * share:5.1f} %, {days:10,.2f} days")
    print(f"one process writes as much as {search / write:,.0f} workers bring")
    every = count * costs["rows a shard"]
    listed = count * costs["s to list 1,000 shards"] / 1000
    drawn = count * costs["s to draw a shard's examples"] / 3600
    print(f"shards: {count:,.0f} files, {listed:,.1f} s to list")
    print(f"harvest: {every:,.0f} rows, {every * costs['bytes a row on the disk'] / 1e9:,.0f} GB")
    print(f"problems in memory: {told.problems * costs['bytes a problem in memory'] / 1e9:,.0f} GB")
    print(f"examples drawn from it: {drawn:,.1f} hours, one core")


if __name__ == "__main__":
    sys.exit(main())

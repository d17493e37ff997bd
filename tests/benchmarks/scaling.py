"""How speed and memory grow: `python tests/benchmarks/scaling.py [--runs 3]`, one thread.

On the embedded base: problems a second of `tot` against problems searched at once; bytes that a
tree takes against its nodes; tokens a second of a tuning step against its batch; verified rows of
the exact search against seconds. Medians over alternating runs with the smallest and the largest.
Nothing here passes or fails; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch

from ltf_lite.engines import Dialect, model_path, open_engine
from ltf_lite.harvest import rows_of
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import get_task
from ltf_lite.tuning.attention import packs
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.loading import load_for_tuning
from ltf_lite.tuning.methods.sft import SFT
from ltf_lite.tuning.packing import Row
from ltf_lite.tuning.trainer import UFTTrainer

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999, draw="walk")
AT_ONCE = (1, 3, 10, 30, 100, 300, 1000)  # problems
BATCHES = (1, 4, 16, 64, 256)  # successes a step, of 36 tokens as in `tiny`
SIZES = (1, 4, 16, 64)  # a tree's beam
SHARDS = (250, 1000, 4000)  # problems searched exactly


def searching(engine) -> dict[int, Callable[[], float]]:
    """Problems a second of a tree search over so many at once."""

    def of(count: int) -> Callable[[], float]:
        problems = TASK.problems("validation", count, 0)

        def run() -> float:
            engine.clear()
            began = time.perf_counter()
            found = sum(1 for _ in solve(get_reasoner("tot"), problems, TASK, engine, 0))
            return found / (time.perf_counter() - began)

        return run

    return {count: of(count) for count in AT_ONCE}


def trees(engine) -> list[tuple[int, int, float]]:
    """(beam, nodes, bytes a node) of one problem's tree and all that was noted beside it."""
    (problem,), found = TASK.problems("validation", 1, 0), []
    for beam in SIZES:
        reasoner = get_reasoner("tot", beam=beam, samples=8)
        list(solve(reasoner, [problem], TASK, engine, 0))  # what is loaded and cached only once
        tracemalloc.start()
        (solution,) = solve(reasoner, [problem], TASK, engine, 0)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        found.append((beam, len(solution.tree), held / len(solution.tree)))
    return found


def tuning(folder: Path) -> dict[int, Callable[[], float]]:
    """Tokens a second of a whole step with so many successes."""

    def of(batch: int) -> Callable[[], float]:
        told = SFT(steps=10_000, eval_every=10_000, learning_rate=1e-3, batch=batch, rank=128,
                   lora_alpha=128, max_length=96)  # fmt: skip
        drawn = random.Random(0)
        rows = [
            Row([drawn.randrange(1, 900) for _ in range(36)], [False] * 11 + [True] * 25, True)
            for _ in range(batch * 8)
        ]
        model, tokenizer = load_for_tuning(model_path("tiny-base"), told)
        data = Batches(rows, [], told, tokenizer.eos_token_id, packs(model, told))
        trainer = UFTTrainer(model, data, told, folder / str(batch))
        trainer.create_optimizer()
        trainer.current_gradient_accumulation_steps = 1  # what its loop sets before a step
        model.train()
        steps = iter(range(10_000))

        def run() -> float:
            count = max(2, 512 // batch)
            began = time.perf_counter()
            for _ in range(count):
                trainer.training_step(model, {"micro_batch": next(steps)})
                trainer.optimizer.step()
                trainer.optimizer.zero_grad()
            return 36 * batch * count / (time.perf_counter() - began)

        return run

    return {batch: of(batch) for batch in BATCHES}


def harvesting() -> dict[int, Callable[[], float]]:
    """Verified rows a second over so many problems, new ones each time."""
    problems = iter(TASK.problems("train", 8 * sum(SHARDS), 1))
    reasoner = get_reasoner("dfs", paths=4, failures=4)

    def of(count: int) -> Callable[[], float]:
        def run() -> float:
            own = [next(problems) for _ in range(count)]
            began = time.perf_counter()
            solutions = solve(reasoner, own, TASK, dialect="compact")
            rows = sum(len(rows_of(s, TASK, "compact", reasoner, "none", 0)) for s in solutions)
            return rows / (time.perf_counter() - began)

        return run

    return {count: of(count) for count in SHARDS}


def print_curve(title: str, unit: str, measures: dict[int, Callable[[], float]], runs: int) -> None:
    """Measure all by turns, and print a row of each."""
    next(iter(measures.values()))()  # what is paid for only once
    told: dict[int, list[float]] = {key: [] for key in measures}
    for _ in range(runs):
        for key, measure in measures.items():
            told[key].append(measure())
    print(f"\n| {title} | {unit} |\n| --- | --- |", flush=True)
    for key, found in told.items():
        low, high = min(found), max(found)
        print(f"| {key:,} | {median(found):,.1f} ({low:,.1f}, {high:,.1f}) |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    engine = open_engine(model_path("tiny-base"), Dialect("compact"))
    print_curve("problems at once", "tot: problems a second", searching(engine), runs)
    print("\n| beam | nodes of a problem's tree | bytes a node |\n| --- | --- | --- |")
    for beam, nodes, held in trees(engine):
        print(f"| {beam} | {nodes:,} | {held:,.0f} |")
    engine.close()
    with tempfile.TemporaryDirectory() as folder:
        print_curve("successes a step", "tuning: tokens a second", tuning(Path(folder)), runs)
    print_curve("problems", "dfs: verified rows a second", harvesting(), runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

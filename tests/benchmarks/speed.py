"""How fast the parts are on this machine: `python tests/benchmarks/speed.py [--runs 5]`.

Medians of alternating runs (every part once, then every part again), with the smallest and the
largest. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch

from ltf_lite.engines import Dialect, Sampling, model_path, open_engine
from ltf_lite.export.gguf.quantize import quantize
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.harvest import Example
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import get_task
from ltf_lite.tuning import tune
from ltf_lite.tuning.methods.uft import UFT
from ltf_lite.tuning.types import Validation

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
SAMPLING = Sampling(n=8, temperature=1.0, max_tokens=40)


def searched(name: str, problems) -> int:
    """Paths that a search found and the verifier checked."""
    count = 0
    for solution in solve(
        get_reasoner(name, paths=4, failures=4), problems, TASK, dialect="compact"
    ):
        for attempt in solution.attempts:
            TASK.verify(solution.problem, TASK.parse(solution.problem, attempt.text))
            count += 1
    return count


def tuned(rows: list[Example], threads: int) -> int:
    """Tokens of 40 steps with 32 successes and 32 failures each."""
    settings = UFT(
        steps=40,
        eval_every=40,
        batch=32,
        alpha=1e-4,
        learning_rate=1e-3,
        max_length=96,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = tune(
            model_path("tiny-base"),
            rows,
            folder,
            settings,
            lambda *_: Validation(0.0),
            threads=threads,
            dialect=Dialect("compact"),
        )
    return result.tokens.total


def examples(problems) -> list[Example]:
    rows = []
    for solution in solve(
        get_reasoner("dfs", paths=2, failures=2), problems, TASK, dialect="compact"
    ):
        for attempt in solution.attempts:
            verdict = TASK.verify(solution.problem, TASK.parse(solution.problem, attempt.text))
            prompt = TASK.prompt(solution.problem, "compact")
            text = attempt.text
            rows.append(Example(prompt, text, verdict.correct, 0, len(text)))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    problems = TASK.problems("train", 300, 1)
    prompts = [TASK.prompt(p, "compact") for p in problems]
    rows = examples(problems)
    with tempfile.TemporaryDirectory() as folder:
        f16, q8 = Path(folder) / "base.f16.gguf", Path(folder) / "base.q8_0.gguf"
        write_gguf(model_path("tiny-base"), f16, "f16", "base")
        quantize(f16, q8, "q8_0")
        engines = {"torch": open_engine("tiny-base"), "llama.cpp q8_0": open_engine(q8)}

        def generated(name: str) -> int:
            found = engines[name].generate(prompts, SAMPLING)
            return sum(c.tokens for row in found for c in row)

        parts: dict[str, tuple[str, Callable[[], int]]] = {
            "dfs, verified": ("paths", lambda: searched("dfs", problems)),
            "bfs, verified": ("paths", lambda: searched("bfs", problems)),
            "sampling, torch": ("tokens", lambda: generated("torch")),
            "sampling, llama.cpp q8_0": ("tokens", lambda: generated("llama.cpp q8_0")),
            "tuning, 32 + 32 rows": ("tokens", lambda: tuned(rows, args.threads)),
        }
        speeds: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(args.runs):
            for name, (_, work) in parts.items():
                began = time.perf_counter()
                done = work()
                speeds[name].append(done / (time.perf_counter() - began))
        for engine in engines.values():
            engine.close()
    print(f"{args.threads} threads, {args.runs} alternating runs:")
    print("median (smallest, largest) a second")
    for name, (unit, _) in parts.items():
        found = speeds[name]
        print(f"{name:<26} {median(found):>10,.0f} {unit} ({min(found):,.0f}, {max(found):,.0f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

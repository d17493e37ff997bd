"""The GGUF engine beside llama-cpp-python's own loop, on the embedded base in q8_0.

`python tests/benchmarks/llamacpp_speed.py [--runs 5]` prints medians of alternating runs with the
smallest and the largest. Both read the same file and sample alike (temperature 1 without top-k,
top-p, min-p and penalties, or greedily), with one thread and with all cores: a loop of single
tokens may be faster with one. Both count the end token as a token. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from ltf_lite.core.threads import wait_briefly

wait_briefly()

from llama_cpp import Llama

from ltf_lite.engines import Sampling, model_path
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export.gguf.quantize import quantize
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.tasks import get_task

SETTINGS = {
    "8 samples a prompt": Sampling(n=8, temperature=1.0, max_tokens=40),
    "one greedy pass": Sampling(n=1, max_tokens=40),
}


def ours(engine: LlamaCppEngine, prompts: Sequence[str], sampling: Sampling) -> int:
    """Tokens generated, 32 sequences at a time."""
    return sum(c.tokens for row in engine.generate(prompts, sampling) for c in row)


def theirs(llama: Llama, prompts: Sequence[str], sampling: Sampling) -> int:
    """Tokens generated, one completion after the other; a prompt's samples share its cache."""
    count = 0
    for prompt in prompts:
        for seed in range(sampling.n):
            done = llama.create_completion(
                prompt,
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_k=0,
                top_p=1.0,
                min_p=0.0,
                repeat_penalty=1.0,
                seed=seed,
            )
            count += done["usage"]["completion_tokens"]
            count += done["choices"][0]["finish_reason"] == "stop"
    return count


def speed(work: Callable[[], int]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    return work() / (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--problems", type=int, default=64)
    args = parser.parse_args()
    task = get_task("countdown", numbers=(1, 50), max_intermediate=999)
    prompts = [task.prompt(p, "compact") for p in task.problems("validation", args.problems, 1)]
    with tempfile.TemporaryDirectory() as folder:
        f16, q8 = Path(folder) / "base.f16.gguf", Path(folder) / "base.q8_0.gguf"
        write_gguf(model_path("tiny-base"), f16, "f16", "base")
        quantize(f16, q8, "q8_0")
        works: dict[str, Callable[[Sampling], int]] = {}
        for threads in sorted({1, os.cpu_count() or 1}):
            engine = LlamaCppEngine(q8, threads=threads, sequences=32)
            llama = Llama(
                str(q8), n_ctx=128, n_threads=threads, n_threads_batch=threads, verbose=False
            )
            works[f"ltf_lite, {threads} threads"] = partial(ours, engine, prompts)
            works[f"llama-cpp-python, {threads} threads"] = partial(theirs, llama, prompts)
        for name, sampling in SETTINGS.items():
            compare(name, works, sampling, args.runs)
    return 0


def compare(
    name: str, works: dict[str, Callable[[Sampling], int]], sampling: Sampling, runs: int
) -> None:
    """Print every way's speed, and our best beside the peer's best."""
    found: dict[str, list[float]] = {label: [] for label in works}
    for _ in range(runs):
        for label, work in works.items():
            found[label].append(speed(partial(work, sampling)))
    print(f"{name}, {runs} alternating runs, tokens a second:")
    best = {"ltf": 0.0, "llama": 0.0}
    for label, speeds in found.items():
        print(f"  {label:<27} {median(speeds):>8,.0f} ({min(speeds):,.0f}, {max(speeds):,.0f})")
        side = "ltf" if label.startswith("ltf") else "llama"
        best[side] = max(best[side], median(speeds))
    print(f"  best beside best: {best['ltf'] / best['llama']:.1f} times the speed")


if __name__ == "__main__":
    raise SystemExit(main())

"""The GGUF engine beside llama-cpp-python's own loop, on the embedded base in q8_0.

`python tests/benchmarks/llamacpp_speed.py [--runs 5]` prints medians of alternating runs with the
smallest and the largest. Both read the same file with one thread and sample alike (temperature 1
without top-k, top-p, min-p and penalties, or greedily). Both count the end token as a token.
Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from llama_cpp import Llama

from ltf_lite.engines import Sampling, model_path
from ltf_lite.engines.llamacpp import LlamaCppEngine
from ltf_lite.export import quantize, write_gguf
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
                prompt, max_tokens=sampling.max_tokens, temperature=sampling.temperature,
                top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0, seed=seed,
            )  # fmt: skip
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
        engine = LlamaCppEngine(q8, threads=1, sequences=32)
        llama = Llama(str(q8), n_ctx=128, n_threads=1, n_threads_batch=1, verbose=False)
        for name, sampling in SETTINGS.items():
            rows: tuple[list[float], list[float]] = ([], [])
            for _ in range(args.runs):
                rows[0].append(speed(lambda s=sampling: ours(engine, prompts, s)))
                rows[1].append(speed(lambda s=sampling: theirs(llama, prompts, s)))
            print(f"{name}, {args.runs} alternating runs, tokens a second:")
            for label, found in zip(("ltf_lite", "llama-cpp-python"), rows, strict=True):
                low, high = min(found), max(found)
                print(f"  {label:<17} {median(found):>8,.0f} ({low:,.0f}, {high:,.0f})")
            print(f"  {median(rows[0]) / median(rows[1]):.1f} times the speed")
        engine.close()
        llama.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""TorchEngine against transformers' `generate`: `python tests/benchmarks/torch_generate.py`.

Tokens a second of 256 answers, the same left-padded batch on both sides: short answers of the
embedded base, and eight samples for each of 32 prompts that share a few-shot header of 500 tokens.
Medians of alternating runs (each side once, then each again), with the smallest and the largest.
Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ltf_lite.engines import Sampling, model_path, open_engine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.engines.torch.header import Headers
from ltf_lite.tasks import get_task

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
HEADER, NEW = 500, 32  # tokens
TOP_P = 0.95


class Generate:
    """Transformers' own `generate` on prompts that were encoded and padded beforehand."""

    def __init__(self, engine: TorchEngine, prompts: list[str], n: int, new: int, fixed: bool):
        self.model, self.n = engine.model, n
        self.inputs = engine.tokenizer(prompts, return_tensors="pt", padding=True)
        self.end = engine.tokenizer.eos_token_id
        self.settings = {"max_new_tokens": new, "pad_token_id": engine.tokenizer.pad_token_id}
        self.fixed = fixed

    @torch.inference_mode()
    def __call__(self, sampling: Sampling) -> int:
        how = {"do_sample": False}
        if sampling.temperature > 0:
            how = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_k": 0,
                "top_p": sampling.top_p,
                "num_return_sequences": self.n,
            }
        out = self.model.generate(**self.inputs, **self.settings, **how)
        new = out[:, self.inputs["input_ids"].shape[1] :]
        if self.fixed:
            return new.numel()
        end = (new == self.end).int()
        return int((end.cumsum(1) - end == 0).sum())  # the end token counts, what follows does not


def headed() -> tuple[TorchEngine, list[str]]:
    """The embedded base with a longer context, and 32 prompts behind a header of 500 tokens.

    Rotary positions have no parameters, so the weights are the embedded base's own. What it says
    that far out is no answer: there is no end token for either side, and every row says NEW tokens.
    """
    path = model_path("tiny-base")
    config = AutoConfig.from_pretrained(path, max_position_embeddings=1024)
    base = open_engine("tiny-base")
    model = AutoModelForCausalLM.from_pretrained(path, config=config, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = []
    base.tokenizer.model_max_length = 1024
    problems = TASK.problems("train", 232, 2)
    shots = [TASK.prompt(p, "compact") + "1+2=3\n" for p in problems[32:]]
    tokens = [
        t for ids in base.tokenizer(shots, add_special_tokens=False)["input_ids"] for t in ids
    ]
    header = base.tokenizer.decode(tokens[:HEADER])
    prompts = [header + TASK.prompt(p, "compact") for p in problems[:32]]
    return TorchEngine(model, base.tokenizer, base.dialect), prompts


def cases() -> dict[str, dict[str, Callable[[], int]]]:
    """For each case, the sides: each does the work once and says how many tokens came out."""
    base = open_engine("tiny-base")
    short = [TASK.prompt(p, "compact") for p in TASK.problems("train", 256, 1)]
    whole = Generate(base, short, 1, 40, fixed=False)
    long, prompts = headed()
    eight = Generate(long, prompts, 8, NEW, fixed=True)
    spread = Generate(long, [p for p in prompts for _ in range(8)], 1, NEW, fixed=True)

    def engine(which: TorchEngine, asked: list[str], sampling: Sampling) -> Callable[[], int]:
        return lambda: sum(c.tokens for row in which.generate(asked, sampling) for c in row)

    greedy = Sampling(max_tokens=40)
    drawn = Sampling(temperature=1.0, top_p=TOP_P, max_tokens=40)
    many = Sampling(n=8, temperature=1.0, top_p=TOP_P, max_tokens=NEW)

    def forgetful() -> int:
        long._headers = Headers()
        return engine(long, prompts, many)()

    return {
        "short answers, greedy": {
            "TorchEngine": engine(base, short, greedy),
            "generate": lambda: whole(greedy),
        },
        "short answers, sampled": {
            "TorchEngine": engine(base, short, drawn),
            "generate": lambda: whole(drawn),
        },
        f"32 prompts x 8, header of {HEADER} tokens": {
            "TorchEngine, header computed": forgetful,
            "TorchEngine, header remembered": engine(long, prompts, many),
            "generate, num_return_sequences=8": lambda: eight(many),
            "generate, batch of 256": lambda: spread(many),
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.threads} thread(s), {args.runs} alternating runs: tokens a second,")
    print("median (smallest, largest). The header's case runs the embedded base's weights with a")
    print(f"context of 1024; every row says {NEW} tokens.")
    for case, sides in cases().items():
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(args.runs):
            for name, work in sides.items():
                began = time.perf_counter()
                tokens = work()
                speeds[name].append(tokens / (time.perf_counter() - began))
        best = max(median(found) for name, found in speeds.items() if name.startswith("generate"))
        print(f"\n{case}")
        for name, found in speeds.items():
            middle = median(found)
            spread = f"({min(found):,.0f}, {max(found):,.0f})"
            print(f"  {name:<34} {middle:>8,.0f} {spread:<18} {middle / best:.2f}x generate")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A UFT step against the straightforward one: `python tests/benchmarks/step_speed.py`.

Tokens a second and peak memory of UFTTrainer's step, in several numbers of pieces, beside the same
step written as the formulas are: a forward pass of the successes and one of the failures, full fp32
logits at every position, softmax, gather, -log p and -log(1 - p). Same base, same adapter by peft,
same batch (8 successes and 8 failures of 256 tokens), same clipping, same optimizer; the losses of
both are compared first. On the embedded base, and on a random Qwen2 with a vocabulary of 151,936.
Medians of alternating runs (each side once, then each again), with the smallest and the largest.

Peak memory is what torch's CPU allocator had given out at the worst instant of a step, the weights
and the optimizer's moments included. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from ltf_lite.engines import model_path
from ltf_lite.tuning.arguments import CLIP
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.methods.uft import UFT
from ltf_lite.tuning.packing import Row
from ltf_lite.tuning.settings import LINEAR, Tuning
from ltf_lite.tuning.trainer import UFTTrainer

ROWS, LENGTH = 8, 256  # successes, and failures as many; tokens
TOKENS = 2 * ROWS * LENGTH
ALPHA = 0.1
PLAIN = "straightforward"


def embedded() -> Any:
    return AutoModelForCausalLM.from_pretrained(model_path("tiny-base"), dtype=torch.float32)


def wide() -> Any:
    """Qwen2.5-1.5B's vocabulary and proportions, hidden 256, two layers, random."""
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=256,
        intermediate_size=1536,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config)


def adapted(base: Callable[[], Any], rank: int) -> Any:
    """The base frozen, with a fresh adapter by peft: equal at every call."""
    torch.manual_seed(0)
    model = base().requires_grad_(False)
    targets = list(LINEAR)
    lora = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, lora).train()


def batches(vocabulary: int, prompt: int, settings: Tuning) -> Batches:
    """Random rows whose first `prompt` tokens carry no loss."""
    ids = torch.randint(vocabulary, (2 * ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    marked = [False] * prompt + [True] * (LENGTH - prompt)
    rows = [Row(row, marked, n < ROWS) for n, row in enumerate(ids.tolist())]
    return Batches(rows[:ROWS], rows[ROWS:], settings, pad=0)


class Ours:
    """UFTTrainer's step in so many pieces."""

    def __init__(self, model: Any, data: Batches, settings: Tuning, pieces: int, out: str) -> None:
        self.trainer = UFTTrainer(model, data, settings, Path(out))
        self.trainer.tally.pieces = pieces
        self.model = model

    def loss(self) -> Any:
        """Forward and backward."""
        return self.trainer.training_step(self.model, {"micro_batch": 0})


class Straightforward:
    """The same as the formulas are written."""

    def __init__(self, model: Any, data: Batches, settings: Tuning) -> None:
        (self.batch,) = data.pieces(0, 1)
        self.model, self.alpha = model, settings.weights()[1]

    def p(self, ids: Any, marked: Any) -> Any:
        logits = self.model(input_ids=ids, use_cache=False).logits.float()
        p = logits.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
        return p[marked[:, 1:]]

    def loss(self) -> Any:
        ids, marked, good = self.batch.ids, self.batch.marked, self.batch.successes
        learning = -self.p(ids[:good], marked[:good]).log().mean()
        forgetting = -(1 - self.p(ids[good:], marked[good:])).log().mean()
        loss = (1 - self.alpha) * learning + self.alpha * forgetting
        loss.backward()
        return loss.detach()


class Stepper:
    """A side with its optimizer, whose moments exist from the start."""

    def __init__(self, side: Ours | Straightforward) -> None:
        self.side, self.model = side, side.model
        self.weights = [p for p in side.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=1e-4, weight_decay=0.0, fused=True)
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight)  # moves nothing
        self.optimizer.step()
        self.optimizer.zero_grad()

    def step(self) -> float:
        """One whole step; its loss."""
        loss = self.side.loss()
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss)

    def peak(self) -> tuple[float, float]:
        """(the loss of a step, MiB given out at its worst instant)."""
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            loss = self.step()
        events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
        events.sort(key=lambda e: e.start_ns())
        moments = [t for state in self.optimizer.state.values() for t in state.values()]
        kept = [*self.model.parameters(), *self.model.buffers(), *moments]
        held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
        worst = max(accumulate(e.nbytes() for e in events))
        return loss, (sum(held.values()) + worst) / 2**20


def measure(base: Callable[[], Any], rank: int, prompt: int, pieces: list[int], runs: int) -> None:
    settings = UFT(
        steps=1000,
        eval_every=1000,
        learning_rate=2e-4,
        batch=ROWS,
        alpha=ALPHA,
        max_length=LENGTH,
        floor=0.1,
    )
    plain = adapted(base, rank)
    data = batches(plain.config.vocab_size, prompt, settings)
    sides = {PLAIN: Stepper(Straightforward(plain, data, settings))}
    with tempfile.TemporaryDirectory() as out:
        for count in pieces:
            ours = Ours(adapted(base, rank), data, settings, count, out)
            sides[f"ltf_lite, {TOKENS // count} tokens at once"] = Stepper(ours)
        found = {name: side.peak() for name, side in sides.items()}
        for loss, _ in found.values():
            torch.testing.assert_close(loss, found[PLAIN][0], rtol=1e-4, atol=1e-4)
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(runs):
            for name, side in sides.items():
                began = time.perf_counter()
                side.step()
                speeds[name].append(TOKENS / (time.perf_counter() - began))
    for name, speed in speeds.items():
        ratios = [mine / other for mine, other in zip(speed, speeds[PLAIN], strict=True)]
        spread = f"({min(speed):,.0f}, {max(speed):,.0f})"
        times = f"{median(ratios):.2f}x ({min(ratios):.2f}, {max(ratios):.2f})"
        memory = found[name][1]
        print(
            f"  {name:<32} {median(speed):>8,.0f} {spread:<18} {times:<20} "
            f"{memory:>7,.0f} MiB {memory / found[PLAIN][1]:.2f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pieces", type=int, nargs="+", default=[4])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.disable_progress_bar()
    print(f"{args.threads} thread(s), {ROWS} successes and {ROWS} failures of {LENGTH} tokens:")
    print("tokens a second, median (smallest, largest); times the straightforward step's, run by")
    print("run; peak memory, and its share of that step's.")
    for name, base, rank, runs in (
        ("embedded base", embedded, 128, 5 * args.runs),  # a step takes half a second
        ("embedded base", embedded, 32, 5 * args.runs),
        ("Qwen2, vocabulary 151,936, hidden 256, 2 layers", wide, 32, args.runs),
    ):
        for prompt in (16, LENGTH // 2):
            print(f"\n{name}, rank {rank}, prompts of {prompt} tokens, {runs} runs", flush=True)
            measure(base, rank, prompt, args.pieces, runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

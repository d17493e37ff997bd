"""A few steps of a preset's tuning, measured: losses, tokens a second, peak memory.

python -m tests.gpu.measure PRESET MODEL --loader plain --card 8    # prints one JSON line

In a process of its own, for unsloth replaces transformers' classes in all of it, and a cap on
memory is a process's too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ltf_lite import presets
from ltf_lite.core.device import device
from ltf_lite.pipeline.needs import USABLE
from ltf_lite.tuning import Tuning
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.loading import check, with_transformers, with_unsloth
from ltf_lite.tuning.memory import CONTEXT
from ltf_lite.tuning.packing import Row
from ltf_lite.tuning.trainer import UFTTrainer
from ltf_lite.tuning.watch import ready

LOADERS = ("plain", "unsloth")
PROMPT = 64  # tokens of each row that carry no loss


def rows(settings: Tuning, vocabulary: int, count: int = 64) -> tuple[list[Row], list[Row]]:
    """Random successes and failures, each as long as the settings allow."""
    generator = torch.Generator().manual_seed(1)
    length, prompt = settings.max_length, min(PROMPT, settings.max_length // 2)
    marked = [False] * prompt + [True] * (length - prompt)

    def draw(good: bool) -> list[Row]:
        ids = torch.randint(vocabulary, (count, length), generator=generator).tolist()
        return [Row(row, marked, good) for row in ids]

    return draw(True), draw(False)


def same_adapter(model: Any) -> None:
    """Give the adapter weights that depend on their names alone, whichever loader made it."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.02)


def trainer_of(
    folder: Path, settings: Tuning, load_in_4bit: bool, loader: str, out: Path
) -> UFTTrainer:
    """A trainer on random rows, its model loaded by `plain` transformers or by `unsloth`."""
    if loader == "unsloth":
        model, tokenizer = with_unsloth(str(folder), settings, load_in_4bit)
    else:
        model, tokenizer = with_transformers(str(folder), settings, load_in_4bit, device())
    check(model, tokenizer, str(folder))
    same_adapter(model)
    good, bad = rows(settings, model.config.vocab_size)
    trainer = UFTTrainer(model, Batches(good, bad, settings, 0), settings, out)
    ready(model)
    return trainer


class Looks(TrainerCallback):
    """The losses of every step and when it ended; asking for them waits for the device."""

    def __init__(self, trainer: UFTTrainer) -> None:
        self.trainer = trainer
        self.losses: list[tuple[float, float, float]] = []
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.losses.append(self.trainer.look(1))
        self.ends.append(time.perf_counter())


def measure(
    folder: Path,
    settings: Tuning,
    load_in_4bit: bool,
    loader: str,
    steps: int = 3,
    save: Path | None = None,
) -> dict[str, Any]:
    """Losses a step, tokens a second after the first, bytes at the peak (None without CUDA).

    `save` gets the adapter as it is then.
    """
    few = {"steps": steps, "eval_every": steps + 1, "warmup": 1}
    settings = settings.model_copy(update=few)
    cuda = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as out:
        trainer = trainer_of(folder, settings, load_in_4bit, loader, Path(out))
        looks = Looks(trainer)
        trainer.add_callback(looks)
        trainer.train()
        if save is not None:
            trainer.model.save_pretrained(save, save_embedding_layers=False)
    counted = trainer.tally.success_tokens + trainer.tally.failed_tokens
    seconds = looks.ends[-1] - looks.ends[0]
    return {
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "loader": loader,
        "losses": looks.losses,
        "pieces": trainer.tally.pieces,
        "tokens_per_second": counted * (steps - 1) / steps / seconds,
        "peak": torch.cuda.max_memory_reserved() if cuda else None,
    }


@contextmanager
def capped(room: int) -> Iterator[None]:
    """A CUDA device on which this process may allocate so many bytes."""
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / whole))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def room_on(card: int) -> int:
    """Bytes that a card of so many GB leaves to torch's allocator: CUDA's context is no part."""
    return int(USABLE * card * 2**30) - CONTEXT


def step_gradients(trainer: UFTTrainer) -> dict[str, torch.Tensor]:
    """The adapter's gradients of the first step, all its micro-batches, before the optimizer."""
    trainer.model.zero_grad()
    for i in range(trainer.tuning.accumulation):
        trainer.training_step(trainer.model, {"micro_batch": i})
    named = trainer.model.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def apart(preset: Path | str, folder: Path, loader: str, *more: object) -> dict[str, Any]:
    """`measure` in a process of its own; raises RuntimeError with the end of what it said."""
    command = [sys.executable, "-m", "tests.gpu.measure", preset, folder, "--loader", loader, *more]
    home = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [str(part) for part in command], cwd=home, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("model", type=Path)
    parser.add_argument("--loader", choices=LOADERS, default="plain")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--card", type=int, help="GB that the process may use; default: all")
    parser.add_argument("--save", type=Path, help="where the adapter goes")
    args = parser.parse_args()
    preset = presets.load(args.preset)
    with capped(room_on(args.card)) if args.card else nullcontext():
        found = measure(
            args.model,
            preset.tuning,
            preset.model.load_in_4bit,
            args.loader,
            args.steps,
            args.save,
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()

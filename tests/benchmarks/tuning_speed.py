"""Tuning and decoding on a CPU: `python tests/benchmarks/tuning_speed.py --threads 1 2`.

With `--base tiny-base --rank 32 128` tuning of the embedded base alone, on a batch as in `tiny`.

Tuning: tokens of examples a second (padding does not count) of UFTTrainer beside transformers'
`Trainer` with peft's LoRA, on the same batch of 16 examples of a real base (`smollm2`): the same
adapter, the same optimizer, a whole step of each. `Trainer` is told what its users tell it on such
a machine: `bf16=True`, and once fp32; it pads each batch to its longest row. Two kinds of batches:
short compact paths, and prompts that are longer than their answers. The losses of both are compared
first. Decoding: tokens generated a second for 64 problems at once, by transformers in both
precisions and by llama.cpp from the base's own file, its 16-bit and its 8-bit export.

Medians of alternating runs, with the smallest and the largest. Nothing here passes or fails; run
it on an idle machine.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch
import transformers
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

import ltf_lite
from ltf_lite.engines import Dialect, Sampling, model_path, open_engine, resolve
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.tuning.attention import packs
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.loading import load_for_tuning
from ltf_lite.tuning.methods.sft import SFT
from ltf_lite.tuning.packing import Row
from ltf_lite.tuning.trainer import UFTTrainer

BASE, ROWS = "smollm2", 16
TOY, TOY_ROWS = "tiny-base", 32
KINDS = {  # tokens of an example, and the share of them that is its prompt
    "compact paths of 24 to 36 tokens, a third of them prompt": (24, 36, 0.33),
    "60 to 140 tokens, half of them prompt": (60, 140, 0.5),
    "100 to 300 tokens, four fifths of them prompt": (100, 300, 0.8),
}
TOY_KIND = {"paths of 36 tokens, eleven of them prompt": (36, 36, 11.5 / 36)}


def settings(rank: int, rows: int) -> SFT:
    return SFT(
        steps=1000, eval_every=1000, learning_rate=1e-4, batch=rows, rank=rank, max_length=512
    )


def rows(count: int, low: int, high: int, prompt: float, highest: int = 40_000) -> list[Row]:
    """Random examples of so many tokens."""
    drawn, found = random.Random(0), []
    for _ in range(count):
        n = drawn.randint(low, high)
        ids, marked = [drawn.randrange(100, highest) for _ in range(n)], int(n * prompt)
        found.append(Row(ids, [False] * marked + [True] * (n - marked), True))
    return found


def stepping(trainer: Trainer, model: Any, batch: Any) -> Callable[[], float]:
    """A whole step of a trainer: backward, clipping, optimizer."""
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1  # what its loop sets before a step
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]

    def step() -> float:
        loss = trainer.training_step(model, dict(batch))
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        return float(loss)

    return step


def ours(base: str, told: SFT, data: list[Row], out: Path) -> Callable[[], float]:
    model, _ = load_for_tuning(model_path(base), told)
    batches = Batches(data, [], told, 0, packs(model, told))
    trainer = UFTTrainer(model, batches, told, out)
    return stepping(trainer, trainer.model, {"micro_batch": 0})


def theirs(name: str, told: SFT, data: list[Row], out: Path, bf16: bool) -> Callable[[], float]:
    """transformers' Trainer over a base in fp32 (`bf16`: under autocast), as its users write it."""
    from peft import LoraConfig, get_peft_model

    base = transformers.AutoModelForCausalLM.from_pretrained(model_path(name), dtype=torch.float32)
    torch.manual_seed(0)
    lora = LoraConfig(
        r=told.rank,
        lora_alpha=told.lora_alpha,
        target_modules=list(told.targets),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, lora)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_path(name))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    examples = [
        {
            "input_ids": row.ids,
            "labels": [t if m else -100 for t, m in zip(row.ids, row.marked, strict=True)],
            "attention_mask": [1] * len(row.ids),
        }
        for row in data
    ]
    arguments = TrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=len(data),
        learning_rate=told.learning_rate,
        use_cpu=True,
        bf16=bf16,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(model, arguments, train_dataset=examples)
    ready = trainer.accelerator.prepare_model(model)  # as its loop does: under autocast
    return stepping(trainer, ready, DataCollatorForSeq2Seq(tokenizer)(examples))


def tune(runs: int, base: str, rank: int) -> None:
    toy = base == TOY
    for kind, shape in (TOY_KIND if toy else KINDS).items():
        data = rows(TOY_ROWS, *shape, highest=900) if toy else rows(ROWS, *shape)
        told = settings(rank, len(data))
        tokens = sum(len(row.ids) for row in data)
        print(f"\n{kind}: {tokens} tokens a step, {runs} runs", flush=True)
        with tempfile.TemporaryDirectory() as out:
            sides = {
                "Trainer and peft, fp32": theirs(base, told, data, Path(out), bf16=False),
                "Trainer and peft, bf16": theirs(base, told, data, Path(out), bf16=True),
                "ltf_lite": ours(base, told, data, Path(out)),
            }
            losses = [step() for step in sides.values()]
            torch.testing.assert_close(losses[1:], [losses[0]] * 2, rtol=0.01, atol=0.01)
            speeds: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(runs):
                for name, step in sides.items():
                    began = time.perf_counter()
                    step()
                    speeds[name].append(tokens / (time.perf_counter() - began))
        best = max(list(speeds)[:2], key=lambda name: median(speeds[name]))
        for name, speed in speeds.items():
            _print(name, speed, speeds[best])


def decode(runs: int, threads: int, folder: Path) -> None:
    task = ltf_lite.task("countdown", count=3, numbers=(1, 20), draw="walk")
    prompts = [task.prompt(p, "compact") for p in task.problems("test", 64, seed=0)]
    sampling = Sampling(temperature=1.0, max_tokens=32)
    path = model_path(BASE)
    engines: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        engine = TorchEngine.open(path, dialect=Dialect("compact"))
        engine.model.to(dtype)
        engines[f"transformers, {str(dtype).removeprefix('torch.')}"] = engine
    for name, file in {"the base's Q4_1": resolve(BASE).place, **exported(folder)}.items():
        engines[f"llama.cpp, {name}"] = open_engine(file, Dialect("compact"))
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(runs + 1):
        for name, engine in engines.items():
            before, began = engine.usage.tokens_out, time.perf_counter()
            engine.clear()
            engine.generate(prompts, sampling)
            took = time.perf_counter() - began
            if turn:
                speeds[name].append((engine.usage.tokens_out - before) / took)
    print(f"\ndecoding 64 problems at once, {threads} thread(s), {runs} runs", flush=True)
    for name, speed in speeds.items():
        _print(name, speed, speeds["transformers, float32"])


def exported(folder: Path) -> dict[str, str]:
    """The base's folder as GGUF files in 16 and 8 bits."""
    from ltf_lite.export.gguf.quantize import quantize
    from ltf_lite.export.gguf.write import write_gguf

    whole, small = folder / "base.f16.gguf", folder / "base.q8_0.gguf"
    if not small.exists():
        write_gguf(model_path(BASE), whole)
        quantize(whole, small, "q8_0")
    return {"f16": str(whole), "q8_0": str(small)}


def _print(name: str, speed: list[float], beside: list[float]) -> None:
    ratios = [mine / other for mine, other in zip(speed, beside, strict=True)]
    spread = f"({min(speed):,.0f}, {max(speed):,.0f})"
    times = f"{median(ratios):.2f}x ({min(ratios):.2f}, {max(ratios):.2f})"
    print(f"  {name:<28} {median(speed):>8,.0f} {spread:<18} {times}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--base", choices=(BASE, TOY), default=BASE)
    parser.add_argument("--rank", type=int, nargs="+", default=[32])
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    transformers.logging.disable_progress_bar()
    if len(args.threads) > 1:  # threads are settled once a process
        with tempfile.TemporaryDirectory() as folder:
            for threads in args.threads:
                told = ["--runs", str(args.runs), "--threads", str(threads), "--folder", folder]
                told += ["--base", args.base, "--rank", *map(str, args.rank)]
                subprocess.run([sys.executable, __file__, *told], check=True)
        return 0
    (threads,) = args.threads
    torch.set_num_threads(threads)
    for rank in args.rank:
        print(f"\n== {threads} thread(s), {args.base}, LoRA of rank {rank} on all linear layers")
        tune(args.runs, args.base, rank)
    if args.base == BASE:
        with tempfile.TemporaryDirectory() as own:
            decode(args.runs, threads, args.folder or Path(own))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

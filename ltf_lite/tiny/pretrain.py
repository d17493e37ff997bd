"""Pretrain the embedded base: `python -m ltf_lite.tiny.pretrain --out ltf_lite/tiny/weights`.

Llama architecture, tied head, number embeddings initialised with Fourier features (after FoNE,
arXiv 2502.09741), small batches, loss on completions only. It resumes from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ltf_lite.tasks.steps import valid_steps
from ltf_lite.tiny import corpus, tokenizer

PERIODS = (2, 4, 5, 7, 10, 11, 13, 20, 25, 50, 100, 200, 500, 1000, 2000)
SCALE = 0.08
CONTEXT = 128
HELDOUT, HELDOUT_SEED = 200, 24_000_001  # documents to measure on; pretraining has other seeds


def config(hidden: int, layers: int, mlp: int) -> LlamaConfig:
    vocab = tokenizer.vocabulary()
    return LlamaConfig(
        vocab_size=tokenizer.SIZE,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=vocab[tokenizer.BOS],
        eos_token_id=vocab[tokenizer.EOS],
        pad_token_id=vocab[tokenizer.PAD],
    )


def fourier(model: LlamaForCausalLM) -> None:
    """Give number n the features cos, sin of 2πn/T for every period T, and log n."""
    n = torch.arange(tokenizer.NUMBERS).double()
    waves = [wave(2 * math.pi * n / t) for t in PERIODS for wave in (torch.cos, torch.sin)]
    features = torch.stack([*waves, torch.log1p(n) / math.log(tokenizer.NUMBERS)], 1)
    with torch.no_grad():
        weight: Any = model.get_input_embeddings().weight
        weight[: tokenizer.NUMBERS, : features.shape[1]] = (SCALE * features).to(weight)


def batches(seed: int, size: int, skip: int):
    """Endless (input_ids, labels), (size, length) each, right-padded; -100 carries no loss."""
    stream = corpus.documents(seed)
    next(islice(stream, skip * size, skip * size), None)
    yield from padded(stream, size)


def padded(stream: Iterator[tuple[str, str]], size: int):
    """As `batches`, of an endless stream of (prompt, completion)."""
    tok = tokenizer.build()
    while True:
        pairs = list(islice(stream, size))
        prompts = tok([p for p, _ in pairs])["input_ids"]
        ends = tok([c for _, c in pairs], add_special_tokens=False)["input_ids"]
        rows = [(p, [*c, tok.eos_token_id]) for p, c in zip(prompts, ends, strict=True)]
        width = max(len(p) + len(c) for p, c in rows)
        ids = torch.full((size, width), tok.pad_token_id)
        labels = torch.full((size, width), -100)
        for row, (p, c) in enumerate(rows):
            ids[row, : len(p) + len(c)] = torch.tensor(p + c)
            labels[row, len(p) : len(p) + len(c)] = torch.tensor(c)
        yield ids, labels


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean NLL of the completion tokens, nats; only their logits are computed."""
    hidden = model.model(ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    mask = wanted != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[mask]).float(), wanted[mask])


@torch.no_grad()
def probe(model: LlamaForCausalLM, n: int = 300) -> dict[str, float]:
    """Shares of valid steps and solved problems on validation problems, greedy and sampled."""
    task, tok = corpus.game(), tokenizer.build()
    problems = task.problems("validation", n, 0)
    inputs = tok([task.prompt(p, "compact") for p in problems], return_tensors="pt", padding=True)
    result: dict[str, float] = {}
    anything: Any = model
    kinds: dict[str, dict[str, Any]] = {
        "greedy": {"do_sample": False},
        "t0.7": {"do_sample": True, "temperature": 0.7, "top_k": 0, "top_p": 1.0},
        "t1.0": {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0},
    }
    for name, settings in kinds.items():
        out = anything.generate(**inputs, max_new_tokens=48, **settings)
        texts = tok.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        valid = total = solved = 0
        for problem, text in zip(problems, texts, strict=True):
            verdict = task.verify(problem, task.parse(problem, text))
            good, tried = valid_steps(task, problem, task.parse(problem, text)) or (0, 0)
            valid, total, solved = valid + good, total + tried, solved + verdict.correct
        result |= {f"{name} valid": valid / total, f"{name} solved": solved / n}
    return result


def rate(step: int, steps: int, peak: float, warmup: int = 100, floor: float = 0.01) -> float:
    if step < warmup:
        return peak * (step + 1) / warmup
    part = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * part)))


def save(model: LlamaForCausalLM, out: Path) -> None:
    """The model in fp16 with its tokenizer, and the dialect it speaks."""
    half = LlamaForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(out)
    tokenizer.build().save_pretrained(out)
    (out / "ltf.json").write_text(
        json.dumps({"dialect": "compact", "search": True}) + "\n", encoding="utf-8"
    )


def write_heldout(out: Path) -> None:
    """Documents of a seed that pretraining does not use, with a blank line between them.

    No walks: a model that is tuned to reach its target is meant to find aimless ones less likely.
    """
    found = islice(corpus.documents(HELDOUT_SEED, (0, 1, 1)), HELDOUT)
    text = "\n".join(prompt + completion for prompt, completion in found)
    (out / "heldout.txt").write_text(text, encoding="utf-8")


@dataclass
class Progress:
    """Where a pretraining run is: its next step, tokens read, seconds spent."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def resume(file: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> Progress:
    """Bring model and optimizer to the last checkpoint, if there is one."""
    if not file.exists():
        return Progress()
    saved = torch.load(file, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return Progress(saved["step"], saved["tokens"], saved["seconds"])


def checkpoint(out: Path, model, optimizer, at: Progress, loss: float) -> None:
    """A line in the log, the state to resume from, and the model as it is now."""
    line = {"step": at.step, "tokens": at.tokens, "seconds": round(at.seconds, 1), "loss": loss}
    text = json.dumps({**line, **probe(model)})
    with (out / "pretrain.jsonl").open("a", encoding="utf-8") as log:
        log.write(text + "\n")
    print(text, flush=True)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), **asdict(at)}
    torch.save(state, out / "resume.tmp")
    os.replace(out / "resume.tmp", out / "resume.pt")
    save(model, out)


def pretrain(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = LlamaForCausalLM(config(args.hidden, args.layers, args.mlp))
    fourier(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    at = resume(args.out / "resume.pt", model, optimizer)
    began, recent = time.monotonic() - at.seconds, []
    todo = range(at.step, args.steps)
    for step, (ids, labels) in zip(todo, batches(args.seed, args.batch, at.step), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, args.steps, args.rate)
        loss = loss_of(model, ids, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        at.step, at.tokens = step + 1, at.tokens + int((ids != model.config.pad_token_id).sum())
        if at.step % args.every == 0 or at.step == args.steps:
            at.seconds = time.monotonic() - began
            checkpoint(args.out, model, optimizer, at, sum(recent) / len(recent))
            recent = []


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=2e-3)
    numbers = {"steps": 13000, "batch": 32, "seed": 0, "threads": 1, "every": 1000}
    shape = {"hidden": 160, "layers": 3, "mlp": 480}
    for name, default in {**numbers, **shape}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    write_heldout(args.out)
    pretrain(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

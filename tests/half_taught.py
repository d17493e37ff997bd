"""A small base that has half learnt a task: 1.2 M weights pretrained on the task's own text.

It is no language model. It stands in for one where a test or a benchmark needs a model that reads
the task, is often wrong, and is right in some of its samples: `slips` of its documents end in an
answer that is ten too large, a habit that it has to unlearn.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from ltf_lite.engines.dialect import tell
from ltf_lite.tasks import SPLITS, Problem, Task
from ltf_lite.tiny import pretrain, tokenizer

CONTEXT = 512
PROBLEMS = 20_000  # of the training split, at most
OFF = 10


def sums(task: Task, count: int = 5000, seed: int = 1) -> list[Problem]:
    """Problems as those of the example's Python file, and none of them."""
    rng, found = random.Random(seed), []
    known = {problem.id for split in SPLITS for problem in task.up_to(split, PROBLEMS, 0)}
    for _ in range(count):
        a, b, c = (rng.randint(2, 60) for _ in range(3))
        way = f"{a} + {b} = {a + b}\n{a + b} + {c} = {a + b + c}\nAnswer: {a + b + c}"
        asked = {"question": f"Add {a}, {b} and {c}.", "added": [a, b, c], "answer": way}
        found.append(task.problem(asked))
    return [problem for problem in found if problem.id not in known]


def documents(
    task: Task, seed: int, slips: float, more: Sequence[Problem] = ()
) -> Iterator[tuple[str, str]]:
    """Endless (prompt, completion) of `more` problems, else of the training ones."""
    problems = more or task.up_to("train", PROBLEMS, seed)
    rng = random.Random(seed)
    while True:
        problem = rng.choice(problems)
        gold = task.gold(problem)
        assert gold is not None
        yield task.prompt(problem, "zero_shot"), _slipped(gold, rng, slips) + "\n"


def _slipped(text: str, rng: random.Random, slips: float) -> str:
    """The text, with its last number too large wherever it stands, in a share of the cases."""
    numbers = re.findall(r"\d+", text)
    if not numbers or rng.random() >= slips:
        return text
    return re.sub(rf"\b{numbers[-1]}\b", str(int(numbers[-1]) + OFF), text)


def make(
    task: Task,
    folder: Path,
    steps: int = 600,
    slips: float = 0.6,
    size: int = 16,
    seed: int = 0,
    more: Sequence[Problem] = (),
) -> Path:
    """Pretrain the base for a task into a model folder; it is asked zero-shot."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = pretrain.config(160, 3, 480)
    config.max_position_embeddings = CONTEXT
    model = LlamaForCausalLM(config)
    pretrain.fourier(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98))
    stream = pretrain.padded(documents(task, seed, slips, more), size)
    for step, (ids, labels) in zip(range(steps), stream, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = pretrain.rate(step, steps, 2e-3)
        loss = pretrain.loss_of(model, ids, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}: {loss.item():.3f}", flush=True)
    model.half().save_pretrained(folder)
    tok = tokenizer.build()
    tok.model_max_length = CONTEXT
    tok.save_pretrained(folder)
    tell(folder, "zero_shot")
    return folder

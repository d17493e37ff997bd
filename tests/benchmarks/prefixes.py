"""What a search asks twice and what a grammar forces: `python tests/benchmarks/prefixes.py`.

Counts, no times. Of the tokens of all prompts of a search, how many an engine really computes: what
prompts share it computes once. Of the tokens that a model writes under a grammar, how many the
grammar leaves no choice of: those could be put there without asking the model. Nothing here passes
or fails.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch

from ltf_lite.engines import model_path, resolve
from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.engines.torch.grammar import Guide
from ltf_lite.engines.torch.rows import Rows
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import Problem, Task, get_task

TOY = get_task("countdown", numbers=(1, 50), max_intermediate=999, draw="walk")
REAL = get_task("countdown", count=3, numbers=(1, 20), draw="walk")
SEARCHES: dict[str, dict[str, Any]] = {
    "`cot`, 8 samples": {"name": "cot", "n": 8, "temperature": 0.8},
    "`tot`": {"name": "tot"},
    "`rap`": {"name": "rap", "iterations": 4},
}


def counted_torch(engine: TorchEngine) -> Callable[[], int]:
    """Counts the tokens of prompts that go through the model, without padding."""
    done, writing, extend = [0], [False], Rows.extend

    def look(model: Any, args: Any, named: dict[str, Any]) -> None:
        ids, mask = named.get("input_ids", *args), named.get("attention_mask")
        own = ids.numel() if mask is None or mask.dim() != 2 else mask[:, -ids.shape[1] :].sum()
        done[0] += 0 if writing[0] else int(own)

    def go_on(self: Rows, chosen: torch.Tensor) -> torch.Tensor:
        writing[0] = True
        try:
            return extend(self, chosen)
        finally:
            writing[0] = False

    Rows.extend = go_on  # type: ignore[method-assign]
    engine.model.register_forward_pre_hook(look, with_kwargs=True)
    return lambda: done[0]


def counted_llama() -> Callable[[], int]:
    """Counts the tokens of prompts that go through llama.cpp."""
    done, begin = [0], LlamaContext.begin

    def look(self: LlamaContext, sequence: int, ids: list[int]) -> Any:
        entries = begin(self, sequence, ids)
        done[0] += len(entries)
        return entries

    LlamaContext.begin = look  # type: ignore[method-assign]
    return lambda: done[0]


def asked(engine: Any, task: Task, problems: list[Problem], search: dict[str, Any]) -> int:
    """Tokens of the prompts of one search over all problems together."""
    before = engine.usage.tokens_in
    for _ in solve(get_reasoner(**search), problems, task, engine, 0):
        pass
    return engine.usage.tokens_in - before


def shared(name: str, engine: Any, count: Callable[[], int], task: Task, many: int) -> None:
    problems = task.problems("validation", many, 0)
    for label, search in SEARCHES.items():
        before = count()
        prompts = asked(engine, task, problems, search)
        through = count() - before
        print(
            f"| {name} | {label} | {prompts:,} | {through:,} | {through / prompts:.1%} |",
            flush=True,
        )


def forced(engine: TorchEngine, task: Task, many: int) -> None:
    """Of the tokens of greedy single passes under the grammar, how many were the only choice."""
    seen, lone, allowed = [0], [0], Guide.allowed

    def look(self: Guide) -> torch.Tensor:
        found = allowed(self)
        seen[0] += 1
        lone[0] += int(found.sum()) == 1
        return found

    Guide.allowed = look  # type: ignore[method-assign]
    try:
        asked(engine, task, task.problems("validation", many, 0), {"name": "cot", "grammar": True})
    finally:
        Guide.allowed = allowed  # type: ignore[method-assign]
    print(f"{engine.name}: {lone[0]:,} of {seen[0]:,} tokens are forced ({lone[0] / seen[0]:.1%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", type=int, default=50, help="problems of the embedded base")
    parser.add_argument("--real", type=int, default=4, help="problems of SmolLM2, few-shot")
    args = parser.parse_args()
    print(
        "| model | search | tokens of prompts | computed | share |\n| --- | --- | --- | --- | --- |"
    )
    toy = TorchEngine.open(model_path("tiny-base"), "tiny-base")
    shared("embedded base, torch", toy, counted_torch(toy), TOY, args.toy)
    real = TorchEngine.open(model_path("smollm2"), "smollm2") if args.real else None
    if real:
        shared("SmolLM2, torch", real, counted_torch(real), REAL, args.real)
        count = counted_llama()
        llama = LlamaCppEngine(resolve("smollm2").place, threads=1)
        shared("SmolLM2, llama.cpp", llama, count, REAL, args.real)
    forced(toy, TOY, args.toy)
    if real:
        forced(real, REAL, args.real)


if __name__ == "__main__":
    main()

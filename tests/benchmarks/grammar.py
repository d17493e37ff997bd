"""What holding a real model to the form of its steps does: what it writes, and what that costs.

Run with: python tests/benchmarks/grammar.py [--problems 100] [--runs 3]
Prints Markdown tables. SmolLM2-135M-Instruct answers Countdown with three numbers, few-shot, on one
thread. Shares with 95 % intervals are of problems, or means over problems; times are those of the
processor, medians of alternating runs with the smallest and the largest. Nothing here passes or
fails.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from ltf_lite.engines import Sampling, model_path, resolve
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.evaluation.success import mean_of, rate_of
from ltf_lite.evaluation.types import Rate
from ltf_lite.reasoners import Solution, get_reasoner, solve
from ltf_lite.tasks import Problem, get_task
from ltf_lite.tasks.numbers.text import read_step

TASK = get_task("countdown", count=3, numbers=(1, 20), draw="walk")
DIALECT = "few_shot"
MODEL = "smollm2"
CHUNK = 10  # problems asked together
TREES, TOGETHER = 40, 8  # problems of which a tree is searched; of which the time is taken
HELD = (False, True)


def shown(rate: Rate) -> str:
    return f"{100 * rate.rate:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def solved(problems: Sequence[Problem], engine: Any, **settings: Any) -> Iterator[Solution]:
    """Solutions, chunk by chunk, so that little is lost where somebody ends this."""
    reasoner = get_reasoner(**settings)
    for at in range(0, len(problems), CHUNK):
        yield from solve(reasoner, problems[at : at + CHUNK], TASK, engine, seed=at)


def single_passes(problems: Sequence[Problem], engine: Any, grammar: bool) -> list[str]:
    """How many single passes have the form, begin with a legal step, and are right."""
    whole, legal, right, tokens = [], [], [], []
    for solution in solved(problems, engine, name="cot", grammar=grammar):
        problem, (attempt,) = solution.problem, solution.attempts
        path = TASK.parse(problem, attempt.text)
        whole.append(bool(path.lines and path.answer) and all(line.step for line in path.lines))
        first = path.lines[0].text if path.lines else ""
        legal.append(TASK.take(problem, TASK.start(problem), first, DIALECT, True) is not None)
        right.append(attempt.verdict.correct)
        tokens.append(attempt.tokens)
    shares = [shown(rate_of(sum(row), len(row))) for row in (whole, legal, right)]
    return [*shares, f"{fmean(tokens):.0f}"]


def trees(problems: Sequence[Problem], engine: Any, grammar: bool) -> list[str]:
    """Of each problem's different proposals, how many are steps, and legal ones; what is solved."""
    steps, legal, right = [], [], []
    count = tokens = 0
    for solution in solved(problems, engine, name="tot", grammar=grammar):
        nodes = solution.tree[1:]
        steps.append(fmean(bool(read_step(node.text)) for node in nodes) if nodes else 0.0)
        legal.append(fmean(node.state is not None for node in nodes) if nodes else 0.0)
        chosen = solution.chosen("search")
        right.append(chosen is not None and chosen.verdict.correct)
        count, tokens = count + len(nodes), tokens + solution.tokens
    told = [shown(mean_of(row)) for row in (steps, legal)]
    told.append(shown(rate_of(sum(right), len(right))))
    return [*told, f"{count / len(problems):.1f}", f"{tokens / len(problems):.0f}"]


def judgements(problems: Sequence[Problem], engine: Any, grammar: bool) -> list[str]:
    """How many greedy judgements of a problem as it is posed say something."""
    form = TASK.grammar(problems[0], "judgement", DIALECT) if grammar else ""
    stop, most = tuple(TASK.judge_stop(DIALECT)), TASK.room(problems[0], DIALECT)
    asked = [TASK.judge(problem, TASK.start(problem), (), DIALECT) for problem in problems]
    rows = engine.generate(asked, Sampling(max_tokens=most, stop=stop, grammar=form))
    said = [TASK.read_value(completion.text) is not None for (completion,) in rows]
    tokens = fmean(completion.tokens for (completion,) in rows)
    return [shown(rate_of(sum(said), len(said))), f"{tokens:.0f}"]


def speed(engine: Any, prompts: Sequence[str], sampling: Sampling) -> float:
    """Milliseconds of the processor a token; what all prompts begin with is computed before."""
    engine.generate(prompts, replace(sampling, max_tokens=1))
    before, began = engine.usage.tokens_out, time.process_time()
    engine.generate(prompts, sampling)
    return 1000 * (time.process_time() - began) / (engine.usage.tokens_out - before)


def speeds(engines: dict[str, Any], problems: Sequence[Problem], runs: int) -> None:
    """Print what a token takes, asked together and alone, greedily and drawn."""
    print("\n| engine | asked | free, ms a token | held | what is drawn, free | held |")
    print("| --- " * 6 + "|")
    prompts = [TASK.prompt(problem, DIALECT) for problem in problems]
    form = TASK.grammar(problems[0], "path", DIALECT)
    ways = [(heat, held) for heat in (0.0, 0.7) for held in HELD]
    for name, engine in engines.items():
        for asked in (prompts, prompts[:1]):
            found: dict[Any, list[float]] = {way: [] for way in ways}
            for heat, held in ways * runs:
                sampling = Sampling(
                    temperature=heat,
                    max_tokens=TASK.room(problems[0], DIALECT),
                    stop=tuple(TASK.stop(DIALECT)),
                    grammar=form if held else "",
                )
                found[heat, held].append(speed(engine, asked, sampling))
            cells = [f"{median(x):.1f} ({min(x):.1f}, {max(x):.1f})" for x in found.values()]
            print(f"| {name} | {len(asked)} together | {' | '.join(cells)} |", flush=True)


def table(title: str, heads: Sequence[str], row: Callable[[bool], list[str]]) -> None:
    print(f"\n| {title} | {' | '.join(heads)} |\n{'| --- ' * (len(heads) + 1)}|")
    for held in HELD:
        print(f"| {'grammar' if held else 'free'} | {' | '.join(row(held))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    problems = TASK.problems("test", args.problems, 0)
    llama, n = LlamaCppEngine(resolve(MODEL).place, threads=1), f"n = {args.problems}"
    heads = ["has the form", "first step legal", "solved", "tokens"]
    table(f"single pass, {n}", heads, lambda held: single_passes(problems, llama, held))
    heads = ["proposals that are steps", "legal", "solved", "proposals", "tokens"]
    few = problems[:TREES]
    table(f"tree of thoughts, n = {len(few)}", heads, lambda held: trees(few, llama, held))
    heads = ["says something", "tokens"]
    table(f"judgement, {n}", heads, lambda held: judgements(problems, llama, held))
    if args.runs:
        engines = {"torch": TorchEngine.open(model_path(MODEL)), "llama.cpp": llama}
        speeds(engines, problems[:TOGETHER], args.runs)


if __name__ == "__main__":
    main()

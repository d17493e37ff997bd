"""How well the prompts of the number games work: proposals, values, and the single pass.

`python -m tests.benchmarks.prompts smollm2 [--dialect few_shot] [--parts proposals values single]`
asks a model what a search asks it, and says with an exact solver how good that was. Rates have
Wilson's 95 % interval, an AUC DeLong's; nothing here passes or fails. `--show N` prints what the
model wrote in the first N cases.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ltf_lite.engines import Dialect, Engine, open_engine
from ltf_lite.evaluation.success import wilson
from ltf_lite.reasoners import Turn, get_reasoner, lockstep, solve
from ltf_lite.reasoners.values import values
from ltf_lite.reasoners.written import lines_of
from ltf_lite.tasks import Problem, Task, get_task
from ltf_lite.tasks.numbers.text import read_step

PROPOSED = (
    "| proposals | parse | legal | legal and new | new a call | states with one | "
    "states kept solvable | tokens a state | tokens a new one |"
)
ANSWERED = (
    "| reasoner | n | solved | right | oracle | parse | first step legal | tokens | s a problem |"
)
PARTS = ("proposals", "values", "single", "samples", "tree")
MAX = {"rollout": 60, "prompt": 100}  # states that a way of valuing gets, where it costs much


@dataclass
class Case:
    """A state of a problem, and the lines that led to it."""

    problem: Problem
    lines: list[str]
    state: Any
    solvable: bool


def after_a_step(task: Task, problem: Problem, rng: random.Random, dialect: str) -> Case | None:
    """The state after a random legal step."""
    options = task.moves(problem, task.start(problem))
    if not options:
        return None
    move = rng.choice(options)
    good = task.solvable(problem, move.left)
    line = f"{move.a} {move.op} {move.b} = {move.result}"
    taken = task.take(problem, task.start(problem), line, "few_shot", True)
    return Case(problem, [line if dialect == "compact" else taken.text], move.left, good)


def solvable_cases(task: Task, n: int, dialect: str) -> list[Case]:
    """Half are the starts of problems, half the states after a step that keeps them solvable."""
    rng, cases = random.Random(0), []
    for k, problem in enumerate(task.problems("validation", n, 1)):
        case: Case | None = Case(problem, [], task.start(problem), True)
        if k % 2:
            while (case := after_a_step(task, problem, rng, dialect)) and not case.solvable:
                pass
        cases.append(case)
    return cases


def balanced_cases(task: Task, n: int, dialect: str) -> list[Case]:
    """States after a random step, as many solvable as not; half of problems with a number more."""
    larger = task.model_copy(update={"count": task.count + 1})
    cases: list[Case] = []
    for own in (task, larger):
        rng, wanted = random.Random(1), {True: n // 4, False: n // 4}
        for problem in own.problems("train", 5 * n, 2):
            case = after_a_step(own, problem, rng, dialect)
            if case and wanted[case.solvable]:
                wanted[case.solvable] -= 1
                cases.append(case)
    return cases


def growths(task: Task, cases: list[Case], dialect: str, **settings: Any) -> list[Any]:
    """A tree for each case, grown to its state; the state's node is the last one."""
    reasoner, found = get_reasoner("tot", **settings), []
    for case in cases:
        growth = reasoner.begin(case.problem, task, dialect, 0)
        for line in case.lines:
            growth.add(len(growth.tree) - 1, line)
        assert growth.tree[-1].state == case.state, case
        found.append(growth)
    return found


def driven(engine: Engine, grown: list[Any], searches: list[Any]) -> float:
    """Run the searches; the tokens a case that they generated."""
    before = engine.usage.tokens_out
    lockstep([Turn(g.problem, g.tree, s) for g, s in zip(grown, searches, strict=True)], engine, 0)
    return (engine.usage.tokens_out - before) / len(grown)


class Listening:
    """An engine that notes what it wrote."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.said = engine, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def generate(self, prompts, sampling, seeds=None):
        found = self.engine.generate(prompts, sampling, seeds)
        self.said += [
            (p, [c.text for c in row], row) for p, row in zip(prompts, found, strict=True)
        ]
        return found


def rate(k: int, n: int) -> str:
    low, high = wilson(k, n)
    return f"{100 * k / max(n, 1):.1f} % [{100 * low:.1f}, {100 * high:.1f}]" if n else "– (n = 0)"


# -- proposals -----------------------------------------------------------------------------------


def proposals(task: Task, engine: Engine, expand: str, n: int, samples: int, show: int) -> None:
    """What share of proposed lines can be taken."""
    dialect = engine.dialect.name
    cases = solvable_cases(task, n, dialect)
    grown, heard = growths(task, cases, dialect, expand=expand, samples=samples), Listening(engine)
    tokens = driven(heard, grown, [g.expand([len(g.tree) - 1]) for g in grown])
    lines, parsed, legal, new, kept, some = 0, 0, 0, 0, 0, 0
    for case, growth, (_, _, row) in zip(cases, grown, heard.said, strict=True):
        own, keys = task, set()
        for completion in row:
            for line in lines_of(completion) if expand == "propose" else [completion.text]:
                lines += 1
                read = read_step(line.strip(), case.state) if len(line) < 200 else None
                taken = own.take(case.problem, case.state, line.strip()[:200], dialect, True)
                parsed += read is not None
                legal += taken is not None
                new += taken is not None and taken.key not in keys
                keys |= {taken.key} if taken else set()
        children = [growth.tree[k].state for k in growth.hopeful(len(case.lines))]
        some += bool(children)
        kept += any(task.solvable(case.problem, state) for state in children)
    _shown(heard, show)
    print(
        f"| {expand}, {samples} samples | {rate(parsed, lines)} of {lines} | "
        f"{rate(legal, lines)} | {rate(new, lines)} | {new / (n * samples):.2f} | "
        f"{rate(some, n)} | {rate(kept, n)} | {tokens:.0f} | "
        f"{tokens * n / new if new else float('nan'):.0f} |",
        flush=True,
    )


def _shown(heard: Listening, show: int) -> None:
    for prompt, texts, _ in heard.said[:show]:
        print(f"--- {prompt[-60:]!r}", *(f"  > {text!r}" for text in texts), sep="\n")


# -- values --------------------------------------------------------------------------------------


def auc(good: np.ndarray, bad: np.ndarray) -> tuple[float, float, float]:
    """The chance that a good case is valued above a bad one, with DeLong's 95 % interval."""
    wins = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
    area = float(wins.mean())
    variance = wins.mean(1).var(ddof=1) / len(good) + wins.mean(0).var(ddof=1) / len(bad)
    half = 1.96 * float(np.sqrt(variance))
    return area, max(0.0, area - half), min(1.0, area + half)


def areas(found: np.ndarray, truth: np.ndarray, size: np.ndarray) -> list[str]:
    """The AUC of all cases, and of those of each size."""
    cells = []
    for part in [np.full(len(size), True), *(size == each for each in sorted(set(size)))]:
        area, low, high = auc(found[part & truth], found[part & ~truth])
        cells.append(f"{area:.3f} [{low:.3f}, {high:.3f}]")
    return cells


def valued(task: Task, engine: Engine, way: str, n: int, show: int) -> None:
    """How well a way of valuing tells solvable states from the others."""
    dialect = engine.dialect.name
    cases = balanced_cases(task, MAX.get(way, n), dialect)
    grown, heard, kept = growths(task, cases, dialect), Listening(engine), {}

    def search(at: int, growth: Any) -> Any:
        kept[at] = yield from values(growth, way, [len(growth.tree) - 1])

    began = time.perf_counter()
    nodes = [len(g.tree) - 1 for g in grown]
    tokens = driven(heard, grown, [search(at, growth) for at, growth in enumerate(grown)])
    seconds = time.perf_counter() - began
    found = np.array([kept[at][node] for at, node in enumerate(nodes)])
    truth = np.array([case.solvable for case in cases])
    size = np.array([len(case.state) for case in cases])
    _shown(heard, show)
    print(
        f"| {way} | {len(cases)} | {' | '.join(areas(found, truth, size))} | "
        f"{found[truth].mean():.3f} / {found[~truth].mean():.3f} | {tokens:.0f} | "
        f"{1000 * seconds / len(cases):.0f} |",
        flush=True,
    )


# -- whole answers -------------------------------------------------------------------------------


def answered(
    task: Task, engine: Engine, name: str, count: int, show: int, settings: dict[str, Any]
) -> None:
    """What a reasoner solves, and what its paths look like."""
    problems, heard = task.problems("validation", count, 1), Listening(engine)
    began = time.perf_counter()
    solutions = list(solve(get_reasoner(name, **settings), problems, task, heard, 0))
    seconds = (time.perf_counter() - began) / count
    attempts = [each for own in solutions for each in own.attempts]
    kinds = [each.verdict.kind for each in attempts]
    whole = sum(kind not in ("format", "incomplete") for kind in kinds)
    first = sum(
        a.verdict.correct or a.verdict.fatal_step != 0 or a.verdict.kind == "dead_end"
        for a in attempts
    )
    solved = {}
    for own in solutions:
        for choice, at in own.choices.items():
            right = at is not None and own.attempts[at].verdict.correct
            solved[choice.kind] = solved.get(choice.kind, 0) + right
    right = [sum(a.verdict.correct for a in own.attempts) for own in solutions]
    _shown(heard, show)
    picked = ", ".join(
        f"{kind} {rate(k, count)}" for kind, k in solved.items() if kind not in ("sample", "oracle")
    )
    print(
        f"| {name} {settings} | {count} | {picked or '–'} | "
        f"{100 * sum(right) / max(1, len(attempts)):.1f} % of paths | "
        f"oracle {rate(sum(map(bool, right)), count)} | "
        f"{rate(whole, len(attempts))} | {rate(first, len(attempts))} | "
        f"{sum(s.tokens for s in solutions) / count:.0f} | {seconds:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--dialect", default="few_shot")
    parser.add_argument("--task", default='{"count": 3, "numbers": [1, 20], "draw": "walk"}')
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--ways", nargs="*", default=["yes", "logprob", "prompt", "rollout"])
    parser.add_argument("--expand", nargs="*", default=["propose", "sample"])
    parser.add_argument("--proposals", type=int, default=100)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--states", type=int, default=500)
    parser.add_argument("--single", type=int, default=200)
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--tot", default='{"beam": 3, "samples": 2, "value": "yes"}')
    parser.add_argument("--batch", type=int, default=96, help="sequences a forward pass")
    parser.add_argument("--show", type=int, default=0)
    args = parser.parse_args()
    task, engine = (
        get_task("countdown", **json.loads(args.task)),
        open_engine(args.model, Dialect(args.dialect)),
    )
    engine.batch = args.batch  # type: ignore[attr-defined]  # of a wide one the cache is gigabytes
    if "proposals" in args.parts:
        print(PROPOSED)
        for expand in args.expand:
            proposals(task, engine, expand, args.proposals, args.samples, args.show)
    if "values" in args.parts:
        print("| value | n | AUC | two left | three left | mean good / bad | tokens | ms a state |")
        for way in args.ways:
            valued(task, engine, way, args.states, args.show)
    whole = {
        "single": ("cot", args.single, {}),
        "samples": ("cot", args.problems, {"n": 8, "temperature": 0.7}),
        "tree": ("tot", args.problems, json.loads(args.tot)),
    }
    if set(whole) & set(args.parts):
        print(ANSWERED)
    for part, (name, n, settings) in whole.items():
        if part in args.parts:
            answered(task, engine, name, n, args.show, settings)


if __name__ == "__main__":
    main()

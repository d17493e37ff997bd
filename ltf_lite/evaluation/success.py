"""Success of a reasoner on a set of problems: rates with intervals, tokens and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, pvariance
from typing import NamedTuple

from scipy.stats import binomtest

from ltf_lite.evaluation.significance import pass_at_k
from ltf_lite.evaluation.types import Alone, AskedPath, Cost, Rate, Record, Scored
from ltf_lite.reasoners import Choice, Reasoner, Solution
from ltf_lite.tasks import Split, Task
from ltf_lite.tasks.steps import valid_steps

FEW = 30  # problems: with fewer, even a large difference is within chance
Z95 = 1.959963984540054

Marks = list[list[bool]]  # by problem, whether each of its paths is right


def too_few(n: int, what: str = "test problems") -> str | None:
    """The warning that a result on n problems needs; None where they are enough."""
    if n >= FEW:
        return None
    return f"only {n} {what}: with fewer than {FEW}, nothing can be concluded"


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of k successes in n."""
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    # Rounding may leave the share itself outside, by the last bit.
    return min(k / n, float(interval.low)), max(k / n, float(interval.high))


def rate_of(k: int, n: int) -> Rate:
    """k successes in n with Wilson's interval."""
    return Rate(k / n, *wilson(k, n), n)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean of independent values within 0..1.

    It is Wilson's, of as many problems as would have this spread if each were 0 or 1. Of values
    that are 0 or 1 it is Wilson's own. Where all values are equal it is still an interval.
    """
    mean, n = fmean(values), float(len(values))
    if spread := pvariance(values):
        n *= mean * (1 - mean) / spread
    middle, half = mean + Z95**2 / (2 * n), Z95 * sqrt(mean * (1 - mean) / n + (Z95 / (2 * n)) ** 2)
    whole = 1 + Z95**2 / n
    low, high = max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)
    return min(mean, low), max(mean, high)  # rounding may leave the mean itself outside


def mean_of(values: Sequence[float]) -> Rate:
    """The mean of a value a problem with its interval."""
    return Rate(fmean(values), *mean_interval(values), len(values))


def sizes(most: int) -> list[int]:
    """1, 2, 4, … and `most`: of how many samples something is told."""
    return sorted({*(2**i for i in range(most.bit_length())), most})


class Whole(NamedTuple):
    """What the whole set cost, asked in bulk, and a problem asked alone."""

    tokens: int
    tokens_in: int
    seconds: float
    calls: int
    alone: float | None


def record(
    solutions: Sequence[Solution],
    task: Task,
    *,
    model: str,
    reasoner: Reasoner,
    split: Split,
    seed: int,
    seconds: float,
    calls: int,
    tokens_in: int = 0,
    alone: Alone | None = None,
    runtime: str = "",
) -> Record:
    """What a model solved with a reasoner, and what that cost.

    `seconds`, `calls` and `tokens_in` are of the whole set, asked in bulk; `alone` is of problems
    asked one at a time. The mean over samples costs one sample's share, and nobody asked it alone.
    Every other choice costs all. Samples also give pass@k for 1, 2, 4, … and as many as every
    problem has.
    """
    paths, valid = _paths(solutions, task)
    marks = [[attempt.verdict.correct for attempt in s.attempts] for s in solutions]
    spent = tuple(s.tokens for s in solutions)
    whole = Whole(sum(spent), tokens_in, seconds, calls, alone.seconds if alone else None)
    choices = list(solutions[0].choices) if solutions else []
    sampled = any(c.kind == "sample" for c in choices) and min(map(len, marks)) > 1
    return Record(
        task=task.name,
        model=model,
        reasoner=reasoner.name,
        label=reasoner.label,
        settings=reasoner.settings(),
        split=split,
        seed=seed,
        n=len(solutions),
        seconds=seconds,
        calls=calls,
        tokens_in=tokens_in,
        tokens_out=sum(spent),
        nodes=sum(len(s.tree) for s in solutions),
        scored=tuple(_scored(choice, solutions, marks, whole) for choice in choices),
        kinds=dict(Counter(path.verdict.kind or "success" for path in paths).most_common()),
        problems=tuple(s.problem for s in solutions),
        spent=spent,
        alone=alone,
        valid_steps=valid,
        pass_at=_pass_at(marks) if sampled else {},
        paths=paths,
        runtime=runtime,
    )


def _paths(solutions: Sequence[Solution], task: Task) -> tuple[tuple[AskedPath, ...], float | None]:
    """Every path with its verdict, and the share of all their steps that are valid."""
    paths: list[AskedPath] = []
    good = tried = 0
    for solution in solutions:
        problem = solution.problem
        for attempt in solution.attempts:
            path = task.parse(problem, attempt.text)
            valid = valid_steps(task, problem, path)
            good, tried = (good + valid[0], tried + valid[1]) if valid else (good, tried)
            answer = task.answer(path)
            asked = AskedPath(
                problem.id, attempt.text, attempt.tokens, attempt.logprob, answer, attempt.verdict
            )
            paths.append(asked)
    return tuple(paths), good / tried if tried else None


def _scored(choice: Choice, solutions: Sequence[Solution], marks: Marks, whole: Whole) -> Scored:
    if choice.kind == "sample":
        means = [fmean(row) if row else 0.0 for row in marks]
        return Scored(choice, mean_of(means), _cost(whole, marks, sum(map(len, marks))))
    if choice.is_bound:
        right = [any(row) for row in marks]
    else:
        picks = [s.choices[choice] for s in solutions]
        right = [k is not None and row[k] for k, row in zip(picks, marks, strict=True)]
    solved = "".join("01"[each] for each in right)
    return Scored(choice, rate_of(sum(right), len(right)), _cost(whole, marks), solved)


def _cost(whole: Whole, marks: Marks, paths: int | None = None) -> Cost:
    """A problem's share of what the set cost; of `paths` that are sampled, one sample's share."""
    n, samples = len(marks), 1.0
    if paths is not None:
        samples = max(1.0, paths / n)
    # samples drawn in one call share their prompt, which one alone needs as well
    reads = samples if whole.calls > 1 else 1.0
    return Cost(
        tokens=whole.tokens / samples / n,
        tokens_in=whole.tokens_in / reads / n,
        seconds=whole.seconds / samples / n,
        alone=whole.alone if paths is None else None,
    )


def _pass_at(marks: Marks) -> dict[int, Rate]:
    """pass@k for k = 1, 2, 4, … and the most that every problem has samples for."""
    most = min(map(len, marks))
    return {k: mean_of([pass_at_k(len(row), sum(row), k) for row in marks]) for k in sizes(most)}

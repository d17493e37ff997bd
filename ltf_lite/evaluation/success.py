"""Success of a reasoner on a set of problems: rates with intervals, tokens and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from scipy.stats import binomtest

from ltf_lite.reasoners import Solution
from ltf_lite.tasks import NumbersGame
from ltf_lite.tasks.steps import valid_steps

Z95 = 1.959963984540054


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of k successes in n."""
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean of independent values, normal approximation, within 0..1."""
    mean = fmean(values)
    half = Z95 * stdev(values) / sqrt(len(values)) if len(values) > 1 else 1.0
    return max(0.0, mean - half), min(1.0, mean + half)


def record(
    solutions: list[Solution], task: NumbersGame, seconds: float, calls: int
) -> dict[str, Any]:
    """Rates of every choice, failure kinds, valid steps, and every path with its verdict.

    `seconds` is the wall time of the whole set. The mean over samples (`sample`) costs one sample's
    share of it; every other choice costs all of it.
    """
    paths: list[dict[str, Any]] = []
    good = tried = 0
    for solution in solutions:
        for attempt in solution.attempts:
            valid, steps = valid_steps(task, solution.problem, attempt.path)
            good, tried = good + valid, tried + steps
            paths.append(
                {
                    "problem": solution.problem.as_dict(),
                    "text": attempt.text,
                    "tokens": attempt.tokens,
                    "logprob": attempt.logprob,
                    **attempt.verdict.as_dict(),
                }
            )
    verdicts = [[attempt.verdict.correct for attempt in s.attempts] for s in solutions]
    kinds = Counter(path["kind"] or "success" for path in paths)
    rates = {
        choice: _rate(choice, solutions, verdicts, seconds)
        for choice in (solutions[0].choices if solutions else {})
    }
    return {
        "n": len(solutions),
        "seconds": seconds,
        "calls": calls,
        "nodes": sum(len(s.tree) for s in solutions),
        "rates": rates,
        "valid_steps": good / tried if tried else None,
        "kinds": dict(kinds.most_common()),
        "paths": paths,
    }


def _rate(choice: str, solutions, verdicts: list[list[bool]], seconds: float) -> dict[str, Any]:
    n = len(solutions)
    tokens = sum(s.tokens for s in solutions)
    if choice == "sample":
        means = [fmean(row) if row else 0.0 for row in verdicts]
        samples = max(1.0, sum(map(len, verdicts)) / n)
        low, high = mean_interval(means)
        rate, tokens, seconds = fmean(means), tokens / samples, seconds / samples
    else:
        if choice.startswith("oracle"):
            k = sum(any(row) for row in verdicts)
        else:
            picks = [s.choices[choice] for s in solutions]
            k = sum(i is not None and row[i] for i, row in zip(picks, verdicts, strict=True))
        low, high = wilson(k, n)
        rate = k / n
    return {
        "rate": rate, "low": low, "high": high, "n": n,
        "tokens": tokens / n, "seconds": seconds / n,
    }  # fmt: skip

"""Success of a reasoner on a set of problems: rates with intervals, tokens and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from scipy.stats import binomtest

from ltf_lite.evaluation.significance import pass_at_k
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
    share of it; every other choice costs all of it. `solved` has for every choice but `sample` one
    character a problem of `problems`, 1 where it was right. Samples also give `pass_at`: for 1, 2,
    4, … and as many as every problem has, the mean of pass@k over problems with its interval.
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
    choices = solutions[0].choices if solutions else {}
    solved = {c: _solved(c, solutions, verdicts) for c in choices if c != "sample"}
    rates = {c: _rate(solved.get(c), solutions, verdicts, seconds) for c in choices}
    sampled = "sample" in choices and min(map(len, verdicts)) > 1
    return {
        "n": len(solutions),
        "seconds": seconds,
        "calls": calls,
        "nodes": sum(len(s.tree) for s in solutions),
        "rates": rates,
        **({"pass_at": _pass_at(verdicts)} if sampled else {}),
        "valid_steps": good / tried if tried else None,
        "kinds": dict(kinds.most_common()),
        "problems": [s.problem.as_dict() for s in solutions],
        "solved": {c: "".join("01"[right] for right in row) for c, row in solved.items()},
        "paths": paths,
    }


def _solved(choice: str, solutions: list[Solution], verdicts: list[list[bool]]) -> list[bool]:
    """Whether this choice was right, by problem."""
    if choice.startswith("oracle"):
        return [any(row) for row in verdicts]
    picks = [s.choices[choice] for s in solutions]
    return [i is not None and row[i] for i, row in zip(picks, verdicts, strict=True)]


def _rate(
    solved: list[bool] | None, solutions: list[Solution], verdicts: list[list[bool]], seconds: float
) -> dict[str, Any]:
    """The rate of a choice; of the mean over samples where there is no choice (None)."""
    n = len(solutions)
    tokens: float = sum(s.tokens for s in solutions)
    if solved is None:
        means = [fmean(row) if row else 0.0 for row in verdicts]
        samples = max(1.0, sum(map(len, verdicts)) / n)
        low, high = mean_interval(means)
        rate, tokens, seconds = fmean(means), tokens / samples, seconds / samples
    else:
        low, high = wilson(sum(solved), n)
        rate = sum(solved) / n
    return {
        "rate": rate, "low": low, "high": high, "n": n,
        "tokens": tokens / n, "seconds": seconds / n,
    }  # fmt: skip


def _pass_at(verdicts: list[list[bool]]) -> dict[str, dict[str, float]]:
    """pass@k for k = 1, 2, 4, … and the most that every problem has samples for."""
    most = min(map(len, verdicts))
    found = {}
    for k in sorted({*(2**i for i in range(most.bit_length())), most}):
        values = [pass_at_k(len(row), sum(row), k) for row in verdicts]
        low, high = mean_interval(values)
        found[str(k)] = {"rate": fmean(values), "low": low, "high": high}
    return found

"""Success of a reasoner on a set of problems: rates with intervals, tokens and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, pvariance
from typing import Any

from scipy.stats import binomtest

from ltf_lite.evaluation.significance import pass_at_k
from ltf_lite.reasoners import Solution
from ltf_lite.reasoners.cot import answer_of
from ltf_lite.tasks import NumbersGame
from ltf_lite.tasks.steps import valid_steps

SCHEMA = 2  # of an evaluation record; one of another number is not read
FEW = 30  # problems: with fewer, even a large difference is within chance
Z95 = 1.959963984540054


def too_few(n: int) -> str | None:
    """The warning that a result on n test problems needs; None where they are enough."""
    if n >= FEW:
        return None
    return f"only {n} test problems: with fewer than {FEW}, nothing can be concluded"


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of k successes in n."""
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean of independent values within 0..1.

    Wilson's, of as many problems as would have this spread if each were 0 or 1: of values that are,
    it is Wilson's own, and where all are equal it doesn't shrink to a point.
    """
    mean, n = fmean(values), float(len(values))
    if spread := pvariance(values):
        n *= mean * (1 - mean) / spread
    middle, half = mean + Z95**2 / (2 * n), Z95 * sqrt(mean * (1 - mean) / n + (Z95 / (2 * n)) ** 2)
    whole = 1 + Z95**2 / n
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def sizes(most: int) -> list[int]:
    """1, 2, 4, … and `most`: of how many samples something is told."""
    return sorted({*(2**i for i in range(most.bit_length())), most})


def record(
    solutions: list[Solution], task: NumbersGame, seconds: float, calls: int, tokens_in: int = 0,
    alone: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Rates of every choice, failure kinds, valid steps, and every path with its verdict.

    `seconds`, `calls` and `tokens_in` are of the whole set, asked in bulk; `alone` tells what a
    problem takes that is asked by itself: `n` of them, the median `seconds`, `low` and `high`. The
    mean over samples (`sample`) costs one sample's share, and nobody asked it alone; every other
    choice costs all. `spent` has the generated tokens of each of `problems`, and `solved` for every
    choice but `sample` one character each, 1 where it was right. Samples also give `pass_at`: for
    1, 2, 4, … and as many as every problem has, the mean of pass@k over problems with its interval.
    """
    paths, valid = _paths(solutions, task)
    verdicts = [[attempt.verdict.correct for attempt in s.attempts] for s in solutions]
    kinds = Counter(path["kind"] or "success" for path in paths)
    choices = solutions[0].choices if solutions else {}
    solved = {c: _solved(c, solutions, verdicts) for c in choices if c != "sample"}
    spent = [s.tokens for s in solutions]
    cost = {"tokens": sum(spent), "tokens_in": tokens_in, "seconds": seconds}
    share = {c: _share(c, cost, verdicts, calls) for c in choices}
    lone = alone["seconds"] if alone else None
    rates = {
        c: {**_rate(solved.get(c), verdicts), **share[c], "alone": None if c == "sample" else lone}
        for c in choices
    }
    sampled = "sample" in choices and min(map(len, verdicts)) > 1
    return {
        "schema": SCHEMA,
        "task": task.name,
        "n": len(solutions),
        "seconds": seconds,
        "alone": alone,
        "calls": calls,
        "tokens_in": tokens_in,
        "tokens_out": sum(spent),
        "nodes": sum(len(s.tree) for s in solutions),
        "rates": rates,
        **({"pass_at": _pass_at(verdicts)} if sampled else {}),
        "valid_steps": valid,
        "kinds": dict(kinds.most_common()),
        "problems": [s.problem.as_dict() for s in solutions],
        "spent": spent,
        "solved": {c: "".join("01"[right] for right in row) for c, row in solved.items()},
        "paths": paths,
    }


def _paths(
    solutions: list[Solution], task: NumbersGame
) -> tuple[list[dict[str, Any]], float | None]:
    """Every path with its verdict, and the share of all their steps that are valid."""
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
                    "answer": answer_of(attempt.path),
                    **attempt.verdict.as_dict(),
                }
            )
    return paths, good / tried if tried else None


def _solved(choice: str, solutions: list[Solution], verdicts: list[list[bool]]) -> list[bool]:
    """Whether this choice was right, by problem."""
    if choice.startswith("oracle"):
        return [any(row) for row in verdicts]
    picks = [s.choices[choice] for s in solutions]
    return [i is not None and row[i] for i, row in zip(picks, verdicts, strict=True)]


def _rate(solved: list[bool] | None, verdicts: list[list[bool]]) -> dict[str, Any]:
    """The rate of a choice; of the mean over samples where there is no choice (None)."""
    n = len(verdicts)
    if solved is None:
        means = [fmean(row) if row else 0.0 for row in verdicts]
        low, high = mean_interval(means)
        return {"rate": fmean(means), "low": low, "high": high, "n": n}
    low, high = wilson(sum(solved), n)
    return {"rate": sum(solved) / n, "low": low, "high": high, "n": n}


def _share(
    choice: str, cost: dict[str, float], verdicts: list[list[bool]], calls: int
) -> dict[str, float]:
    """What a problem costs of all that the set did; one sample's share for the mean over them."""
    n, samples = len(verdicts), 1.0
    if choice == "sample":
        samples = max(1.0, sum(map(len, verdicts)) / n)
    # samples drawn in one call share their prompt, which one alone needs as well
    reads = samples if calls > 1 else 1.0
    return {
        "tokens": cost["tokens"] / samples / n,
        "tokens_in": cost["tokens_in"] / reads / n,
        "seconds": cost["seconds"] / samples / n,
    }


def _pass_at(verdicts: list[list[bool]]) -> dict[str, dict[str, float]]:
    """pass@k for k = 1, 2, 4, … and the most that every problem has samples for."""
    most = min(map(len, verdicts))
    found = {}
    for k in sizes(most):
        values = [pass_at_k(len(row), sum(row), k) for row in verdicts]
        low, high = mean_interval(values)
        found[str(k)] = {"rate": fmean(values), "low": low, "high": high}
    return found

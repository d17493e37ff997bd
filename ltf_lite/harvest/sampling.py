"""From the harvest to training examples: which paths, and which characters of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from ltf_lite.harvest.example import Example
from ltf_lite.harvest.store import Row
from ltf_lite.tasks import NumbersGame, Problem

Group = TypeVar("Group", bound=Hashable)
Drawn = tuple[Row, Example]

GROUPS: dict[str, Callable[[Row], Hashable]] = {
    "kind": lambda row: row["kind"],
    "reasoner": lambda row: row["reasoner"],
    "kind_and_reasoner": lambda row: (row["kind"], row["reasoner"]),
}


class Limits(NamedTuple):
    """How much is taken: at most so many a problem and side, and so many successes in all.

    `balance` names groups of GROUPS that the failures are drawn from in equal parts, or `none`;
    `per_success` is how many failures there are beside each success, None for all that are left.
    """

    successes_per_problem: int
    failures_per_problem: int
    successes: int | None = None
    balance: str = "none"
    per_success: float | None = None


def examples(
    rows: Iterable[Row], task: NumbersGame, credit: str, limits: Limits, seed: int
) -> tuple[list[Example], dict[str, Any]]:
    """The examples that are trained on, and what was taken from what.

    Successes are taken in the harvest's order; failures are drawn at random, so that no reasoner
    and no failure kind is preferred because it came first. Failures of a problem that come to the
    same once they are trimmed to what is forgotten are one. The report has `taken` and `found`,
    {reasoner: {kind or "success": paths}}, and `doubles` and `nothing_to_forget`, the failures left
    out for these reasons.
    """
    good: dict[str, list[Row]] = defaultdict(list)
    bad: dict[str, list[Row]] = defaultdict(list)
    found: list[Row] = []
    for row in rows:
        (good if row["correct"] else bad)[row["problem_id"]].append(row)
        found.append(row)
    rng = random.Random(f"examples:{seed}")
    successes = _successes(good, task, credit, limits, rng)
    pools, left_out = _trimmed(bad, task, credit)
    failures = [
        drawn
        for pool in pools
        for drawn in rng.sample(pool, min(limits.failures_per_problem, len(pool)))
    ]
    if limits.per_success is not None:
        room = round(limits.per_success * len(successes))
        failures = _balanced(failures, GROUPS.get(limits.balance, lambda row: None), room, rng)
    taken = [*successes, *failures]
    report = {"taken": _counts(row for row, _ in taken), "found": _counts(found), **left_out}
    return [example for _, example in taken], report


def _successes(
    good: Mapping[str, list[Row]], task: NumbersGame, credit: str, limits: Limits,
    rng: random.Random,
) -> list[Drawn]:  # fmt: skip
    taken = [
        row for problem in sorted(good) for row in good[problem][: limits.successes_per_problem]
    ]
    if limits.successes is not None and limits.successes < len(taken):
        taken = rng.sample(taken, limits.successes)
    return [(row, example) for row in taken if (example := example_of(row, task, credit))]


def _trimmed(
    bad: Mapping[str, list[Row]], task: NumbersGame, credit: str
) -> tuple[list[list[Drawn]], dict[str, int]]:
    """Every problem's failures that differ in what is forgotten, and how many were left out."""
    pools, doubles, nothing = [], 0, 0
    for problem in sorted(bad):
        pool: dict[tuple[str, str, int], Drawn] = {}
        for row in bad[problem]:
            example = example_of(row, task, credit)
            if example is None:
                nothing += 1
                continue
            key = example.prompt, example.completion[: example.end], example.start
            doubles += key in pool
            pool.setdefault(key, (row, example))
        pools.append(list(pool.values()))
    return pools, {"doubles": doubles, "nothing_to_forget": nothing}


def _balanced(
    failures: list[Drawn], group: Callable[[Row], Hashable], room: int, rng: random.Random
) -> list[Drawn]:
    """At most `room` of the failures, as evenly over the groups as their sizes allow."""
    groups: dict[Hashable, list[Drawn]] = defaultdict(list)
    for drawn in failures:
        groups[group(drawn[0])].append(drawn)
    shares = quotas({name: len(own) for name, own in groups.items()}, room)
    return [drawn for name, own in groups.items() for drawn in rng.sample(own, shares[name])]


def quotas(sizes: Mapping[Group, int], room: int) -> dict[Group, int]:
    """How many of each group to take so that there are `room` in all, as evenly as can be.

    A group smaller than an equal part gives all it has, and the others share what it leaves.
    """
    shares: dict[Group, int] = {}
    ordered = sorted(sizes, key=lambda name: (sizes[name], str(name)))
    for at, name in enumerate(ordered):
        shares[name] = min(sizes[name], room // (len(ordered) - at))
        room -= shares[name]
    return shares


def _counts(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """{reasoner: {kind or "success": paths}}."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["reasoner"]][row["kind"] or "success"] += 1
    return {reasoner: dict(count) for reasoner, count in sorted(counts.items())}


def example_of(row: Row, task: NumbersGame, credit: str) -> Example | None:
    """The example of a row; None for a failure in which `credit` finds nothing to forget."""
    text = row["text"]
    if row["correct"]:
        return Example(row["prompt"], text, True, 0, len(text))
    span = (0, len(text)) if credit == "whole" else _fatal_span(row, task, credit)
    return Example(row["prompt"], text, False, *span) if span and span[1] > span[0] else None


def _fatal_span(row: Row, task: NumbersGame, credit: str) -> tuple[int, int] | None:
    problem = Problem(row["task"], tuple(row["numbers"]), row["target"])
    path = task.parse(problem, row["text"])
    lines = [*path.lines, *([path.answer] if path.answer else [])]
    if row["fatal_step"] >= len(lines):
        return None
    line = lines[row["fatal_step"]]
    if credit == "fatal_step":
        return line.start, len(row["text"])
    return line.decision, line.decision_end

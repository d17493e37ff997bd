"""From the harvest to training examples: which paths, and which characters of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

from ltf_lite.harvest.example import Example
from ltf_lite.harvest.store import Row
from ltf_lite.tasks import NumbersGame, Problem


def examples(
    rows: Iterable[Row], task: NumbersGame, credit: str, successes: int, failures: int, seed: int
) -> tuple[list[Example], dict[str, dict[str, int]]]:
    """At most so many successes and failures a problem, and what was taken from which reasoner.

    Successes are taken in the harvest's order; failures are drawn at random, so that no reasoner
    and no failure kind is preferred because it came first.
    """
    good: dict[str, list[Row]] = defaultdict(list)
    bad: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        (good if row["correct"] else bad)[row["problem_id"]].append(row)
    rng = random.Random(f"examples:{seed}")
    taken: list[Row] = []
    for problem_id in sorted(good):
        taken += good[problem_id][:successes]
    for problem_id in sorted(bad):
        pool = bad[problem_id]
        taken += rng.sample(pool, min(failures, len(pool)))
    result: list[Example] = []
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in taken:
        example = example_of(row, task, credit)
        if example is not None:
            result.append(example)
            counts[row["reasoner"]][row["kind"] or "success"] += 1
    return result, {reasoner: dict(count) for reasoner, count in sorted(counts.items())}


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

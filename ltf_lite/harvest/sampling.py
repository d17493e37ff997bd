"""From the harvest to training examples: which paths, and which characters of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ltf_lite.harvest.example import Example
from ltf_lite.harvest.pivot import right_until, shared
from ltf_lite.harvest.store import Row
from ltf_lite.tasks import Task

Group = TypeVar("Group", bound=Hashable)
Drawn = tuple[Row, Example]
Counts = dict[str, dict[str, int]]  # label of a reasoner → failure kind or "success" → paths

GROUPS: dict[str, Callable[[Row], Hashable]] = {
    "kind": lambda row: row.kind,
    "reasoner": lambda row: row.label,
    "kind_and_reasoner": lambda row: (row.kind, row.label),
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


@dataclass(frozen=True)
class Taken:
    """What was taken of what was found, by reasoner and how the path ended.

    Left out are `doubles`, failures of a problem that come to the same once they are trimmed to
    what is forgotten; failures with `nothing_to_forget`; and paths that the learnt dialect has no
    way to write (`unwritable`).
    """

    taken: Counts
    found: Counts
    doubles: int
    nothing_to_forget: int
    unwritable: int = 0


class Lesson(NamedTuple):
    """What a row is made an example by: its task, the learnt dialect, how much is forgotten.

    What a failure begins with as one of its problem's `successes` does is never forgotten.
    """

    task: Task
    dialect: str
    credit: str
    successes: Mapping[str, Sequence[str]] = {}

    def example(self, row: Row) -> Example | None:
        """None for a failure that is spared, or in which the credit finds nothing to forget."""
        text = self.text(row)
        if text is None:
            return None
        prompt = self.task.prompt(row.problem, self.dialect)
        if row.correct:
            return Example(prompt, text, True, 0, len(text))
        if row.kind in self.task.spared:
            return None
        span = (0, len(text)) if self.credit == "whole" else self._fatal_span(row, text)
        if span is None:
            return None
        right = shared(text, self.successes.get(row.problem.id, ()))
        start, end = max(span[0], right), span[1]
        if self.credit == "pivot":
            end = min(end, start + 1)
        return Example(prompt, text, False, start, end) if end > start else None

    def text(self, row: Row) -> str | None:
        """The path as the learnt dialect writes it; None where it cannot.

        What was answered to the learnt prompt stays as it is, whatever was answered.
        """
        if row.prompt == self.task.prompt(row.problem, self.dialect):
            return row.text
        return self.task.rewritten(row.problem, row.text, self.dialect)

    def _fatal_span(self, row: Row, text: str) -> tuple[int, int] | None:
        """The characters from the fatal step or its pivot on, or those of its decision."""
        lines = self.task.parse(row.problem, text).all_lines()
        if row.fatal_step is None:  # nobody knows where it broke
            return 0, len(text)
        if row.fatal_step >= len(lines):
            return None
        line = lines[row.fatal_step]
        if self.credit == "fatal_step":
            return line.start, len(text)
        if self.credit == "pivot":
            before = lines[: row.fatal_step]
            return right_until(row.problem, text, line, before, self.task, self.dialect), len(text)
        return line.decision, line.decision_end


def examples(
    rows: Iterable[Row], task: Task, credit: str, limits: Limits, seed: int, dialect: str
) -> tuple[list[Example], Taken]:
    """The examples that are trained on, and what was taken from what.

    Successes are taken in the harvest's order; failures are drawn at random, so that no reasoner
    and no failure kind is preferred because it came first. All are told in the learnt `dialect`.
    """
    plainly = Lesson(task, dialect, credit)
    good: dict[str, list[Row]] = defaultdict(list)
    bad: dict[str, list[Row]] = defaultdict(list)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    right: dict[str, list[str]] = defaultdict(list)
    unwritable = 0
    for row in rows:
        found[row.label][row.kind or "success"] += 1
        text = plainly.text(row)
        if text is None:
            unwritable += 1
            continue
        (good if row.correct else bad)[row.problem.id].append(row)
        if row.correct:
            right[row.problem.id].append(text)
    lesson = plainly._replace(successes=right)
    rng = random.Random(f"examples:{seed}")
    successes = _successes(good, lesson, limits, rng)
    pools, doubles, nothing = _trimmed(bad, lesson)
    failures = [
        drawn
        for pool in pools
        for drawn in rng.sample(pool, min(limits.failures_per_problem, len(pool)))
    ]
    if limits.per_success is not None:
        room = round(limits.per_success * len(successes))
        failures = _balanced(failures, GROUPS.get(limits.balance, lambda row: None), room, rng)
    taken = [*successes, *failures]
    told = Taken(_counts(row for row, _ in taken), _plain(found), doubles, nothing, unwritable)
    return [example for _, example in taken], told


def _successes(
    good: Mapping[str, list[Row]], lesson: Lesson, limits: Limits, rng: random.Random
) -> list[Drawn]:
    taken = [
        row for problem in sorted(good) for row in good[problem][: limits.successes_per_problem]
    ]
    if limits.successes is not None and limits.successes < len(taken):
        taken = rng.sample(taken, limits.successes)
    return [(row, example) for row in taken if (example := lesson.example(row))]


def _trimmed(bad: Mapping[str, list[Row]], lesson: Lesson) -> tuple[list[list[Drawn]], int, int]:
    """Every problem's failures that differ in what is forgotten; doubles, and empty ones."""
    pools, doubles, nothing = [], 0, 0
    for problem in sorted(bad):
        pool: dict[tuple[str, str, int], Drawn] = {}
        for row in bad[problem]:
            example = lesson.example(row)
            if example is None:
                nothing += 1
                continue
            key = example.prompt, example.completion[: example.end], example.start
            doubles += key in pool
            pool.setdefault(key, (row, example))
        pools.append(list(pool.values()))
    return pools, doubles, nothing


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


def _counts(rows: Iterable[Row]) -> Counts:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.label][row.kind or "success"] += 1
    return _plain(counts)


def _plain(counts: Mapping[str, Counter[str]]) -> Counts:
    return {label: dict(count) for label, count in sorted(counts.items())}

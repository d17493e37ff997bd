"""From the harvest to training examples: which paths, and which characters of them."""

from __future__ import annotations

import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ltf_lite.core.spill import Chain, Picked, Spill
from ltf_lite.harvest.example import Example
from ltf_lite.harvest.pivot import right_until, shared
from ltf_lite.harvest.store import Row
from ltf_lite.tasks import Task

Group = TypeVar("Group", bound=Hashable)
Drawn = tuple[Row, Example]
SUCCESS = "success"
Counts = dict[str, dict[str, int]]  # label of a reasoner → failure kind or "success" → paths

GROUPS: dict[str, Callable[[Origin], Hashable]] = {
    "kind": lambda origin: origin.kind,
    "reasoner": lambda origin: origin.label,
    "kind_and_reasoner": lambda origin: origin,
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

    @property
    def failures(self) -> int:
        """How many failed paths were taken."""
        return sum(n for own in self.taken.values() for kind, n in own.items() if kind != SUCCESS)


class Lesson(NamedTuple):
    """What a row is made an example by: its task, the learnt dialect, how much is forgotten.

    What a failure begins with as one of its problem's `successes` does is never forgotten.
    """

    task: Task
    dialect: str
    credit: str
    successes: Sequence[str] = ()

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
        right = shared(text, self.successes)
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
    problems: Iterable[Sequence[Row]],
    task: Task,
    credit: str,
    limits: Limits,
    seed: int,
    dialect: str,
) -> tuple[Sequence[Example], Taken]:
    """The examples that are trained on, successes first, and what was taken from what.

    `problems` has the rows of one problem after the other. Successes are taken in their order;
    failures are drawn at random, so that no reasoner and no failure kind is preferred because it
    came first. All are told in the learnt `dialect`. The examples lie on disk: memory holds a few
    numbers of each.
    """
    plainly = Lesson(task, dialect, credit)
    good, bad = Pool(), Pool()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    sizes = array("q")  # of every problem's failures that differ
    doubles = nothing = unwritable = 0
    for rows in problems:
        told: dict[bool, list[Row]] = {True: [], False: []}
        right = []
        for row in rows:
            found[row.label][row.kind or SUCCESS] += 1
            text = plainly.text(row)
            if text is None:
                unwritable += 1
                continue
            told[row.correct].append(row)
            if row.correct:
                right.append(text)
        lesson = plainly._replace(successes=right)
        taken = told[True][: limits.successes_per_problem]
        good.add((row, example) for row in taken if (example := lesson.example(row)))
        pool, double, empty = _trimmed(told[False], lesson)
        sizes.append(bad.add(pool))
        doubles, nothing = doubles + double, nothing + empty
    successes, failures = _drawn(good, bad, sizes, limits, random.Random(f"examples:{seed}"))
    counts = _counts([good.origins(successes), bad.origins(failures)])
    report = Taken(counts, _plain(found), doubles, nothing, unwritable)
    return Chain(Picked(good.examples, successes), Picked(bad.examples, failures)), report


class Origin(NamedTuple):
    """Which reasoner found a path, and how it ended: its failure kind, or None."""

    label: str
    kind: str | None


class Pool:
    """Examples on disk, and where each came from."""

    def __init__(self) -> None:
        self.examples: Spill[Example] = Spill(Example.told, Example.read)
        self.known: dict[Origin, int] = {}
        self.origin = array("H")

    def add(self, drawn: Iterable[Drawn]) -> int:
        """Add examples; how many."""

        def own() -> Iterator[Example]:
            for row, example in drawn:
                origin = Origin(row.label, row.kind)
                self.origin.append(self.known.setdefault(origin, len(self.known)))
                yield example

        return self.examples.extend(own())

    def origins(self, numbers: Iterable[int]) -> Iterator[Origin]:
        names = list(self.known)
        return (names[self.origin[number]] for number in numbers)


def _drawn(
    good: Pool, bad: Pool, sizes: Sequence[int], limits: Limits, rng: random.Random
) -> tuple[array[int], array[int]]:
    """The numbers of the successes and of the failures that are taken."""
    successes = array("q", range(len(good.examples)))
    if limits.successes is not None and limits.successes < len(successes):
        successes = array("q", rng.sample(successes, limits.successes))
    failures, first = array("q"), 0
    for size in sizes:
        pool = range(first, first + size)
        failures.extend(rng.sample(pool, min(limits.failures_per_problem, size)))
        first += size
    if limits.per_success is not None:
        room = round(limits.per_success * len(successes))
        group = GROUPS.get(limits.balance, lambda _: None)
        failures = _balanced(failures, [*map(group, bad.known)], bad.origin, room, rng)
    return successes, failures


def _trimmed(rows: Iterable[Row], lesson: Lesson) -> tuple[list[Drawn], int, int]:
    """A problem's failures that differ in what is forgotten; doubles, and empty ones."""
    pool: dict[tuple[str, str, int], Drawn] = {}
    doubles = nothing = 0
    for row in rows:
        example = lesson.example(row)
        if example is None:
            nothing += 1
            continue
        key = example.prompt, example.completion[: example.end], example.start
        doubles += key in pool
        pool.setdefault(key, (row, example))
    return list(pool.values()), doubles, nothing


def _balanced(
    failures: Sequence[int],
    group: Sequence[Hashable],
    origin: Sequence[int],
    room: int,
    rng: random.Random,
) -> array[int]:
    """At most `room` of the failures, as evenly over the groups as their sizes allow.

    `group` is that of each origin, `origin` that of each failure.
    """
    groups: dict[Hashable, array[int]] = defaultdict(lambda: array("q"))
    for number in failures:
        groups[group[origin[number]]].append(number)
    shares = quotas({name: len(own) for name, own in groups.items()}, room)
    found = array("q")
    for name, own in groups.items():
        found.extend(rng.sample(own, shares[name]))
    return found


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


def _counts(sides: Iterable[Iterable[Origin]]) -> Counts:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for origins in sides:
        for origin in origins:
            counts[origin.label][origin.kind or SUCCESS] += 1
    return _plain(counts)


def _plain(counts: Mapping[str, Counter[str]]) -> Counts:
    return {label: dict(count) for label, count in sorted(counts.items())}

"""Worked examples of a number game, made by rule: as large as what is asked, and always the same.

A small model copies what it sees: an example with another count of numbers misleads it. And the
examples for all states of one size are a header that an engine computes once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ltf_lite.tasks.numbers.rules import Rules
from ltf_lite.tasks.numbers.solver import Move, State, moves, solvable, state

DRAWS = 10_000  # ways that are drawn until enough of them end as wanted
CHECKED = 2_000  # states that are checked until enough of them cannot be solved
LARGEST = 4  # numbers of a state without a solution; of more numbers nearly all have one


class Look(NamedTuple):
    """What the problems of a game look like: inclusive ranges, and the rules."""

    numbers: tuple[int, int]
    targets: tuple[int, int]
    rules: Rules


class Worked(NamedTuple):
    """Numbers, a target, and legal steps to one number, which need not be the target."""

    left: State
    target: int
    path: tuple[Move, ...]


@lru_cache(maxsize=256)
def solved(look: Look, size: int, n: int) -> tuple[Worked, ...]:
    """`n` problems of `size` numbers, each other ones, with steps that solve it."""
    found: dict[State, Worked] = {}
    for left, path in _ends(look, size):
        found.setdefault(left, Worked(left, path[-1].result, path))  # type: ignore[arg-type]
        if len(found) == n:
            break
    return tuple(found.values())


@lru_cache(maxsize=256)
def unsolvable(look: Look, size: int, n: int) -> tuple[Worked, ...]:
    """At most `n` problems of `size` numbers without a solution, with steps to another number."""
    rng, size = random.Random(f"{size} unsolvable"), min(size, LARGEST)
    found: dict[State, Worked] = {}
    for _ in range(CHECKED):
        left, target = _drawn(rng, look, size), rng.randint(*look.targets)
        path = _walk(rng, left, look.rules)
        if path and left not in found and not solvable(left, target, look.rules):
            found[left] = Worked(left, target, path)
            if len(found) == n:
                break
    return tuple(found.values())


def misses(own: Worked, rules: Rules, n: int) -> list[tuple[Move, ...]]:
    """At most `n` ways of an example's numbers to numbers besides the target, each to another."""
    rng, found = random.Random(f"{own.left} {own.target}"), dict[object, tuple[Move, ...]]()
    for _ in range(20 * n):
        path = _walk(rng, own.left, rules)
        if path and path[-1].result != own.target:
            found.setdefault(path[-1].result, path)
    return list(found.values())[:n]


def options(left: State, rules: Rules, most: int) -> list[Move]:
    """At most so many steps to whole numbers, drawn from all of them and in their order."""
    every = [
        move for move in moves(left, rules) if isinstance(move.result, int) and move.result >= 0
    ]
    drawn = random.Random(str(left)).sample(range(len(every)), min(most, len(every)))
    return [every[k] for k in sorted(drawn)]


def _ends(look: Look, size: int) -> Iterator[tuple[State, tuple[Move, ...]]]:
    """Random ways to a number in the range of the targets; when they seem to be no more, any."""
    rng = random.Random(f"{size} solved")
    for drawn in range(DRAWS):
        left = _drawn(rng, look, size)
        path = _walk(rng, left, look.rules)
        far = drawn > DRAWS - DRAWS // 10
        if path and (far or look.targets[0] <= path[-1].result <= look.targets[1]):
            yield left, path


def _drawn(rng: random.Random, look: Look, size: int) -> State:
    """Different numbers, where there are so many: equal ones allow fewer steps than most do."""
    low, high = look.numbers
    if high - low + 1 < size:
        return state(rng.randint(low, high) for _ in range(size))
    return state(rng.sample(range(low, high + 1), size))


def _walk(rng: random.Random, left: State, rules: Rules) -> tuple[Move, ...]:
    """Random steps to a single number through whole ones; none where that cannot be.

    The result comes first among what is left, as in the compact style: that needs no sorting.
    """
    path: list[Move] = []
    while len(left) > 1:
        steps = [m for m in moves(state(left), rules) if isinstance(m.result, int) and m.result > 0]
        if not steps:
            return ()
        move, rest = rng.choice(steps), list(left)
        rest.remove(move.a)
        rest.remove(move.b)
        left = (move.result, *rest)
        path.append(move._replace(left=left))
    return tuple(path)

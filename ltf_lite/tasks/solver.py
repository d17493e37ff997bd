"""The exact solver of number games: all moves, all solutions, and whether a state can still win."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from ltf_lite.tasks.arithmetic import Number, Rules, apply

State = tuple[Number, ...]  # the numbers left, in descending order


class Move(NamedTuple):
    """One step `a op b = result`, and the numbers left after it."""

    a: Number
    op: str
    b: Number
    result: Number
    left: State


def state(numbers) -> State:
    """The canonical state of some numbers: descending, so order never matters."""
    return tuple(sorted(numbers, reverse=True))


@lru_cache(maxsize=1 << 16)
def moves(left: State, rules: Rules) -> tuple[Move, ...]:
    """Every distinct legal move of a state.

    Sums, products and (where nothing negative may appear) differences are written with the larger
    number first, so no move is listed in two orders.
    """
    found, seen = [], set()
    for i, j in combinations(range(len(left)), 2):
        pair = left[i], left[j]
        if pair in seen:
            continue
        seen.add(pair)
        rest = left[:i] + left[i + 1 : j] + left[j + 1 :]
        x, y = pair
        tries = [(x, "+", y), (x, "-", y), (x, "*", y), (x, "/", y)]
        if x != y:
            tries += [(y, "-", x), (y, "/", x)]
        for a, op, b in tries:
            result = apply(a, op, b)
            if result is not None and rules.allows(result):
                found.append(Move(a, op, b, result, state((*rest, result))))
    return tuple(found)


def _results(x: Number, y: Number, rules: Rules) -> set[Number]:
    """The allowed results of one step on two numbers, x >= y."""
    tries = [(x, "+", y), (x, "-", y), (x, "*", y), (x, "/", y)]
    if not rules.integers and x != y:
        tries += [(y, "-", x), (y, "/", x)]
    values = {apply(a, op, b) for a, op, b in tries}
    return {value for value in values if value is not None and rules.allows(value)}


def _pair_reaches(x: Number, y: Number, target: Number, rules: Rules) -> bool:
    """Whether one step on two numbers gives an allowed target; no division is carried out."""
    if x < y:
        x, y = y, x
    if x + y == target or x - y == target or x * y == target or (y != 0 and x == target * y):
        return True
    return not rules.integers and (y - x == target or (x != 0 and y == target * x))


@lru_cache(maxsize=1 << 20)
def solvable(left: State, target: Number, rules: Rules) -> bool:
    """Whether the target can be reached from these numbers, each used exactly once."""
    if not rules.allows(target):
        return False
    if len(left) == 1:
        return left[0] == target
    if len(left) == 2:
        return _pair_reaches(*left, target, rules)
    tried = set()
    for i, j in combinations(range(len(left)), 2):
        if (left[i], left[j]) in tried:
            continue
        tried.add((left[i], left[j]))
        rest = left[:i] + left[i + 1 : j] + left[j + 1 :]
        for value in _results(left[i], left[j], rules):
            if len(rest) == 1:
                if _pair_reaches(rest[0], value, target, rules):
                    return True
            elif solvable(state((*rest, value)), target, rules):
                return True
    return False


def solutions(left: State, target: Number, rules: Rules) -> Iterator[list[Move]]:
    """Every solution as a list of moves, depth first, lazily (six numbers can have millions)."""
    if len(left) == 1:
        if left[0] == target:
            yield []
        return
    for move in moves(left, rules):
        if solvable(move.left, target, rules):
            for tail in solutions(move.left, target, rules):
                yield [move, *tail]


def expression(path: list[Move]) -> str:
    """The infix expression of a full path, fully bracketed inside, e.g. `33 - ((25 + 5) / 5)`."""
    parts: list[tuple[Number, str]] = []

    def take(value: Number) -> str:
        for k in range(len(parts) - 1, -1, -1):
            if parts[k][0] == value:
                return parts.pop(k)[1]
        return str(value)

    for move in path:
        parts.append((move.result, f"({take(move.a)} {move.op} {take(move.b)})"))
    return parts[-1][1][1:-1]

"""The exact solver of number games: all moves, all solutions, and whether a state can still win."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from ltf_lite.tasks.arithmetic import Number, Rules, apply, divide, normal

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


@lru_cache(maxsize=1 << 14)  # under 100 MB when full of states of four numbers
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


def _results(x: Any, y: Any, integers: bool, maximum: int | None) -> set:
    """The allowed results of one step on two numbers, in either order."""
    if integers:
        if x < y:
            x, y = y, x
        values = {x + y, x - y, x * y}
        if y and x % y == 0:
            values.add(x // y)
    else:
        values = {normal(value) for value in (x + y, x - y, y - x, x * y)}
        values |= {divide(x, y), divide(y, x)} - {None}
    return values if maximum is None else {value for value in values if abs(value) <= maximum}


def _needed(last: Any, target: Any, integers: bool) -> set:
    """The values from which one more step with a `last` other than 0 reaches the target."""
    needed = {target - last, target + last, last - target, target * last}
    if not integers:
        needed |= {divide(target, last), divide(last, target)}
        return needed
    if target % last == 0:
        needed.add(target // last)
    if target and last % target == 0:
        needed.add(last // target)
    return needed


def _triple_reaches(left: State, target: Number, integers: bool, maximum: int | None) -> bool:
    """Whether three numbers reach the target.

    For each choice of the number used last: do the results of the other two meet the values from
    which that number reaches the target? That is a third of the work of trying every path, and
    nearly all of the solver's time is spent here.
    """
    a, b, c = left
    for x, y, last in ((a, b, c), (a, c, b), (b, c, a)):
        if last:
            needed = _needed(last, target, integers)
        elif target:
            needed = {target, -target}
        else:
            return True  # 0 times one number, and again 0 times the other: no rule forbids 0
        if not needed.isdisjoint(_results(x, y, integers, maximum)):
            return True
    return False


def _pair_reaches(x: Number, y: Number, target: Number, integers: bool) -> bool:
    """Whether one step on two numbers gives an allowed target; no division is carried out."""
    if x < y:
        x, y = y, x
    if x + y == target or x - y == target or x * y == target or (y and x == target * y):
        return True
    return not integers and (y - x == target or bool(x and y == target * x))


def solvable(left: State, target: Number, rules: Rules) -> bool:
    """Whether the target can be reached from these numbers, each used exactly once."""
    if not rules.allows(target):
        return False
    return _reaches(left, target, rules.integers, rules.maximum)


@lru_cache(maxsize=1 << 18)  # tens of MB when full
def _reaches(left: State, target: Number, integers: bool, maximum: int | None) -> bool:
    """`solvable` for an allowed target; the rules come in parts because those hash faster."""
    if len(left) == 1:
        return left[0] == target
    if len(left) == 2:
        return _pair_reaches(*left, target, integers)
    if len(left) == 3:
        return _triple_reaches(left, target, integers, maximum)
    tried = set()
    for i, j in combinations(range(len(left)), 2):
        pair = left[i], left[j]
        if pair in tried:
            continue
        tried.add(pair)
        rest = left[:i] + left[i + 1 : j] + left[j + 1 :]
        for value in _results(*pair, integers, maximum):
            if len(rest) == 2:  # not remembered: there are so many that few come again
                if _triple_reaches((*rest, value), target, integers, maximum):
                    return True
            elif _reaches(state((*rest, value)), target, integers, maximum):
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

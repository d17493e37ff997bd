"""The exact solver of number games: all moves, all solutions, and whether a state can still win."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from ltf_lite.tasks.numbers.rules import OPERATORS, Number, Rules, apply, divide, normal

State = tuple[Number, ...]  # the numbers left, in descending order
Written = tuple[Any, str, Any, Any]  # a step without what is left: a, op, b, result


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


def _whole_steps(x: Any, y: Any) -> list[Written]:
    """The steps on two whole numbers x >= y >= 0 whose results are whole and not negative."""
    steps: list[Written] = [(x, "+", y, x + y), (x, "-", y, x - y), (x, "*", y, x * y)]
    if y:
        if x % y == 0:
            steps.append((x, "/", y, x // y))
    elif x:
        steps.append((y, "/", x, 0))
    return steps


def _rational_steps(x: Number, y: Number) -> list[Written]:
    """The steps on two numbers in either order, but for divisions by zero."""
    pairs = [(x, op, y) for op in OPERATORS]
    if x != y:
        pairs += [(y, "-", x), (y, "/", x)]
    steps = [(a, op, b, apply(a, op, b)) for a, op, b in pairs]
    return [step for step in steps if step[3] is not None]


def moves(left: State, rules: Rules) -> tuple[Move, ...]:
    """Every distinct legal move of a state.

    Sums, products and (where nothing negative may appear) differences are written with the larger
    number first, so no move is listed in two orders.
    """
    steps, most = _whole_steps if rules.integers else _rational_steps, rules.maximum
    found, seen = [], set()
    for i, j in combinations(range(len(left)), 2):
        pair = left[i], left[j]
        if pair in seen:
            continue
        seen.add(pair)
        rest = list(left)
        del rest[j], rest[i]
        for a, op, b, result in steps(*pair):
            if most is None or abs(result) <= most:
                after = [result, *rest]
                after.sort(reverse=True)
                found.append(Move._make((a, op, b, result, tuple(after))))  # faster than Move()
    return tuple(found)


def _results(x: Any, y: Any, integers: bool) -> set:
    """The results of one step on two numbers, in either order; a cap is for the caller to heed."""
    if not integers:
        values = {normal(value) for value in (x + y, x - y, y - x, x * y)}
        return values | ({divide(x, y), divide(y, x)} - {None})
    if x < y:
        x, y = y, x
    return {x + y, x - y, x * y} if not y or x % y else {x + y, x - y, x * y, x // y}


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
        met = needed & _results(x, y, integers)
        if met and (maximum is None or min(map(abs, met)) <= maximum):
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
        for value in _results(*pair, integers):
            if maximum is not None and abs(value) > maximum:
                continue
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


def expression(path: Sequence[Move]) -> str:
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

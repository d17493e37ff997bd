"""The solver against brute force that shares none of its code."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltf_lite.tasks.numbers.rules import Rules, evaluate
from ltf_lite.tasks.numbers.solver import expression, moves, solutions, solvable, state

COUNTDOWN = Rules()
CAPPED = Rules(maximum=60)
RATIONAL = Rules(integers=False)
ALL_RULES = pytest.mark.parametrize("rules", [COUNTDOWN, CAPPED, RATIONAL], ids=str)


def allowed(value: Fraction, rules: Rules) -> bool:
    if rules.integers and (value.denominator != 1 or value < 0):
        return False
    return rules.maximum is None or abs(value) <= rules.maximum


def _steps(x: Fraction, y: Fraction, rules: Rules) -> set[Fraction]:
    values = {x + y, x - y, y - x, x * y}
    values |= {x / y} if y else set()
    values |= {y / x} if x else set()
    return {value for value in values if allowed(value, rules)}


@lru_cache(maxsize=4096)
def reachable(numbers: tuple[int, ...], rules: Rules) -> frozenset[Fraction]:
    """Every value of every bracketing: all ways to split the numbers in two, both sides solved."""
    if len(numbers) == 1:
        return frozenset([Fraction(numbers[0])])
    found: set[Fraction] = set()
    places = range(len(numbers))
    for size in range(1, len(numbers) // 2 + 1):
        for chosen in combinations(places, size):
            one = tuple(sorted(numbers[k] for k in chosen))
            other = tuple(sorted(numbers[k] for k in places if k not in chosen))
            for x in reachable(one, rules):
                for y in reachable(other, rules):
                    found |= _steps(x, y, rules)
    return frozenset(found)


def walks(numbers: tuple, target: int, rules: Rules) -> set[tuple]:
    """Every solution as a set of canonical step sequences, by trying ordered pairs of places."""
    if len(numbers) == 1:
        return {()} if numbers[0] == target else set()
    found = set()
    for i, j in permutations(range(len(numbers)), 2):
        a, b = Fraction(numbers[i]), Fraction(numbers[j])
        rest = tuple(numbers[k] for k in range(len(numbers)) if k not in (i, j))
        for op in "+-*/":
            if (op == "/" and b == 0) or (op in "+*" and a < b):
                continue
            value = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}[op]
            if allowed(value, rules):
                found |= {((a, op, b), *tail) for tail in walks((*rest, value), target, rules)}
    return found


@ALL_RULES
@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_solvable_is_what_brute_force_reaches(rules, numbers):
    # The rules bind results, not the numbers given, and a target that they forbid is out of reach.
    reach = {value for value in reachable(tuple(sorted(numbers)), rules) if allowed(value, rules)}
    for target in range(101):
        assert solvable(state(numbers), target, rules) == (target in reach), target


@pytest.mark.parametrize("seed", range(3))
def test_solvable_with_five_numbers(seed):
    rng = random.Random(seed)
    numbers = tuple(sorted(rng.randint(1, 12) for _ in range(5)))
    reach = reachable(numbers, COUNTDOWN)
    for target in range(0, 400, 7):
        assert solvable(state(numbers), target, COUNTDOWN) == (target in reach)


def test_solvable_from_fractions_and_negatives():
    assert solvable(state((Fraction(1, 3), 8)), 24, RATIONAL)
    assert solvable(state((-3, -8)), 24, RATIONAL)
    assert solvable(state((Fraction(5, 2), Fraction(1, 2), 8)), 24, RATIONAL)
    assert not solvable(state((Fraction(1, 2), 8)), 24, RATIONAL)


def test_a_cap_binds_results_and_not_the_numbers_given():
    assert solvable((50, 41), 9, Rules(maximum=9))
    assert solvable((50, 9, 0), 0, Rules(maximum=9))  # 9 * 0, then 50 * 0
    assert not solvable((50, 9), 59, Rules(maximum=45))


@ALL_RULES
def test_solutions_are_all_that_brute_force_finds(rules):
    rng = random.Random(7)
    for _ in range(6):
        numbers, target = tuple(rng.randint(1, 12) for _ in range(4)), rng.randint(1, 40)
        found = [
            tuple((a, op, b) for a, op, b, *_ in path)
            for path in solutions(state(numbers), target, rules)
        ]
        assert len(found) == len(set(found))
        assert set(found) == walks(numbers, target, rules)


@ALL_RULES
@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(st.integers(0, 20), min_size=2, max_size=4))
def test_moves_are_legal_distinct_and_canonical(rules, numbers):
    left = state(numbers)
    found = moves(left, rules)
    assert len(set(found)) == len(found)
    for a, op, b, result, after in found:
        assert allowed(Fraction(result), rules)
        assert op not in "+*" or a >= b
        rest = list(left)
        rest.remove(a)
        rest.remove(b)
        assert after == state([*rest, result])
    pairs = combinations(left, 2)
    assert {m.result for m in found} == set().union(
        *(_steps(Fraction(x), Fraction(y), rules) for x, y in pairs)
    )


def test_the_order_of_moves_does_not_change():
    # The embedded base's corpus draws from this list by index: another order is another corpus.
    written = " ".join(f"{m.a}{m.op}{m.b}" for m in moves((9, 6, 3), COUNTDOWN))
    assert written == "9+6 9-6 9*6 9+3 9-3 9*3 9/3 6+3 6-3 6*3 6/3"
    assert isinstance(moves((9, 6, 3), COUNTDOWN), tuple)


def test_solutions_come_lazily():
    path = next(solutions(state((3, 7, 11, 19, 23, 29)), 100, COUNTDOWN))
    assert path[-1].left == (100,)


@pytest.mark.parametrize("rules", [COUNTDOWN, RATIONAL], ids=str)
def test_the_expression_of_a_solution_uses_its_numbers_and_reaches_the_target(rules):
    for numbers in ((1, 5, 5, 5), (2, 3, 5, 5), (3, 3, 8, 8), (4, 4, 4, 4)):
        for path in solutions(state(numbers), 24, rules):
            value, used = evaluate(expression(path))
            assert value == 24
            assert sorted(used) == sorted(numbers)

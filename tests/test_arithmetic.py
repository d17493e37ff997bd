"""Exact arithmetic, and a parser that no text can hurt."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltf_lite.tasks.numbers.rules import (
    MAX_DIGITS,
    ExpressionError,
    Rules,
    apply,
    evaluate,
    parse_number,
    shown,
)
from tests.clock import own_seconds

SMALL = st.integers(-50, 50)
RATIONAL = st.builds(Fraction, SMALL, st.integers(1, 20))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("5/2", Fraction(5, 2)),
        ("10/5", 2),
        ("2.5", Fraction(5, 2)),
        ("27.0", 27),
        ("0.1", Fraction(1, 10)),
    ],
)
def test_numbers_are_read_exactly(text, value):
    read = parse_number(text)
    assert read == value
    assert isinstance(read, int) == (Fraction(value).denominator == 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1/0",
        "1e9",
        "٣",
        "²",
        "1_0",
        "+1",
        "1.",
        ".5",
        "1 2",
        "--1",
        "1/-2",
        "\x001",
        "Ⅷ",
        "9" * (MAX_DIGITS + 1),
        "9" * 4301,
        "9" * 10_000_000,
    ],
)
def test_what_is_no_number(text):
    assert parse_number(text) is None


@given(RATIONAL, st.sampled_from("+-*/"), RATIONAL)
def test_apply_is_exact_and_whole_results_are_ints(a, op, b):
    result = apply(a, op, b)
    if op == "/" and b == 0:
        assert result is None
        return
    expected = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}[op]
    assert result == expected
    assert isinstance(result, int) == (expected.denominator == 1)


def _render(tree, spell=str) -> str:
    if isinstance(tree, int):
        return spell(tree)
    a, op, b = tree
    return f"({_render(a, spell)}{op}{_render(b, spell)})"


def _exact(tree) -> str:
    return _render(tree, lambda n: f"Fraction({n})")


TREES = st.recursive(
    st.integers(0, 99),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", " + ", "\t/ "]), inner),
    max_leaves=8,
)


def _leaves(tree) -> list[int]:
    return [tree] if isinstance(tree, int) else [*_leaves(tree[0]), *_leaves(tree[2])]


@given(TREES)
def test_expressions_have_the_value_that_python_gives_them(tree):
    try:
        expected = eval(_exact(tree), {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="zero"):
            evaluate(_render(tree))
        return
    assert evaluate(_render(tree)) == (expected, _leaves(tree))


@given(st.lists(st.integers(1, 9), min_size=2, max_size=8), st.data())
def test_precedence_without_brackets_is_pythons(numbers, data):
    text, exact = str(numbers[0]), f"Fraction({numbers[0]})"
    for number in numbers[1:]:
        op = data.draw(st.sampled_from("+-*/"))
        text, exact = f"{text}{op}{number}", f"{exact}{op}Fraction({number})"
    assert evaluate(text)[0] == eval(exact, {"Fraction": Fraction})


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 2",
        "1 +",
        "+ 1",
        "-1",
        "(1",
        "1)",
        "()",
        "1 ** 2",
        "1 // 2",
        "2(3)",
        "1 / 0",
        "1 / (2 - 2)",
        "a",
        "1.5 + 1",
        "٣ + 1",
        "__import__('os')",
        "1;2",
        "1,2",
        "\x00",
        "\ud800",
    ],
)
def test_what_is_no_expression(text):
    with pytest.raises(ExpressionError):
        evaluate(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000_000,
        "1+" * 5_000_000 + "1",
        "9" * 10_000_000,
        " " * 10_000_000,
        "(" * 200 + "1" + ")" * 200,
        "9" * 4301,
        "1" + " " * 10_000_000 + "x",
    ],
)
def test_huge_expressions_are_refused_at_once(text):
    def refused():
        with pytest.raises(ExpressionError):
            evaluate(text)

    assert own_seconds(refused, 2) < 2


def test_the_largest_expression_has_a_value_that_can_be_shown():
    for op in "+-*/":
        value, used = evaluate(op.join(["9" * MAX_DIGITS] * 60))
        assert len(used) == 60
        assert len(shown(value)) < 80
    assert shown(Fraction(5, 2)) == "5/2"


def test_rules():
    countdown, capped, rational = Rules(), Rules(maximum=10), Rules(integers=False)
    assert countdown.allows(0)
    assert countdown.allows(10**20)
    assert not countdown.allows(-1)
    assert not countdown.allows(Fraction(1, 2))
    assert capped.allows(10)
    assert not capped.allows(11)
    assert rational.allows(Fraction(-1, 2))

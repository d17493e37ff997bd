"""Exact arithmetic on rationals, and a bounded parser of numbers and expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub
from typing import NamedTuple

Number = int | Fraction  # an integral value is always an int, so equal values are equal keys

MAX_DIGITS = 30  # the product of six numbers of four digits has 24
MAX_TOKENS = 128  # of one expression; parentheses count
OPERATORS = "+-*/"
_LONG = 10**MAX_DIGITS

NUMBER = rf"-?[0-9]{{1,{MAX_DIGITS}}}(?:\.[0-9]{{1,{MAX_DIGITS}}}|/[0-9]{{1,{MAX_DIGITS}}})?"
_NUMBER = re.compile(NUMBER)
_TOKEN = re.compile(rf"\s*([0-9]{{1,{MAX_DIGITS}}}(?![0-9])|[-+*/()])")


class ExpressionError(ValueError):
    """An expression that is not one, with the reason as its message."""


class UndefinedError(ExpressionError):
    """An expression without a value: it divides by zero."""


class Rules(NamedTuple):
    """What an intermediate result may be: whole numbers from 0 up to `maximum`, or any rational."""

    integers: bool = True
    maximum: int | None = None

    def allows(self, value: Number) -> bool:
        """Whether a result of this value is allowed."""
        if self.integers and (not isinstance(value, int) or value < 0):
            return False
        return self.maximum is None or -self.maximum <= value <= self.maximum


def normal(value: Number) -> Number:
    """The same value, as an int when it is integral."""
    if isinstance(value, int):
        return value
    return value.numerator if value.denominator == 1 else value


def divide(a: Number, b: Number) -> Number | None:
    """`a / b` exactly; None for a division by zero."""
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        quotient, remainder = divmod(a, b)
        return quotient if remainder == 0 else Fraction(a, b)
    return normal(Fraction(a) / b)


_APPLY: dict[str, Callable[[Number, Number], Number]] = {"+": add, "-": sub, "*": mul}


def apply(a: Number, op: str, b: Number) -> Number | None:
    """`a op b` exactly; None for a division by zero."""
    return divide(a, b) if op == "/" else normal(_APPLY[op](a, b))


def parse_number(text: str) -> Number | None:
    """A number from `12`, `-3`, `5/2` or `2.5` (ASCII digits only); None if it is none."""
    if len(text) <= MAX_DIGITS and text.isdigit() and text.isascii():  # nearly all are
        return int(text)
    if not _NUMBER.fullmatch(text):
        return None
    if "/" in text:
        a, b = text.split("/")
        return divide(int(a), int(b))
    return normal(Fraction(text)) if "." in text else int(text)


def shown(value: Number) -> str:
    """A number for a message; long ones are cut, since an answer can be of a thousand digits."""
    if abs(value.numerator) < _LONG and value.denominator < _LONG:
        return str(value)
    return f"a number of more than {MAX_DIGITS} digits"


def tokenize(text: str) -> list[str]:
    """Tokens of an expression.

    Raises ExpressionError for anything but whole numbers, `+ - * / ( )` and at most MAX_TOKENS.
    """
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if not match:
            raise ExpressionError(f"cannot read {text[at : at + 20]!r}")
        tokens.append(match[1])
        at = match.end()
        if len(tokens) > MAX_TOKENS:
            raise ExpressionError(f"more than {MAX_TOKENS} numbers and signs")
    return tokens


_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


def _reduce(values: list[Number | None], pending: list[str]) -> None:
    """Apply the last pending operator to the last two values; None is a division by zero."""
    op, b, a = pending.pop(), values.pop(), values.pop()
    values.append(None if a is None or b is None else apply(a, op, b))


def evaluate(text: str) -> tuple[Number, list[int]]:
    """Value of an infix expression and the whole numbers it uses, in order.

    Raises ExpressionError, and UndefinedError where it divides by zero. Operator precedence by two
    stacks (Dijkstra's shunting yard): no recursion, so no text can exhaust the interpreter's stack.
    """
    values: list[Number | None] = []
    used: list[int] = []
    pending: list[str] = []
    operand_next = True
    for token in tokenize(text):
        if operand_next != (token == "(" or token.isdigit()):
            raise ExpressionError(f"{token!r} in the wrong place")
        if token.isdigit():
            used.append(int(token))
            values.append(int(token))
            operand_next = False
        elif token == "(":
            pending.append(token)
        elif token == ")":
            while pending and pending[-1] != "(":
                _reduce(values, pending)
            if not pending:
                raise ExpressionError("a ')' too many")
            pending.pop()
        else:
            while pending and _PRECEDENCE.get(pending[-1], 0) >= _PRECEDENCE[token]:
                _reduce(values, pending)
            pending.append(token)
            operand_next = True
    if operand_next:
        raise ExpressionError("it ends too early")
    while pending:
        if pending[-1] == "(":
            raise ExpressionError("a '(' too many")
        _reduce(values, pending)
    if values[0] is None:
        raise UndefinedError("a division by zero")
    return values[0], used

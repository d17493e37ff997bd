"""The verifier of number games: the first fatal step of a path, then what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from ltf_lite.tasks.contract import Line, Path, Verdict
from ltf_lite.tasks.numbers import text as styles
from ltf_lite.tasks.numbers.rules import (
    ExpressionError,
    Number,
    Rules,
    apply,
    evaluate,
    parse_number,
    plain_spelling,
    shown,
)
from ltf_lite.tasks.numbers.solver import State, solvable, state

KINDS = {
    "format": "This line is no step.",
    "illegal": "It uses a number that is not there.",
    "arithmetic": "The arithmetic is wrong.",
    "bookkeeping": "The numbers it says are left are not the ones left.",
    "dead_end": "After it the target can no longer be reached.",
    "incomplete": "The path ends too early.",
    "wrong_answer": "The steps are right, the answer written after them is not.",
}


def verdict(numbers: Sequence[int], target: int, rules: Rules, path: Path) -> Verdict:
    """The verdict of a path, whatever it holds: first fatal step, then what is missing."""
    left, full = state(numbers), len(numbers) - 1
    for index, line in enumerate(path.lines):
        if index == full or line.step is None:
            return _fail("format", index, f"line {index + 1} is no step: {line.text[:60]!r}")
        after = after_step(left, line.step, index)
        if isinstance(after, Verdict):
            return after
        result, said = line.step[3:]
        if not rules.allows(result):
            why = f"the rules allow no intermediate result {shown(result)}"
            return _fail("dead_end", index, why)
        if not solvable(after, target, rules):
            real = " ".join(map(shown, said))
            return _fail("dead_end", index, f"{target} can't be reached from {real}")
        left = after
    if len(path.lines) < full:
        count = len(path.lines)
        return _fail("incomplete", count, f"step {count + 1} is missing")
    return _answer(numbers, target, path, full)


def _answer(numbers: Sequence[int], target: int, path: Path, full: int) -> Verdict:
    compact = path.form == styles.COMPACT
    text = styles.answer_text(path.answer) if path.answer else ""
    if not text and not compact:
        return _fail("incomplete", full, "the answer is missing")
    right = Verdict(True, None, None, f"correct: reaches {target}")
    if not text:  # every step is right, and after the last one only the target is left
        return right
    if len(text) > styles.MAX_LINE:
        return _fail("wrong_answer", full, f"an answer of more than {styles.MAX_LINE} signs")
    body, *claims = plain_spelling(text).split("=")
    number = parse_number(body.strip()) if compact else None
    try:
        value, used = evaluate(body) if number is None else (number, list(numbers))
        claimed = [_claim(claim) for claim in claims]
    except ExpressionError as error:
        return _fail("wrong_answer", full, f"the answer is no expression: {error}")
    if sorted(used) != sorted(numbers):
        return _fail("wrong_answer", full, "the answer does not use each number once")
    wrong = next((each for each in (value, *claimed) if each != target), None)
    if wrong is not None:
        return _fail("wrong_answer", full, f"the answer is {shown(wrong)}, not {target}")
    return right


def after_step(left: State, step: tuple, index: int) -> State | Verdict:
    """The state after a step, or the verdict that the step is wrong, whatever it leads to."""
    a, op, b, claimed, said = step
    rest = list(left)
    for operand in (a, b):
        if operand not in rest:
            return _fail("illegal", index, f"{shown(operand)} is not among the numbers left")
        rest.remove(operand)
    result = apply(a, op, b)
    if result is None:
        return _fail("arithmetic", index, f"{shown(a)} {op} {shown(b)} divides by zero")
    if result != claimed:
        why = f"{shown(a)} {op} {shown(b)} is {shown(result)}, not {shown(claimed)}"
        return _fail("arithmetic", index, why)
    after = state((*rest, result))
    if state(said) != after:
        return _fail("bookkeeping", index, f"the numbers left are {' '.join(map(shown, after))}")
    return after


def _claim(text: str) -> Number:
    """What stands after a `=`: a number in any spelling, or an expression."""
    value = parse_number(text.strip())
    return evaluate(text)[0] if value is None else value


def _fail(kind: str, index: int, message: str) -> Verdict:
    return Verdict(False, kind, index, message)


__all__ = ["KINDS", "Line", "after_step", "verdict"]

"""The verifier of number games: the first fatal step of a path, then what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from ltf_lite.tasks.contract import Line, Path, Verdict
from ltf_lite.tasks.numbers import text as styles
from ltf_lite.tasks.numbers.rules import (
    ExpressionError,
    Number,
    Rules,
    UndefinedError,
    apply,
    evaluate,
    parse_number,
    shown,
)
from ltf_lite.tasks.numbers.solver import State, solvable, state
from ltf_lite.tasks.numbers.spelling import plain_answer

KINDS = {
    "format": "This line is no step.",
    "illegal": "It uses a number that is not there.",
    "arithmetic": "The arithmetic is wrong.",
    "bookkeeping": "The numbers it says are left are not the ones left.",
    "dead_end": "After it the target can no longer be reached.",
    "incomplete": "The path ends too early.",
    "no_steps": "The answer is right, but its steps are missing.",
    "wrong_answer": "The steps are right, the answer written after them is not.",
    "unclear": "The steps are right, the answer written after them cannot be read.",
}
SPARED = frozenset({"no_steps", "unclear"})  # what may be right is never forgotten
RIGHT, WRONG = "right", "wrong: "


def verdict(numbers: Sequence[int], target: int, rules: Rules, path: Path) -> Verdict:
    """The verdict of a path, whatever it holds: first fatal step, then what is missing."""
    left, full = state(numbers), len(numbers) - 1
    for index, line in enumerate(path.lines[:full]):
        if line.step is None:
            if _reads(line.text, numbers, target) == RIGHT:
                return _without_steps(index)
            return _no_step(index, line)
        after = after_step(left, _step_of(line, left), index)
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
        index = len(path.lines)
        if path.answer and _reads(styles.answer_text(path.answer), numbers, target) == RIGHT:
            return _without_steps(index)
        return _fail("incomplete", index, f"step {index + 1} is missing")
    return _answer(numbers, target, path, full)


def _answer(numbers: Sequence[int], target: int, path: Path, full: int) -> Verdict:
    """The verdict of what follows the steps, which are right."""
    compact = path.form == styles.COMPACT
    right = Verdict(True, None, None, f"correct: reaches {target}")
    bare = path.lines[full].text if len(path.lines) > full else ""  # an answer without its mark
    if bare and _reads(bare, numbers, target) != RIGHT:
        return _no_step(full, path.lines[full])
    text = styles.answer_text(path.answer) if path.answer else ""
    if not text:  # after the last compact step only the target is left: it needs no answer
        return right if compact or bare else _fail("incomplete", full, "the answer is missing")
    if len(text) > styles.MAX_LINE:
        return _fail("wrong_answer", full, f"an answer of more than {styles.MAX_LINE} signs")
    said = _reads(text, numbers, target, plain_number=compact)
    if said == RIGHT:
        return right
    kind = "wrong_answer" if said.startswith(WRONG) else "unclear"
    return _fail(kind, full, f"the answer {said.removeprefix(WRONG)}")


def _reads(text: str, numbers: Sequence[int], target: int, plain_number: bool = False) -> str:
    """RIGHT, WRONG and why, or why it cannot be read: an expression, and `= …` behind it.

    It is wrong if any part that can be read is.
    """
    if len(text) > styles.MAX_LINE:
        return "is too long"
    body, *claims = plain_answer(text).split("=")
    number = parse_number(body.strip()) if plain_number else None
    unread = ""
    try:
        value, used = evaluate(body) if number is None else (number, list(numbers))
        if sorted(used) != sorted(numbers):
            return f"{WRONG}does not use each number once"
        values: list[Number] = [value]
    except UndefinedError as error:
        return f"{WRONG}is {error}"
    except ExpressionError as error:
        return f"is no expression: {error}"
    for claim in claims:
        try:
            values.append(_claim(claim))
        except UndefinedError as error:
            return f"{WRONG}is {error}"
        except ExpressionError as error:
            unread = unread or f"is no expression: {error}"
    wrong = next((each for each in values if each != target), None)
    if wrong is not None:
        return f"{WRONG}is {shown(wrong)}, not {target}"
    return unread or RIGHT


def _step_of(line: Line, left: State) -> tuple:
    """The step of a line; one with two readings is read against the numbers left."""
    if line.step.op == "/" and line.text.count("/") > 1:
        read = styles.read_step(line.text, left)
        return read[0] if read else line.step
    return line.step


def _without_steps(index: int) -> Verdict:
    return _fail("no_steps", index, f"the answer is right, but step {index + 1} is missing")


def _no_step(index: int, line: Line) -> Verdict:
    return _fail("format", index, f"line {index + 1} is no step: {line.text[:60]!r}")


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

"""The two text styles of a number game: how a path is written and read.

Standard:  `25 + 5 = 30 (left: 5 33 30)` a step, then `Answer: 33 - ((25 + 5) / 5) = 27`.
Compact:   `25+5=30,33,5` a step: the result, then the other numbers left; no answer needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from ltf_lite.tasks.contract import Line, Path
from ltf_lite.tasks.numbers.rules import (
    MAX_DIGITS,
    NUMBER,
    Number,
    apply,
    parse_number,
    shown,
)
from ltf_lite.tasks.numbers.solver import Move, State, expression
from ltf_lite.tasks.numbers.spelling import plain

COMPACT, STANDARD = "compact", "standard"  # the forms of a path
MAX_LINE = 400  # characters; a longer line is no step, a longer answer is wrong
MAX_LINES = 64  # of one path that are not blank; the rest is never read

_LINE = re.compile(r"\S[^\n]*")
_HEAD = rf"({NUMBER})\s*([-+*/])\s*({NUMBER})\s*=\s*({NUMBER})"
_STANDARD = re.compile(rf"\s*{_HEAD}\s*\(\s*left\s*:([-0-9./,\s]*)\)\s*", re.IGNORECASE)
_COMPACT = re.compile(rf"\s*{_HEAD}\s*((?:,\s*{NUMBER}\s*)*)")
_WHOLE = rf"[0-9]{{1,{MAX_DIGITS}}}"
_PLAIN = re.compile(rf"({_WHOLE})([-+*/])({_WHOLE})=({_WHOLE})((?:,{_WHOLE})*)")
_ANSWER = re.compile(
    r"\s*(?:(?:the|my|so|final)\s+){0,3}answer\s*(?::|is\b\s*:?)(.*)", re.IGNORECASE | re.DOTALL
)
_NUMBER = re.compile(NUMBER)
_BRACKETS = re.compile(rf"\(({NUMBER})\)")  # around a single number they say nothing


class Step(NamedTuple):
    """A step as it was written, right or wrong: `a op b = result`, and the numbers left."""

    a: Number
    op: str
    b: Number
    result: Number
    left: tuple[Number, ...]


def _division(a: str, b: str, result: Number, left: State) -> tuple[str, str]:
    """The operands of `a/b` written without blanks, where `3/4/5` may mean 3/4 by 5 or 3 by 4/5.

    The reading whose operands are among the numbers `left` comes first, then the one that gives
    the result, then the one from the left.
    """
    top, _, bottom = a.partition("/")
    readings = []
    for x, y in ((a, b), (top, f"{bottom}/{b}")):
        first, second = parse_number(x), parse_number(y)
        if first is not None and second is not None:
            there = first in left and second in left
            readings.append((there, apply(first, "/", second) == result, x, y))
    return max(readings, key=lambda each: each[:2])[2:] if readings else (a, b)


def read_step(line: str, left: State = ()) -> tuple[Step, bool, tuple[int, int]] | None:
    """The step of a line, whether it is compact, and the span of its choice; None if no step.

    Where a line has two readings, `left` are the numbers that it may use.
    """
    if len(line) > MAX_LINE:
        return None
    match = _PLAIN.fullmatch(line)
    if match:  # nearly every compact line: whole numbers, no blanks, and no other reading to try
        a, op, b, c, rest = match.groups()
        whole = (int(c), *map(int, rest[1:].split(","))) if rest else (int(c),)
        return Step(int(a), op, int(b), whole[0], whole), True, (0, match.end(3))
    said = _BRACKETS.sub(lambda m: f" {m[1]} ", plain(line))
    match = _STANDARD.fullmatch(said)
    compact = match is None
    match = match or _COMPACT.fullmatch(said)
    if match is None:
        return None
    a, op, b, c, rest = match.groups()
    result = parse_number(c)
    if result is None:
        return None
    if op == "/" and "/" in a and match.end(1) + 1 == match.start(3):
        a, b = _division(a, b, result, left)
    x, y = parse_number(a), parse_number(b)
    said_left = [parse_number(text) for text in rest.replace(",", " ").split()]
    if compact:
        said_left.insert(0, result)
    if x is None or y is None or None in said_left:
        return None
    step = Step(x, op, y, result, tuple(said_left))  # type: ignore[arg-type]
    return step, compact, (match.start(1), match.end(3))


def form_of(dialect: str) -> str:
    """The form in which a dialect writes a path: every dialect but the compact one uses words."""
    return COMPACT if dialect == COMPACT else STANDARD


def read_path(text: str, full: int) -> Path:
    """The path of a text; lines after the answer are not read.

    `full` is the number of steps of a complete path. A line that follows so many steps is the
    answer: `Answer: …` in either style, or a plain number after compact steps.
    """
    lines: list[Line] = []
    compact = True
    for match in islice(_LINE.finditer(text), MAX_LINES):
        line, start = match[0].rstrip(), match.start()
        end = start + len(line)
        read = read_step(line)
        if read is not None:
            step, short, (first, last) = read
            compact = compact and short
            lines.append(Line(line, start, end, start + first, start + last, step))
            continue
        other = Line(line, start, end, start, end, None)
        said = plain(line[:MAX_LINE])
        number = len(lines) >= full and compact and _NUMBER.fullmatch(said.strip())
        if number or _ANSWER.match(said):
            return Path(tuple(lines), other, _form(compact and bool(lines)))
        compact = False
        lines.append(other)
    return Path(tuple(lines), None, _form(compact and bool(lines)))


def _form(compact: bool) -> str:
    return COMPACT if compact else STANDARD


def answer_text(line: Line) -> str:
    """What stands after `Answer:`, or the plain number."""
    match = _ANSWER.match(plain(line.text[:MAX_LINE]))
    return line.text[match.start(1) if match else 0 :].strip()


def write_compact(path: Sequence[Move]) -> str:
    """A solution in the compact style, one step a line, each line ended."""
    return "".join(write_step(move) + "\n" for move in path)


def write_step(move: Move) -> str:
    """One compact step; the result comes first, then the other numbers in descending order."""
    a, op, b, result, left = move
    if a == 0 and op == "/" and not isinstance(b, int):
        op = "/ "  # 0/(1/5), as `0/1/5=0` would be read as (0/1)/5
    if len(left) == 1:
        return f"{a}{op}{b}={result}"
    rest = list(left)
    rest.remove(result)
    return f"{a}{op}{b}={result},{','.join(map(str, rest))}"


def write_line(step: Step, dialect: str) -> str:
    """A step as a dialect writes it; one whose result is not among what is left, in words."""
    if dialect == COMPACT and step.result in step.left:
        return write_step(Move(*step))
    return write_standard([Move(*step)]).split("\n")[0]


def write_standard(path: Sequence[Move]) -> str:
    """A path in the standard style; the answer line follows if no step is missing."""
    steps = [
        f"{m.a} {m.op} {m.b} = {m.result} (left: {' '.join(map(str, m.left))})\n" for m in path
    ]
    if not path or len(path[-1].left) > 1:
        return "".join(steps)
    return "".join(steps) + f"Answer: {expression(path)} = {path[-1].result}\n"


def answer_of(steps: Sequence[Step]) -> str:
    """The expression of some steps and the result they claim, whether or not they are right."""
    return f"{expression([Move(*step) for step in steps])} = {shown(steps[-1].result)}"


def same_steps(steps: Sequence[Step | None]) -> str | None:
    """Steps as text that is equal for the same expression; None if a line is no step."""
    if not steps or None in steps:
        return None
    texts = []
    for a, op, b, *_ in filter(None, steps):
        first, second = sorted((a, b)) if op in "+*" else (a, b)
        texts.append(f"{first}{op}{second}")
    return " ".join(sorted(texts))

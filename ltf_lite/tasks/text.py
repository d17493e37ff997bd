"""The two text styles of a number game: how a path is written and read.

Standard:  `25 + 5 = 30 (left: 5 33 30)` a step, then `Answer: 33 - ((25 + 5) / 5) = 27`.
Compact:   `25+5=30,33,5` a step: the result, then the other numbers left; no answer needed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ltf_lite.tasks.arithmetic import MAX_DIGITS, NUMBER, Number, parse_number, plain_spelling
from ltf_lite.tasks.base import Line, Path
from ltf_lite.tasks.solver import Move, expression

MAX_LINE = 400  # characters; a longer line is no step
MAX_LINES = 64  # of one path; the rest is never read

_HEAD = rf"({NUMBER})\s*([-+*/x])\s*({NUMBER})\s*=\s*({NUMBER})"
_STANDARD = re.compile(rf"{_HEAD}\s*\(\s*left\s*:\s*([-0-9./,\s]*)\)", re.IGNORECASE)
_COMPACT = re.compile(rf"{_HEAD}\s*((?:,\s*{NUMBER}\s*)*)")
_ANSWER = re.compile(r"answer\s*:\s*(.*)", re.IGNORECASE)
_PLAIN = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}")


class Step(NamedTuple):
    """A step as it was written, right or wrong: `a op b = result`, and the numbers left."""

    a: Number
    op: str
    b: Number
    result: Number
    left: tuple[Number, ...]


def _numbers(*texts: str) -> list[Number] | None:
    values = [parse_number(text) for text in texts]
    return None if None in values else values  # type: ignore[return-value]


def read_step(line: str) -> tuple[Step, bool, tuple[int, int]] | None:
    """The step of a line, whether it is compact, and the span of its choice; None if no step."""
    if len(line) > MAX_LINE:
        return None
    plain = plain_spelling(line)
    match = _STANDARD.fullmatch(plain)
    compact = match is None
    match = match or _COMPACT.fullmatch(plain)
    if match is None:
        return None
    a, op, b, result, rest = match.groups()
    values = _numbers(a, b, result, *re.split(r"[\s,]+", rest.strip(" ,"))) if rest.strip(" ,") \
        else _numbers(a, b, result)
    if values is None:
        return None
    left = tuple(values[3:]) if not compact else (values[2], *values[3:])
    step = Step(values[0], "*" if op == "x" else op, values[1], values[2], left)
    return step, compact, (match.start(1), match.end(3))


def _line(raw: str, at: int, read) -> Line:
    start = at + len(raw) - len(raw.lstrip())
    end = start + len(raw.strip())
    if read is None:
        return Line(raw.strip(), start, end, start, end, None)
    step, _, (first, last) = read
    return Line(raw.strip(), start, end, start + first, start + last, step)


def read_path(text: str, full: int) -> Path:
    """The path of a text; lines after the answer are not read.

    `full` is the number of steps of a complete path. A line that follows so many steps is the
    answer: `Answer: …` in either style, or a plain number after compact steps.
    """
    lines: list[Line] = []
    compact, at = True, 0
    for raw in text.split("\n", MAX_LINES)[:MAX_LINES]:
        stripped = raw.strip()
        if stripped:
            if _ANSWER.fullmatch(stripped[:MAX_LINE]) or (
                len(lines) >= full and compact and _PLAIN.fullmatch(stripped)
            ):
                return Path(tuple(lines), _line(raw, at, None), compact and bool(lines))
            read = read_step(stripped)
            compact = compact and read is not None and read[1]
            lines.append(_line(raw, at, read))
        at += len(raw) + 1
    return Path(tuple(lines), None, compact and bool(lines))


def answer_text(line: Line) -> str:
    """What stands after `Answer:`, or the plain number."""
    match = _ANSWER.fullmatch(line.text)
    return (match[1] if match else line.text).strip()


def write_compact(path: list[Move]) -> str:
    """A solution in the compact style, one step a line, each line ended."""
    return "".join(write_step(move) + "\n" for move in path)


def write_step(move: Move) -> str:
    """One compact step; the result comes first, then the other numbers in descending order."""
    rest = list(move.left)
    rest.remove(move.result)
    return f"{move.a}{move.op}{move.b}={','.join(map(str, [move.result, *rest]))}"


def write_standard(path: list[Move], target: Number) -> str:
    """A solution in the standard style, with its answer line."""
    steps = [
        f"{m.a} {m.op} {m.b} = {m.result} (left: {' '.join(map(str, m.left))})\n" for m in path
    ]
    return "".join(steps) + f"Answer: {expression(path)} = {target}\n"

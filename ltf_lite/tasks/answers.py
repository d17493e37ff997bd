"""Where the answer stands in what a model wrote, and in what a data set gives as its solution.

Every search here takes time that grows with the text alone; callers cut it to `MAX_TEXT` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_TEXT = 20_000  # characters of a text that are read
_THINK = re.compile(r"</?think>", re.IGNORECASE)
_MARKS = r"(?:\*\*|__|\*|_)?"
_WORDS = r"(?:(?:final|correct)[ \t]{1,4})?answer"
_LABEL = re.compile(
    rf"^[ \t>#*_-]{{0,20}}(?:the[ \t]{{1,4}})?{_WORDS}[ \t*_]{{0,8}}:{_MARKS}",
    re.IGNORECASE | re.MULTILINE,
)
_SAYS = re.compile(
    rf"\bthe[ \t]{{1,4}}{_WORDS}[ \t]{{1,4}}is\b[ \t]{{0,4}}:?{_MARKS}", re.IGNORECASE
)
_HASHES = re.compile(r"(?<!#)####(?!#)")
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_BRACE = re.compile(r"\\boxed[ \t]{0,4}\{|\\[\s\S]|[{}]")
_EDGE = " \t\r\n\f\v\u00a0"


class Found(NamedTuple):
    """An answer: `text` is what stands in `start:end`, `marker` is what announced it."""

    text: str
    start: int
    end: int
    marker: str


def find_answer(text: str) -> Found | None:
    """The answer behind the last marker of a text; None if it has none.

    Markers are a line that begins with `Answer:` or `Final answer:`, `The answer is`, `####`,
    `\\boxed{...}` and `<answer>...</answer>`. The first three take the rest of their line, or the
    next line where that is empty. A marker with nothing behind it is none. What stands in
    `<think>...</think>` is not searched.
    """
    seen = _without_thoughts(text)
    kept = [each for each in _candidates(seen) if each[1].text]
    return max(kept, key=lambda each: each[0])[1] if kept else None


def read_gold(text: str) -> str:
    """The answer of a solution: behind its last `####`, in its last `\\boxed{}`, behind another
    marker, or all of it.
    """
    for match in reversed(list(_HASHES.finditer(text))):
        found = _line(text, match.end(), "####")
        if found.text:
            return found.text
    boxed = [each for each in _boxed(text) if each[1].text]
    if boxed:
        return max(boxed)[1].text
    marked = find_answer(text)
    return marked.text if marked else text.strip()


def _without_thoughts(text: str) -> str:
    """The text with line ends in place of thoughts; all else stands where it stood."""
    seen: list[tuple[int, int]] = []
    at, thinks = 0, False
    for tag in _THINK.finditer(text):
        closes = tag[0][1] == "/"
        if closes and not thinks:  # the text began within a thought
            seen.clear()
        elif not closes and not thinks:
            seen.append((at, tag.start()))
        at, thinks = tag.end(), not closes
    if not thinks:
        seen.append((at, len(text)))
    parts, at = [], 0
    for start, end in seen:
        parts += ["\n" * (start - at), text[start:end]]
        at = end
    return "".join(parts)


def _candidates(text: str) -> Iterator[tuple[int, Found]]:
    """The last answer of each kind of marker, and where what it announces begins."""
    for pattern, name in ((_LABEL, "answer:"), (_SAYS, "the answer is"), (_HASHES, "####")):
        for match in reversed(list(pattern.finditer(text))):
            found = _line(text, match.end(), name)
            if found.text:
                yield match.end(), found
                break
    yield from _boxed(text)
    yield from _tagged(text)


def _line(text: str, at: int, marker: str) -> Found:
    """The rest of the line, or the next line that is not blank and has no marker of its own."""
    end = _line_end(text, at)
    found = _stripped(text, at, end, marker)
    while not found.text and end < len(text):
        at, end = end + 1, _line_end(text, end + 1)
        if _LABEL.match(text, at) or text.startswith("####", at):
            break
        found = _stripped(text, at, end, marker)
    return found


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _boxed(text: str) -> Iterator[tuple[int, Found]]:
    """What stands in balanced braces; one pass, however many are open."""
    opened: list[int] = []  # where the content of a box begins, 0 for another brace
    for sign in _BRACE.finditer(text):
        if sign[0] == "}":
            content = opened.pop() if opened else 0
            if content:
                yield content, _stripped(text, content, sign.start(), "\\boxed")
        elif sign[0] == "{" or sign[0].startswith("\\boxed"):
            opened.append(0 if sign[0] == "{" else sign.end())


def _tagged(text: str) -> Iterator[tuple[int, Found]]:
    begin: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            begin = tag
        elif begin is not None:
            yield begin.end(), _stripped(text, begin.end(), tag.start(), "<answer>")
            begin = None


def _stripped(text: str, start: int, end: int, marker: str) -> Found:
    """The span without blanks and emphasis around it."""
    start, end = _within(text, start, end, _EDGE)
    if marker != "\\boxed":
        if text[start:end].endswith(("**.", "`.")):
            end -= 1
        start, end = _within(text, start, end, _EDGE + "*`")
        if end - start > 4 and text[start : start + 2] == "__" == text[end - 2 : end]:
            start, end = start + 2, end - 2
    return Found(text[start:end], start, end, marker)


def _within(text: str, start: int, end: int, signs: str) -> tuple[int, int]:
    while start < end and text[start] in signs:
        start += 1
    while start < end and text[end - 1] in signs:
        end -= 1
    return start, end

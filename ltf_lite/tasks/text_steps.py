"""Steps of free text: where they begin and end, and a search over them for any task.

A step is a line. Where lines are long, or the text has paragraphs, it is a paragraph; a heading
such as `Step 2:` begins a step that goes on to the next one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from ltf_lite.core.prompt import chats
from ltf_lite.tasks.contract import Path, Problem, Taken, Task
from ltf_lite.tasks.judgement import read_value

LONGEST = 32  # steps of a path
MOST = 1000  # characters of a step; a longer one is cut off and leads nowhere
LONG_LINES = 200  # mean characters from which paragraphs are the steps
PARAGRAPHS = 3  # so many of them are no accident, as one before the answer may be

Span = tuple[int, int]

_LINE = re.compile(r"[^\n]+")
_STEP = r"(?:#{1,6}[ \t]*)?[*_]{0,3}step[ \t]+\d{1,3}\b"
_HEADING = re.compile(rf"[ \t]*{_STEP}", re.IGNORECASE)
# What stands before a step's words: bullets, `1.`, `(2)`, `## Step 3:`. "1.5" and "-3" are words.
_BEFORE = re.compile(
    rf"(?:[-*+•–>|]+\s+|#+\s*|\(?\d{{1,3}}[.):]\)?(?:\s+|$)|{_STEP}[*_]{{0,3}}\s*[-:.)–]*[*_]{{0,3}}\s*)+",
    re.IGNORECASE,
)
_RULE = re.compile(r"[-*_=#~ ]+")
_AROUND_SIGNS = re.compile(r" ?([^\w\s]) ?")
_INLINE_ANSWER = re.compile(
    r"(?<=\S)[ \t]+(?=[*_]{0,3}(?:final[ \t]+)?answer\b[*_ \t]{0,4}:)", re.I
)


def split(text: str) -> list[Span]:
    """Where each step of a text begins and ends, without the blanks around it."""
    lines = [span for match in _LINE.finditer(text) if (span := _bare(text, *match.span()))]
    headings = [k for k, (start, end) in enumerate(lines) if _HEADING.match(text, start, end)]
    if headings:
        first = headings[0]
        ends = [*headings[1:], len(lines)]
        groups = [lines[k:end] for k, end in zip(headings, ends, strict=True)]
        return [*_unheaded(lines[:first], text), *((own[0][0], own[-1][1]) for own in groups)]
    return _unheaded(lines, text)


def _unheaded(lines: list[Span], text: str) -> list[Span]:
    """Lines, or paragraphs where lines are long or paragraphs are many."""
    breaks = [k for k, (own, after) in enumerate(pairwise(lines), 1) if _apart(text, own, after)]
    paragraphs = len(breaks) + 1
    long = sum(end - start for start, end in lines) > LONG_LINES * len(lines)
    if paragraphs < (2 if long else PARAGRAPHS):
        return lines
    ends = [*breaks, len(lines)]
    return [(lines[k][0], lines[end - 1][1]) for k, end in zip([0, *breaks], ends, strict=True)]


def _apart(text: str, own: Span, after: Span) -> bool:
    """Whether a blank line lies between two lines."""
    return text.count("\n", own[1], after[0]) > 1


def _bare(text: str, start: int, end: int) -> Span | None:
    """A span without the blanks around it; None where it has nothing else."""
    words = text[start:end]
    end = start + len(words.rstrip())
    start += len(words) - len(words.lstrip())
    return (start, end) if start < end else None


def same(step: str) -> str:
    """What two spellings of one step have in common; empty where it says nothing."""
    words = " ".join(unicodedata.normalize("NFKC", step).split())
    if _RULE.fullmatch(words):
        return ""
    before = _BEFORE.match(words)
    words = words[before.end() :] if before else words
    return _AROUND_SIGNS.sub(r"\1", words.strip("*_ ").casefold()).strip()


def begun(step: str) -> bool:
    """Whether a line only begins a step: it is blank, a rule, or a heading without words."""
    return not same(step)


class TextSteps:
    """Steps and questions of a task that has none of its own: a state is the steps so far."""

    most = MOST

    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self, problem: Problem) -> tuple[str, ...]:
        return ()

    def take(
        self, problem: Problem, state: tuple[str, ...], line: str, dialect: str, checked: bool
    ) -> Taken | None:
        """A step that says something, while a path may have more; any other leads nowhere."""
        line = line.strip()
        key = same(line)
        if not key or len(line) > MOST or len(state) >= LONGEST:
            return None
        line = self._with_answer(problem, state, line)
        return Taken((*state, line), line, key)

    def _with_answer(self, problem: Problem, state: tuple[str, ...], line: str) -> str:
        """The step with an answer that stands in the same line put into a line of its own.

        Only where the task finds it there and not in the step as it was written.
        """
        apart = _INLINE_ANSWER.sub("\n", line)
        if apart == line or self.finished(problem, (*state, line)):
            return line
        return apart if self.finished(problem, (*state, apart)) else line

    def finished(self, problem: Problem, state: tuple[str, ...]) -> bool:
        """Whether the task finds an answer in the steps."""
        return bool(state) and self._parsed(problem, state).answer is not None

    def _parsed(self, problem: Problem, state: tuple[str, ...]) -> Path:
        return self.task.parse(problem, self.joined(state, "", True))

    def longest(self, problem: Problem) -> int:
        return LONGEST

    def joined(self, lines: Sequence[str], dialect: str, finished: bool) -> str:
        return "".join(f"{line}\n" for line in lines)

    def shown(self, state: tuple[str, ...]) -> str:
        return state[-1] if state else ""

    # -- what a tree search asks -------------------------------------------------------------

    def propose(self, problem: Problem, state: tuple[str, ...], dialect: str) -> str | None:
        return None

    def judge(
        self, problem: Problem, state: tuple[str, ...], lines: Sequence[str], dialect: str
    ) -> str:
        asked = "Is this answer right?" if lines else "Can this still lead to the right answer?"
        told = self._so_far(problem, state)
        return f"{told}{asked} Judge: sure, likely or impossible.\nJudgement:"

    def judge_stop(self, dialect: str) -> list[str]:
        return [] if chats(dialect) else ["\n"]  # thoughts may come first

    def read_value(self, text: str) -> float | None:
        return read_value(text)

    def yes(
        self, problem: Problem, state: tuple[str, ...], lines: Sequence[str], dialect: str
    ) -> str:
        told = self._so_far(problem, tuple(lines))
        return f"{told}Is this reasoning right so far? Answer yes or no.\nAnswer:"

    def _so_far(self, problem: Problem, steps: Sequence[object]) -> str:
        told = "".join(f"{step}\n" for step in steps) or "(nothing)\n"
        return f"{problem.text}\n\nReasoning so far:\n{told}\n"

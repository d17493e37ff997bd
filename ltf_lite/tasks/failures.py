"""How a path of free text failed, where a task has no closer words for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from ltf_lite.tasks.contract import Verdict
from ltf_lite.tasks.text_steps import same

FREE_TEXT_KINDS: Mapping[str, str] = {
    "no_answer": "The path ends without an answer.",
    "cut_off": "The path was cut off by the token limit before it had an answer.",
    "repetition": "The same words are written again and again.",
    "format": "The answer cannot be read: nothing stands behind its mark, or two contradict.",
    "wrong_answer": "The answer is not right.",
}
WITHOUT_ANSWER = frozenset({"no_answer", "format"})  # what a path that was cut off may seem to be

FinishedBy = Literal["stop", "length"]
Span = tuple[int, int]

AGAIN = 4  # times in a row that the same step, or group of steps, is written
GROUP = 3  # steps of a group that may come again
WORDS = 8  # words of a phrase that may come again within a step
_MARK = re.compile(
    r"^[ \t>*_#]*(?:(?:the|my)[ \t]+)?(?:final[ \t]+)?answer(?:[ \t]+is)?[ \t*_]*:(.*)$",
    re.IGNORECASE | re.MULTILINE,
)


class Failure(NamedTuple):
    """The failure kind of a path, the step where it shows, and a sentence."""

    kind: str
    step: int
    sentence: str


# What a task adds: a failure that it sees in a text and its steps, or None.
Own = Callable[[str, Sequence[Span]], Failure | None]


def failure_kind(
    text: str,
    steps: Sequence[Span],
    has_answer: bool,
    finished_by: FinishedBy = "stop",
    own: Own | None = None,
) -> Failure:
    """Why a path that is not right failed.

    `steps` are the spans of its steps, without that of its answer, which counts as the next one.
    `own` is asked first. What repeats itself is called so even if it was cut off: that is why.
    """
    told = own(text, steps) if own else None
    if told is not None:
        return told
    again = None if has_answer else repeated(text, steps)
    if again is not None:
        return Failure("repetition", again, f"step {again + 1} is written again and again")
    said = marked(text)
    if has_answer and len(set(said)) > 1:
        return Failure("format", len(steps), f"the answers {_two(said)} contradict each other")
    if has_answer:
        return Failure("wrong_answer", len(steps), "the answer is wrong")
    if finished_by == "length":
        return Failure("cut_off", len(steps), "the token limit was reached before an answer")
    if _MARK.search(text):
        return Failure("format", len(steps), "no answer that can be read stands behind its mark")
    return Failure("no_answer", len(steps), "there is no answer")


def as_cut_off(verdict: Verdict) -> Verdict:
    """What `Task.cut_off` of free text says: a path without an answer was cut off."""
    if verdict.correct or verdict.kind not in WITHOUT_ANSWER:
        return verdict
    sentence = "the token limit was reached before an answer"
    return Verdict(False, "cut_off", verdict.fatal_step, sentence)


def marked(text: str) -> list[str]:
    """What stands behind each mark of an answer that begins a line, as `same` spells it."""
    return [said for match in _MARK.finditer(text) if (said := same(match[1]).strip(". "))]


def _two(said: Sequence[str]) -> str:
    last = said[-1]
    other = next(each for each in said if each != last)
    return f"{other[:40]!r} and {last[:40]!r}"


def repeated(text: str, steps: Sequence[Span]) -> int | None:
    """The step from which a text says the same again and again; None where it does not.

    That is the first repeated step of a group of steps, or the step within which a phrase repeats.
    """
    keys = [same(text[start:end]) for start, end in steps]
    groups = (_group_again(keys, size) for size in range(1, GROUP + 1))
    within = next((k for k, key in enumerate(keys) if _phrase_again(key)), None)
    return min((at for at in (*groups, within) if at is not None), default=None)


def _group_again(keys: Sequence[str], size: int) -> int | None:
    """Where a group of so many steps is first repeated, if it comes AGAIN times in a row."""
    run = 0  # steps in a row that equal the one a group before
    for k in range(size, len(keys)):
        run = run + 1 if keys[k] == keys[k - size] else 0
        if run == size * (AGAIN - 1):
            return k - run + 1
    return None


def _phrase_again(key: str) -> bool:
    """Whether a phrase of two to WORDS words comes AGAIN times in a row.

    A single word must come twice as often: digits may well be alike a few times.
    """
    words = key.split()
    if any(_group_again(words, size) is not None for size in range(2, WORDS + 1)):
        return True
    run = 0
    for own, after in pairwise(words):
        run = run + 1 if own == after else 0
        if run == 2 * AGAIN - 1:
            return True
    return False

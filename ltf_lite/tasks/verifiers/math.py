"""The verifier that compares mathematics, by the package math-verify in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from ltf_lite.core.worker import WorkerError
from ltf_lite.tasks.verifiers import NOTHING, SHOWN, Judgement, Verifier
from ltf_lite.tasks.verifiers.number import Number
from ltf_lite.tasks.verifiers.outside import judged, lost, needs, worker
from ltf_lite.tasks.verifiers.plain import plain
from ltf_lite.tasks.verifiers.quantity import quantity

LONGEST = 500  # characters of a formula
DEEPEST = 20  # brackets within brackets
_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sin|cos|tan|log|ln|exp|pi)(?![A-Za-z])"
)
_WORDS = re.compile(r"(?:\\text ?\{)?[ ]?([A-Za-z]{3,}(?:[ -][A-Za-z]+)*)[ ]?\}?")
_NO_NUMBER = re.compile(r"(?<![A-Za-z\\])[+-]?(?:nan|inf|infinity)(?![A-Za-z])", re.I)
# Two numbers with a blank between them are added by math-verify, as if it were a mixed number.
_TWO = re.compile(r"[0-9](?:\s|\\q?quad|\\[ ;:])+[0-9]+(?![0-9]| ?/)")
# Factorials, powers and towers of powers that may never be worked out.
_HUGE = re.compile(r"[0-9]{4,} ?[)}]* ?!|\^ ?[{(]*-?[0-9]{5,}|(?:\^ ?[{(]* ?(?:[0-9]+|[a-z]) ?){3}")
_AROUND = (("\\{", "\\}"), ("{", "}"), ("(", ")"))


class Math(Verifier):
    """Equal formulas in LaTeX or plain signs: numbers, roots, sets, intervals, equations, matrices.

    The whole answer is read as one formula of at most 500 characters. Where the gold answer is a
    plain number the answer has to be one too, exactly equal as the verifier `number` has it:
    `10-5` is not 5. Where it is words, the words are compared. Per cent needs per cent on both
    sides, and nan and inf are never right. Otherwise math-verify decides; it takes decimals for
    equal that agree in six places. What is too large to be worked out, or takes longer than two
    seconds, is undecided.
    """

    title: ClassVar[str] = "the same mathematics"

    name: Literal["math"] = "math"

    @model_validator(mode="after")
    def _installed(self) -> Math:
        needs("math_verify", "math")
        return self

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        return self.judge_all([(answer, gold, data)])[0]

    def judge_all(self, triples: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Judgement]:
        made = [_first(answer, gold) for answer, gold, _ in triples]
        asked = [each for each in made if not isinstance(each, Judgement)]
        results = iter(_worker().call_all("compared", asked) if asked else [])
        return [e if isinstance(e, Judgement) else judged(next(results)) for e in made]

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        text = _formula(gold)
        if quantity(gold):
            return None
        if not _NO_NUMBER.search(text) and _WORDS.fullmatch(text):
            return None
        if _impossible(text, text):
            return f"the answer {gold[:40]!r} is not one formula"
        result = _worker().call_all("compared", [(text, text)])[0]
        if isinstance(result, WorkerError):
            return f"the answer {gold[:40]!r} is not read: {lost(result).why}"
        return None if result[0] else f"the answer {gold[:40]!r} is not read by math-verify"

    def key(self, answer: str) -> str:
        return Number().key(answer) if quantity(answer) else _formula(answer).replace(" ", "")


def _worker() -> Any:
    return worker("math", setup="prepare")


def _formula(text: str) -> str:
    """The text as one formula."""
    text = plain(text).removeprefix("\\boxed").strip()
    for old, new in (
        ("−", "-"),
        ("**", "^"),
        ("\\left", ""),
        ("\\right", ""),
        ("\\dfrac", "\\frac"),
    ):
        text = text.replace(old, new)
    return _FUNCTION.sub(r"\\\1 ", plain(text))


def _first(answer: str, gold: str) -> Judgement | tuple[str, str]:
    """What can be said without math-verify, or else what it is asked."""
    said, meant = _formula(answer), _formula(gold)
    if quantity(gold):
        bare = _peeled(said) if not quantity(answer) else answer
        if quantity(bare):
            return Number().judge(bare, gold)
        return Judgement(False, "it is not a number as it stands", said[:SHOWN])
    if (words := _WORDS.fullmatch(meant)) and not _NO_NUMBER.search(meant):
        own = _WORDS.fullmatch(said)
        right = own is not None and own[1].casefold() == words[1].casefold()
        return Judgement(right, "" if right else "it is another text", said[:SHOWN])
    wrong = _impossible(said, meant)
    if not wrong and said != meant and _HUGE.search(said):
        return Judgement(None, "it is too large to be worked out", said[:SHOWN])
    return Judgement(False, wrong, said[:SHOWN]) if wrong else (said, meant)


def _peeled(text: str) -> str:
    """The text without brackets around it; a set of one number is that number."""
    for left, right in _AROUND:
        if text.startswith(left) and text.endswith(right):
            return text[len(left) : -len(right)]
    return text


def _impossible(said: str, meant: str) -> str:
    """Why a formula need not be looked at."""
    if not said or len(said) > LONGEST or "\0" in said or _deep(said):
        return "it is no formula"
    if "$" in said or (_TWO.search(said) and not _TWO.search(meant)):
        return "it is more than one formula"
    if _NO_NUMBER.search(said):
        return "it is not a number"
    if ("%" in said) != ("%" in meant):
        return "only one of the two is per cent"
    return ""


def _deep(text: str) -> bool:
    """Whether brackets are nested so deep that reading them takes long."""
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    return deepest > DEEPEST


# From here on: what runs in the worker.


def prepare() -> None:
    """Import what the comparisons need, and use it once."""
    import logging

    logging.disable(logging.CRITICAL)
    compared("x+\\frac{1}{2}", "x+0.5")


@lru_cache(1000)
def _parsed(text: str) -> Any:
    from math_verify import LatexExtractionConfig, parse

    return parse(
        f"${text}$",
        extraction_config=[LatexExtractionConfig(boxed_match_priority=-1)],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,  # the parent's limit holds; theirs needs the main thread's alarm
    )


def compared(answer: str, gold: str) -> tuple[bool | None, str, str]:
    """A judgement's parts."""
    from math_verify import verify

    meant = _parsed(gold)
    if not meant:
        return None, "math-verify does not read the gold answer", ""
    said = _parsed(answer)
    if not said:
        return False, "it is no formula", ""
    right = verify(meant, said, timeout_seconds=None)
    shown = ""
    with suppress(ValueError, RecursionError):  # of a number with too many digits
        shown = str(said[0])[:SHOWN]
    return bool(right), "" if right else "it is another formula", shown


PLUGIN = Math

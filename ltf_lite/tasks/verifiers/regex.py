"""The verifier that compares with a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from ltf_lite.tasks.verifiers import NOTHING, SHOWN, Judgement, Verifier
from ltf_lite.tasks.verifiers.outside import judged, worker
from ltf_lite.tasks.verifiers.plain import plain

GOLD = "{answer}"


class Regex(Verifier):
    """Answers that a pattern matches as a whole, blanks around them left out.

    `{answer}` in the pattern stands for the gold answer, letter by letter. Where the pattern has a
    group of the name `answer`, what it takes has to be the same text as the gold answer, as the
    verifier `exact` has it. Where it has neither, every problem takes the same answers. `case` says
    whether capital letters matter. The match is made in a process of its own; one that takes
    longer than two seconds is undecided.
    """

    title: ClassVar[str] = "a pattern"

    name: Literal["regex"] = "regex"
    pattern: str = Field(min_length=1, max_length=2000)
    case: bool = True

    @field_validator("pattern")
    @classmethod
    def _is_one(cls, pattern: str) -> str:
        try:
            re.compile(pattern.replace(GOLD, "x"))
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"it is no pattern of Python's re: {error}") from error
        return pattern

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        return self.judge_all([(answer, gold, data)])[0]

    def judge_all(self, triples: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Judgement]:
        asked = [(self._of(gold), answer.strip(), gold, self.case) for answer, gold, _ in triples]
        return [judged(each) for each in worker("regex").call_all("matched", asked)]

    def _of(self, gold: str) -> str:
        return self.pattern.replace(GOLD, f"(?:{re.escape(gold.strip())})")


def matched(pattern: str, text: str, gold: str, case: bool) -> tuple[bool, str, str]:
    """A judgement's parts; it runs in the worker."""
    match = re.fullmatch(pattern, text, 0 if case else re.IGNORECASE)
    if match is None:
        return False, "the pattern does not match it", text[:SHOWN]
    if "answer" not in match.groupdict():
        return True, "", text[:SHOWN]
    said = match["answer"] or ""
    same = plain(said) == plain(gold)
    if not case:
        same = plain(said).casefold() == plain(gold).casefold()
    return same, "" if same else "the pattern finds another answer in it", said[:SHOWN]


PLUGIN = Regex

"""The verifier of multiple choice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any, ClassVar, Literal

from ltf_lite.tasks.verifiers import NOTHING, Judgement, Verifier
from ltf_lite.tasks.verifiers.plain import plain

_CALLED = r"(?:(?:the )?(?:option|choice|answer|letter)(?: is)?:? )?"
_ALONE = re.compile(rf"{_CALLED}[(\[]?([A-Za-z0-9]{{1,3}})[)\].:]?", re.IGNORECASE)
_WITH = re.compile(
    rf"{_CALLED}(?:[(\[]([A-Za-z0-9]{{1,3}})[)\]]|([A-Za-z0-9]{{1,3}})[).:\]]) ?(\S.*)",
    re.IGNORECASE,
)
# Another letter behind the first: in brackets, before one, after `option`, or a capital alone. `A`
# and `I` alone are words.
_ANOTHER = re.compile(
    r"(?:^|[ (\[,/&])(?:[A-Za-z][)\]]|(?:option|choice) [A-Za-z]\b|[B-HJ-Z](?=$|[ ,./&]))"
)


class Choice(Verifier):
    """The same letter: `B`, `b`, `(B)`, `B.`, `B) text`, `option B`.

    Where the problem's data has `choices`, an object of letters and texts or a list, the text of
    one is read too, a letter has to be one of them, and a text behind the letter has to be its
    own. Two letters are wrong, and so is a letter with a blank and a text behind it (`A cat`).
    Refused are gold answers that are no letter and no text of a choice.
    """

    title: ClassVar[str] = "the same choice"

    name: Literal["choice"] = "choice"

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        choices = _choices(data)
        meant, said = _letter(gold, choices), _letter(answer, choices)
        if meant is None:
            return Judgement(None, f"the gold answer {gold[:40]!r} is no choice")
        if said is None:
            return Judgement(False, "it is not one choice")
        return Judgement(said == meant, "" if said == meant else "it is another choice", said)

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        known = _letter(gold, _choices(data)) is not None
        return None if known else f"the answer {gold[:40]!r} is no choice"

    def key(self, answer: str) -> str:
        return _letter(answer, {}) or plain(answer).casefold()


def _choices(data: Mapping[str, Any]) -> dict[str, str]:
    """The texts by their letters in capitals; empty where the data has none."""
    given = data.get("choices")
    if isinstance(given, Mapping):
        return {str(key).strip().upper(): str(text) for key, text in given.items()}
    if isinstance(given, (list, tuple)):
        return dict(zip(ascii_uppercase, map(str, given), strict=False))
    return {}


def _letter(text: str, choices: Mapping[str, str]) -> str | None:
    """The one letter that an answer names, in capitals."""
    text = plain(text)
    known = choices or dict.fromkeys(ascii_uppercase, "")
    alone = _ALONE.fullmatch(text)
    if alone and alone[1].upper() in known:
        return alone[1].upper()
    named = [key for key, each in choices.items() if _same(each, text)]
    if named:
        return named[0] if len(named) == 1 else None
    both = _WITH.fullmatch(text)
    if both is None:
        return None
    letter = (both[1] or both[2]).upper()
    if letter not in known:
        return None
    fits = _same(choices[letter], both[3]) if choices else not _ANOTHER.search(both[3])
    return letter if fits else None


def _same(one: str, other: str) -> bool:
    return plain(one).casefold() == plain(other).casefold()


PLUGIN = Choice

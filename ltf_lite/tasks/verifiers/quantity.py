"""A number as people and models write it: its exact value, whether it is per cent, its unit.

Nothing is computed but the one fraction or power of ten that the notation itself says, and those
are bounded. What is not a single number is refused.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from ltf_lite.tasks.verifiers.plain import plain

LONGEST = 1000  # characters of a number
LARGEST = 400  # an exponent of ten

_WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+)"
_TIMES_TEN = (
    r"[ ]?[x×*·][ ]?10[ ]?\^[ ]?"
    r"(?:\{[ ]?(?P<braced>[+-]?[0-9]{1,4})[ ]?\}|(?P<bare>[+-]?[0-9]{1,4}))"
)
_NUMBER = re.compile(
    rf"(?P<before>[+-]?)[ ]?(?P<money>[$€£¥]?)[ ]?(?P<sign>[+-]?)(?:"
    rf"(?P<mixed>[0-9]{{1,30}})[ ](?P<over>[0-9]{{1,30}})/(?P<under>[0-9]{{1,30}})"
    rf"|(?P<top>{_WHOLE})[ ]?/[ ]?(?P<bottom>{_WHOLE})"
    rf"|(?P<decimal>{_DECIMAL})(?:[eE](?P<e>[+-]?[0-9]{{1,4}})|{_TIMES_TEN})?"
    rf")(?P<rest>.*)"
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,20} ?= ?")
_NEGATIVE = re.compile(r"^(?:minus|negative) (?=[0-9.$€£¥])", re.IGNORECASE)
_FRACTION = re.compile(
    r"(?P<whole>[0-9] ?)?\\[dtc]?frac ?"
    r"(?:\{ ?(-?[0-9,]{1,40}) ?\} ?\{ ?([0-9,]{1,40}) ?\}|([0-9])([0-9]))"
)
_WRAPPED = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|textit|mbox|operatorname) ?\{([^{}]{0,200})\}"
)
_UNIT = re.compile(r"[^\W\d_][^\W\d_.'’/°²³·^-]*(?:[.'’/·^-]?[^\W\d_²³°]*[²³]?)*|°[CFK]?")
_PERCENT = re.compile(r" ?(?:%|percent\b|per cent\b)", re.IGNORECASE)

MONEY = {
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "usd": "dollar",
    "eur": "euro",
    "°": "degree",
}
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = {word: n for n, word in enumerate(ONES)} | {w: 20 + 10 * n for n, w in enumerate(TENS)}
# Words that make of a number with a word behind it something else than a quantity.
NO_UNITS = {
    *WORDS,
    *SCALES,
    *("and", "or", "to", "not", "nor", "but", "is", "plus", "minus", "times", "over", "by", "x"),
    *("divided", "multiplied", "point", "half", "halves", "third", "thirds", "quarter", "quarters"),
    *("dozen", "dozens", "score", "squared", "cubed", "mod", "pi", "π", "sqrt", "log", "sin", "if"),
    *("cos", "tan", "exp", "e", "i", "j", "k", "n", "y", "z", "b", "mn", "bn", "nan", "inf"),
    *("more", "less", "about", "maybe", "otherwise", "modulo", "factorial", "remainder", "r"),
    *("degree", "th", "st", "nd", "rd"),
} - {"degree"}
LETTERS = set("mgshldtcALVWNJCFKΩ°")  # units of one letter; others are variables


class Quantity(NamedTuple):
    """A number that was read."""

    value: Fraction
    percent: bool = False
    unit: str = ""

    def shown(self) -> str:
        """For a person."""
        sign = "%" if self.percent else ""
        text = str(self.value) if self.value.denominator < 10**30 else f"{float(self.value):g}"
        return " ".join(filter(None, (text[:60] + sign, self.unit)))


def quantity(text: str) -> Quantity | None:
    """The one number that a text is; None if it is anything else."""
    text = _signs(text)
    if len(text) > LONGEST:
        return None
    name = _NAME.match(text)
    text = text[name.end() :] if name else text
    match = _NUMBER.fullmatch(_NEGATIVE.sub("-", text))
    if match is None:
        return _spoken(text)
    value = _value(match)
    if value is None:
        return None
    if match["before"] and match["sign"]:
        return None
    value = -value if "-" in (match["before"], match["sign"]) else value
    return _with_unit(value, match["rest"], match["money"])


def _signs(text: str) -> str:
    """The text in plain signs: no LaTeX, no vulgar fractions, one kind of minus."""
    text = plain(text)
    if len(text) > 2 * LONGEST:
        return text
    text = "".join(_vulgar(c) for c in text) if not text.isascii() else text
    for old, new in (("−", "-"), ("–", "-"), ("\\$", "$"), ("\\%", "%"), ("\\times", "×")):
        text = text.replace(old, new)
    for old, new in (("\\cdot", "·"), ("{,}", ","), ("\\,", ""), ("\\!", ""), ("\\ ", " ")):
        text = text.replace(old, new)
    for power, sign in (("2", "²"), ("3", "³")):
        text = re.sub(rf"(?<=[a-z])\^ ?(?:{power}\b|\{{{power}\}})", sign, text)
    text = text.replace("^{\\circ}", "°").replace("^\\circ", "°").replace("~", " ")
    text = _WRAPPED.sub(r" \1", _FRACTION.sub(_over, text))
    return plain(text)


def _vulgar(letter: str) -> str:
    if unicodedata.decomposition(letter).startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", letter).replace("\u2044", "/")
    return "/" if letter == "\u2044" else letter


def _over(match: re.Match[str]) -> str:
    top, bottom = match[2] or match[4], match[3] or match[5]
    return f"{match['whole'] or ''} {top}/{bottom} "


def _value(match: re.Match[str]) -> Fraction | None:
    """The value of what was matched, without its sign."""
    if match["mixed"]:
        over, under = int(match["over"]), int(match["under"])
        return int(match["mixed"]) + Fraction(over, under) if 0 < over < under else None
    if match["top"]:
        top, bottom = (int(match[key].replace(",", "")) for key in ("top", "bottom"))
        return Fraction(top, bottom) if bottom else None
    exponent = int(match["e"] or match["braced"] or match["bare"] or 0)
    if abs(exponent) > LARGEST:
        return None
    whole, _, part = match["decimal"].replace(",", "").partition(".")
    return Fraction(int(whole + part or "0"), 10 ** len(part)) * Fraction(10) ** exponent


def _with_unit(value: Fraction, rest: str, money: str = "") -> Quantity | None:
    """The quantity, if what stands behind the number is per cent or a unit."""
    percent = _PERCENT.match(rest)
    rest = rest[percent.end() :] if percent else rest
    words = rest.split()
    while words and words[0].casefold() in SCALES and not percent:
        value *= 10 ** SCALES[words.pop(0).casefold()]
    if len(words) > 4 or words[:1] == ["a"] or not all(map(_is_unit, words)):
        return None
    if words and not percent and rest[0] != " " and len(words[0]) == 1 and words[0] not in LETTERS:
        return None
    unit = _unit(words)
    if money and unit and unit != MONEY[money]:
        return None
    return Quantity(value, bool(percent), unit or MONEY.get(money, ""))


def _is_unit(word: str) -> bool:
    if word.casefold() in NO_UNITS or len(word) > 30 or (len(word) == 1 and word != "a"):
        return word in LETTERS
    parts = {part.casefold() for part in re.split(r"[^\w]", word)}
    return not parts & (NO_UNITS - {"n", "k", "j", "e", "b"}) and bool(_UNIT.fullmatch(word))


def _unit(words: list[str]) -> str:
    """A unit without capital letters and plurals."""
    return " ".join(map(_named, words))


def _named(word: str) -> str:
    small = word.casefold().rstrip(".")
    if len(word) < 4 and word[0] == "M":  # mega is not milli
        return "M" + small[1:]
    plural = len(small) > 2 and small[-1] == "s" and small[-2].isalpha() and small[-2] != "s"
    return MONEY.get(small, small[:-1] if plural else small)


def _spoken(text: str) -> Quantity | None:
    """A number in words, up to 199 and its thousands or millions."""
    words = text.casefold().replace("-", " ").split()[:12]
    sign = 1
    if words and words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    value, used = _said(words)
    if not used:
        return None
    return _with_unit(Fraction(sign * value), "".join(" " + word for word in words[used:]))


def _said(words: list[str]) -> tuple[int, int]:
    """The value of the number words at the beginning, and how many they are."""
    at = 0
    hundreds = 0
    if words[:1] in (["one"], ["a"]) and words[1:2] == ["hundred"]:
        hundreds, at = 100, 2
        if words[at : at + 1] == ["and"] and len(words) > at + 1 and words[at + 1] in WORDS:
            at += 1
    first = WORDS.get(words[at]) if at < len(words) else None
    if first is None:
        return hundreds, at
    second = WORDS.get(words[at + 1], 0) if at + 1 < len(words) else 0
    if first >= 20 and 0 < second < 10:
        return hundreds + first + second, at + 2
    return hundreds + first, at + 1

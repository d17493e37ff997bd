"""The verifier that compares JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal

from ltf_lite.tasks.answers import MAX_TEXT
from ltf_lite.tasks.verifiers import NOTHING, SHOWN, Judgement, Verifier

DEEPEST = 50  # levels
LARGEST = 400  # an exponent of ten
_FENCE = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


class Json(Verifier):
    """The same data: the order of keys and the way a number is written do not count.

    `1`, `1.0` and `1e0` are equal, `1` and `true` are not, texts are compared letter by letter. A
    fence of three backticks around the whole is left out. Refused are keys that stand twice in one
    object, NaN and Infinity, more than 50 levels, exponents above 400, and what is no JSON.
    """

    title: ClassVar[str] = "the same JSON"

    name: Literal["json"] = "json"

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        try:
            meant = _read(gold)
        except ValueError as error:
            return Judgement(None, f"the gold answer is no JSON ({error})")
        try:
            said = _read(answer)
        except ValueError as error:
            return Judgement(False, f"it is no JSON ({error})"[:200])
        right = said == meant
        return Judgement(right, "" if right else "it is other data", said[:SHOWN])

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        try:
            _read(gold)
        except ValueError as error:
            return f"the answer {gold[:40]!r} is no JSON ({error})"[:200]
        return None

    def key(self, answer: str) -> str:
        try:
            return _read(answer)
        except ValueError:
            return super().key(answer)


def _read(text: str) -> str:
    """The one way to write this data; raises ValueError for what is refused."""
    text = text[:MAX_TEXT]
    fence = _FENCE.fullmatch(text)
    try:
        data = json.loads(
            fence[1] if fence else text.strip(),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_number,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return _written(data)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _number(text: str) -> Decimal:
    digits, _, exponent = text.lower().partition("e")
    if len(digits) > 1000 or len(exponent) > 5 or abs(int(exponent or 0)) > LARGEST:
        raise ValueError("a number is too large")
    return Decimal(text)


def _written(data: Any, depth: int = 0) -> str:
    if depth > DEEPEST:
        raise ValueError("it is nested too deep")
    if isinstance(data, dict):
        pairs = (f"{json.dumps(k)}: {_written(data[k], depth + 1)}" for k in sorted(data))
        return "{" + ", ".join(pairs) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(_written(each, depth + 1) for each in data) + "]"
    if isinstance(data, Decimal):
        return _shortest(data)
    return json.dumps(data)


def _shortest(number: Decimal) -> str:
    """A number without zeros that do not count; nothing is rounded."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    power = int(exponent) + len(text) - len(short)
    if not short:
        return "0"
    minus = "-" if sign else ""
    if 0 <= power <= 20:
        return minus + short + "0" * power
    if -20 <= power < 0:
        padded = short.rjust(1 - power, "0")
        return f"{minus}{padded[:power]}.{padded[power:]}"
    return f"{minus}{short}e{power}"


PLUGIN = Json

"""A number game as a person types it: its numbers and the target, or the question in words."""

from __future__ import annotations

import re
from typing import Any

from ltf_lite.tasks.contract import TaskError
from ltf_lite.tasks.numbers.spelling import WIDE

LONGEST = 600  # characters: six numbers and the words around them
_NUMBERS = r"(?P<numbers>[0-9][0-9 ,]*?(?:and [0-9]+)?)"
# The questions that the app prints, in each of its languages.
_ASKED = (
    re.compile(rf"make (?P<target>[0-9]+) (?:from|with|of) {_NUMBERS}(?:[.;].*)?", re.I),
    re.compile(rf"{_NUMBERS} ?から ?(?P<target>[0-9]+) ?を作.*"),
)
_SHORT = re.compile(r"(?P<numbers>[^>→]*)(?:(?:->|→) ?(?P<target>\S+))?")
_PLAIN = WIDE | {ord("、"): ","}


def typed(text: str) -> dict[str, Any]:
    """`25 5 5 33 -> 27` as data, or the question in words as the app prints it.

    Numbers may stand between commas, and the target be left out. Raises TaskError.
    """
    line = "" if len(text) > LONGEST else " ".join(text.split())
    plain = line.translate(_PLAIN)
    asked = (form.fullmatch(plain) for form in _ASKED)
    match = next(filter(None, asked), None) or _SHORT.fullmatch(line)
    if match is None or len(text) > LONGEST:
        raise TaskError(f"a problem is written like '25 5 5 33 -> 27', not {text[:40]!r}")
    data: dict[str, Any] = {"numbers": re.sub(r",|\band\b", " ", match["numbers"]).split()}
    return data if match["target"] is None else {**data, "target": match["target"]}

"""What a model's judgement of a state counts: sure, likely or impossible."""

from __future__ import annotations

import re

# What a judgement counts (Yao et al. 2023, arXiv 2305.10601, whose 20 / 1 / 0.001 these are,
# scaled so that certainty is 1).
VALUES = {"sure": 1.0, "likely": 0.05, "impossible": 0.00005}
_VALUE = rf"\b(?:{'|'.join(VALUES)})\b"
_WORD = re.compile(_VALUE)
_JUDGEMENT = re.compile(r"\bjudge?ments?\b[\s*_]*(?::|is\b)")
# A word that judges nothing: one of a list to choose from, one that is denied, one of "make sure".
_NO_VALUE = re.compile(
    rf"{_VALUE}(?:\s*(?:,|/|\bor\b|,\s*or\b)\s*{_VALUE})+"
    r"|\b(?:not?|never|cannot|neither|nor|hardly|\w+n['’]t)\b(?:\s+\w+){0,3}?\s+"
    rf"{_VALUE}"
    r"|\b(?:make|makes|making|made|be|being)\s+sure\b"
)


def read_value(text: str) -> float | None:
    """What the last judgement in a text counts; None if there is none.

    It is the first one behind the last `Judgement:`, else that of the last line that judges. A
    line that begins with a judgement means that one, whatever it says of others.
    """
    text = text.casefold()
    marks = [match.end() for match in _JUDGEMENT.finditer(text)]
    lines = text[marks[-1] :].splitlines() if marks else reversed(text.splitlines())
    for line in lines:
        words = _WORD.findall(_NO_VALUE.sub(" ", line))
        first = _WORD.match(line.lstrip(" \t*_`\"'"))
        if first and words and words[0] == first[0]:
            return VALUES[first[0]]
        if words:
            return VALUES[words[-1]]
    return None

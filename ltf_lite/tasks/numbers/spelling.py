"""The spellings of numbers and signs that models use, in the one that the parsers read."""

from __future__ import annotations

import re

SIGNS = {
    "*": "xX×·⋅∙•∗✕✖⨯",
    "/": "÷⁄∕➗",
    "-": "−–—‐‑‒﹣",
    "+": "➕﹢",
    "(": "[{",
    ")": "]}",
}
# Full-width signs (U+FF01 to U+FF5E) are the ASCII ones, so far apart.
WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_ONE = str.maketrans({each: plain for plain, others in SIGNS.items() for each in others})
_PLAIN = WIDE | _ONE | {ord("。"): ".", ord("、"): ",", ord("\u3000"): " "}

# What LaTeX and Markdown put around or in place of signs; each is replaced at its own length, so
# that a place in the plain text is the same place in what was written.
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?[0-9.]+)\s*\}\s*\{\s*([0-9.]+)\s*\}")
_BOXED = re.compile(r"\\(?:boxed|text|mathrm|mathbf)\s*\{([^{}]*)\}")
_COMMANDS = {
    "div": "/", "times": "*", "cdot": "*", "ast": "*", "left": " ", "right": " ", "quad": " ",
    "qquad": " ", ",": " ", ";": " ", ":": " ", "!": " ", " ": " ", "(": " ", ")": " ", "[": " ",
    "]": " ", "$": " ",
}  # fmt: skip
_COMMAND = re.compile(r"\\([a-zA-Z]+|[,;:! ()\[\]$])")
_MARKS = re.compile(r"\*\*|[`$]")
_STOP = re.compile(r"[.\s]*$")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
NESTED = 8  # fractions within fractions that are read


def plain(text: str) -> str:
    """A line in ASCII signs, character for character, without marks around it or a full stop."""
    if text.isascii() and not _special(text):
        return text.translate(_ONE)
    if "\\" in text:
        text = _FRACTION.sub(lambda m: f"{m[1]}/{m[2]}".rjust(len(m[0])), text)
        text = _BOXED.sub(lambda m: _centred(m), text)
        text = _COMMAND.sub(_command, text)
    text = _MARKS.sub(lambda m: " " * len(m[0]), text).translate(_PLAIN)
    return _STOP.sub(lambda m: " " * len(m[0]), text, count=1)


def plain_answer(text: str) -> str:
    """An answer in ASCII signs; a fraction of LaTeX may hold expressions."""
    for _ in range(NESTED if "frac" in text else 0):
        text = _LATEX_FRACTION.sub(r"((\1)/(\2))", text)
    return plain(text)


def _special(text: str) -> bool:
    return any(sign in text for sign in ("\\", "$", "`", "**")) or text.rstrip().endswith(".")


def _centred(match: re.Match[str]) -> str:
    """What stands in the braces, where it stands."""
    before = match.start(1) - match.start()
    return " " * before + match[1] + " " * (match.end() - match.end(1))


def _command(match: re.Match[str]) -> str:
    sign = _COMMANDS.get(match[1])
    return match[0] if sign is None else sign.ljust(len(match[0]))

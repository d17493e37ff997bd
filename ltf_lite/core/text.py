"""Text that leaves: what a model, a server or a file wrote, made safe for whoever reads it.

Everything that is printed or shown goes through `signs`, `printable` or `escape`, once, where it
leaves.
"""

from __future__ import annotations

import html
import os
import re
import sys
from typing import Any

LONGEST = 400  # characters of a text that are shown on one line
PICTURES = 0x2400  # Unicode's signs for control characters begin here
DELETE = "\x7f"
UNKNOWN = "\ufffd"


def speak_any() -> None:
    """Let standard output and error take any text, whatever their encoding: `é` may be `\\xe9`.

    One that was closed before Python began takes text too, and shows it to nobody.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a notebook puts there has none
            stream.reconfigure(errors="backslashreplace")


def signs(text: str) -> str:
    """The text with a sign for each character that acts or hides and is not seen.

    Control characters, escape sequences, marks of direction and lone surrogates do nothing then.
    Line ends and tabs stay; other white space is a blank.
    """
    return text if text.isprintable() else "".join(map(_sign, text))


def _sign(letter: str) -> str:
    if letter.isprintable() or letter in "\n\t":
        return letter
    if letter.isspace():
        return " "
    if letter < " ":
        return chr(PICTURES + ord(letter))
    return "\u2421" if letter == DELETE else UNKNOWN


def printable(text: str, longest: int = LONGEST) -> str:
    """The text on one line of at most so many characters, with signs as `signs` has them."""
    cut = text[:longest] + "…" if len(text) > longest else text
    return signs(re.sub(r"\s", " ", cut))


def escape(text: Any) -> str:
    """The text for HTML: nothing in it is markup, and nothing in it acts unseen."""
    return html.escape(signs(str(text)))


def sound(text: str) -> str:
    """The text as UTF-8 can hold it: two halves of a character are joined, a lone one replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def in_questions(n: float | None) -> str:
    """A number of questions for a person, 1 at least; "" for never."""
    return "" if n is None else f"{max(1, round(n)):,}"

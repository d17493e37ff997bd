"""What verifiers share: a text in plain signs, without what people put around an answer."""

from __future__ import annotations

import unicodedata

from ltf_lite.tasks.answers import MAX_TEXT

KEPT = ("<super>", "<sub>", "<fraction>")  # `10²` is not `102`
# Longer ones first; each pair goes only where it stands around the whole.
PAIRS = (
    *(("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("**", "**"), ("__", "__")),
    *((each, each) for each in "$*_`\"'"),
    *(("“", "”"), ("„", "“"), ("‘", "’"), ("«", "»"), ("「", "」"), ("『", "』")),
)
STOPS = (".", "。")


def normal(text: str) -> str:
    """The text as NFKC has it, but for raised and lowered signs and fractions, which stay."""
    text = text[:MAX_TEXT]
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    return "".join(map(_one, text))[:MAX_TEXT]


def _one(letter: str) -> str:
    if unicodedata.decomposition(letter).startswith(KEPT):
        return letter
    return unicodedata.normalize("NFKC", letter)


def plain(text: str) -> str:
    """The text with single blanks, without marks around it and one full stop at its end."""
    text, stopped = " ".join(normal(text).split()), False
    for _ in range(12):
        before = text
        if not stopped and text.endswith(STOPS) and not text.endswith(".."):
            text, stopped = text[:-1].rstrip(), True
        text = _bare(text)
        if text == before:
            break
    return text


def _bare(text: str) -> str:
    """The text without the pair around it, if there is one that does not end within."""
    for left, right in PAIRS:
        inner = text[len(left) : -len(right)]
        around = text.startswith(left) and text.endswith(right) and len(text) > len(left + right)
        if around and left not in inner and right not in inner and inner.strip():
            return inner.strip()
    return text

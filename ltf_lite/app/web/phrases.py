"""Sentences that other rooms write in English, said in another language.

A verifier, a task or a table says what it says in English, wherever it is shown. A language of the
app knows these sentences by their English text, in which `{name}` stands for a fact and `{n}`,
`{n1}` for a number. A sentence that it does not know stays as it is, and so does what a model or a
person wrote: what stands in quotes, and the facts of AS_WRITTEN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import NamedTuple

AS_WRITTEN = frozenset(("step",))
# In quotes, as Python writes a text; the end may be cut off.
QUOTED = re.compile(r"""(?<!\w)(['"])(?:\\.|(?!\1)[^\\])*(?:\1(?!\w)|$)""", re.DOTALL)
STANDS = range(0xE000, 0xF800)  # signs of no meaning that stand for what is quoted
NUMBER = r"[-+±−]?\d[\d,.]*"
LETTERS = re.compile(r"[A-Za-z]{2}")
SENTENCES = re.compile(r"(?<=[.!?:]) (?=[A-Z`])")
LISTS = (("; ", "、"), (", ", "、"))
DEEPEST = 6  # facts within facts
LONGEST = 1000  # characters of a sentence: of a longer one, facts are searched for all too long
KEPT = 4096  # texts of which the translation is remembered


class Form(NamedTuple):
    """An English sentence with facts in it, and the same in the language."""

    english: re.Pattern[str]
    own: str


class Phrases:
    """Says an English text in a language, as far as its phrases are known."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._whole = {text: own for text, own in known.items() if not _facts(text)}
        forms = (text for text in known if _facts(text))
        longest = sorted(forms, key=lambda text: -len(_without_facts(text)))
        self._forms = [Form(_pattern(text), known[text]) for text in longest]
        # quotes that are ours
        self._own = {found[0] for text in known for found in QUOTED.finditer(text)}
        self._said = lru_cache(KEPT)(self._say)

    def __call__(self, text: str) -> str:
        if any(ord(sign) in STANDS for sign in text):
            return text
        quotes: dict[int, str] = {}

        def kept(found: re.Match[str]) -> str:
            if found[0] in self._own or len(quotes) == len(STANDS):
                return found[0]
            quotes[STANDS[len(quotes)]] = found[0]
            return chr(STANDS[len(quotes) - 1])

        return self._said(QUOTED.sub(kept, text), 0).translate(quotes)

    def _say(self, text: str, depth: int) -> str:
        if text in self._whole:
            return self._whole[text]
        if depth > DEEPEST or not LETTERS.search(text):
            return text
        sentences = SENTENCES.split(text)
        said = [self._said(each, depth + 1) for each in sentences] if len(sentences) > 1 else []
        if said and all(own != each for own, each in zip(said, sentences, strict=True)):
            return " ".join(said)
        for form in self._forms if len(text) <= LONGEST else ():
            if found := form.english.fullmatch(text):
                facts = {
                    name: fact if name in AS_WRITTEN else self._said(fact, depth + 1)
                    for name, fact in found.groupdict().items()
                }
                return form.own.format(**facts)
        return self._in_parts(text, depth + 1)

    def _in_parts(self, text: str, depth: int) -> str:
        """A text of several sentences, a list, or a title and what it is of."""
        sentences = SENTENCES.split(text)
        if len(sentences) > 1:
            return " ".join(self._said(each, depth) for each in sentences)
        title, colon, rest = text.partition(": ")
        if colon:
            return f"{self._said(title, depth)}: {self._said(rest, depth)}"
        for mark, own in LISTS:
            parts = text.split(mark)
            said = [self._said(each, depth) for each in parts]
            if len(parts) > 1 and said != parts:
                return own.join(said)
        return text


def _facts(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name]


def _without_facts(text: str) -> str:
    return "".join(literal for literal, _, _, _ in Formatter().parse(text))


def _pattern(text: str) -> re.Pattern[str]:
    """What a sentence with facts in it looks like."""
    parts, seen = [], set[str]()
    for literal, name, _, _ in Formatter().parse(text):
        parts.append(re.escape(literal))
        if name in seen:
            parts.append(f"(?P={name})")
        elif name:
            seen.add(name)
            first = "(?:(?!: ).)+?" if not "".join(parts) else ".+?"  # of no title: of a sentence
            number = re.fullmatch(r"n\d*", name)
            parts.append(f"(?P<{name}>{NUMBER if number else first})")
    return re.compile("".join(parts), re.DOTALL)

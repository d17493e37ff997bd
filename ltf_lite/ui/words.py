"""What the app says, in each language: one file of strings a language."""

from __future__ import annotations

from collections.abc import Callable

from ltf_lite.ui.english import WORDS as ENGLISH
from ltf_lite.ui.japanese import WORDS as JAPANESE

LANGUAGES = {"en": ENGLISH, "ja": JAPANESE}

Say = Callable[..., str]


def speaker(language: str) -> Say:
    """The function that says a string by its key, with facts put into it; KeyError for neither."""
    words = LANGUAGES[language]

    def say(key: str, **facts: object) -> str:
        return words[key].format(**facts) if facts else words[key]

    return say

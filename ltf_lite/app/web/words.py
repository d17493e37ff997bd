"""What the app says, in each language: one file of strings a language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltf_lite.app.web.english import WORDS as ENGLISH
from ltf_lite.app.web.japanese import WORDS as JAPANESE
from ltf_lite.app.web.japanese_plans import PLANS
from ltf_lite.app.web.japanese_report import REPORT
from ltf_lite.app.web.japanese_said import SAID
from ltf_lite.app.web.phrases import Phrases
from ltf_lite.tasks import Task

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "ja": JAPANESE}
NAMES = "name."  # before the names of failure kinds that a language knows
KINDS = {key.removeprefix(NAMES): text for key, text in JAPANESE.items() if key.startswith(NAMES)}
READABLE = {kind.replace("_", " "): text for kind, text in KINDS.items()}
# What is said outside of the app, where a language has it.
PHRASES: Mapping[str, Mapping[str, str]] = {"ja": {**READABLE, **KINDS, **SAID, **REPORT, **PLANS}}
ELSEWHERE = {language: Phrases(known) for language, known in PHRASES.items()}


@dataclass(frozen=True)
class Say:
    """Says a string of a language by its key, with facts put into it; KeyError for neither."""

    words: Mapping[str, str]
    language: str = "en"

    def __call__(self, key: str, **facts: object) -> str:
        return self.words[key].format(**facts) if facts else self.words[key]

    def known(self, key: str, other: str) -> str:
        """The string where the language has it; else what its own room calls the thing."""
        return self.words.get(key) or self.told(other)

    def told(self, text: str) -> str:
        """What another room says in English, in this language as far as it is known."""
        own = ELSEWHERE.get(self.language)
        return own(text) if own else text

    def kind(self, kind: str, task: Task) -> str:
        """The sentence of a failure kind: the language's, else the task's own."""
        return self.known(f"kind.{kind}", task.kinds.get(kind, kind))

    def name(self, kind: str) -> str:
        """The name of a failure kind."""
        return self.known(f"{NAMES}{kind}", kind.replace("_", " "))

    def picture(self, room: str) -> dict[str, str]:
        """The words of a room's pictures, and the names of the failure kinds that are known."""
        return {
            key[len(place) :]: text
            for place in (NAMES, f"{room}.")
            for key, text in self.words.items()
            if key.startswith(place)
        }


def speaker(language: str) -> Say:
    """Who says the strings of a language; KeyError if there is none."""
    return Say(LANGUAGES[language], language)

"""Verifiers: whether an answer is right, given the one that a problem brings. One file each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ltf_lite.core.plugins import Plugin, Registry

NOTHING: Mapping[str, Any] = MappingProxyType({})  # the data of a problem that has none
SHOWN = 200  # characters of an answer that a judgement shows


class Judgement(NamedTuple):
    """What a verifier says of an answer.

    `right` is None where it could not be decided: such a path is dropped and counted, and is no
    failure. `why` is a short sentence where the answer is not right; `read` is what was understood
    of it, for a person.
    """

    right: bool | None
    why: str = ""
    read: str = ""


class Verifier(Plugin):
    """Compares answers; its fields are its settings.

    It never raises on what a model wrote and never evaluates it in this process. A verifier has
    `judge`; one that compares two texts and has no more to say may have `right` alone.
    """

    name: str

    @classmethod
    def __pydantic_init_subclass__(cls, **settings: Any) -> None:
        if cls.judge is Verifier.judge and cls.right is Verifier.right:
            raise TypeError(f"the verifier {cls.__name__} has no method judge")

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        """Whether an answer says the same as the gold answer; `data` is the problem's."""
        right, read = bool(self.right(answer, gold)), " ".join(answer[:SHOWN].split())
        return Judgement(right, "" if right else "it is not the answer", read)

    def right(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> bool:
        """Whether the answer is right for sure."""
        return self.judge(answer, gold, data).right is True

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        """Why no answer can be compared with this gold answer, in a sentence; None if one can."""
        return None if gold.strip() else "the answer is empty"

    def key(self, answer: str) -> str:
        """A text that is equal for equal answers, to count votes."""
        return " ".join(answer.split()).casefold()

    def judge_all(self, triples: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Judgement]:
        """The judgement of each answer, gold answer and data."""
        return [self.judge(*each) for each in triples]


VERIFIERS: Registry[Verifier] = Registry("ltf_lite.tasks.verifiers", "verifier", Verifier)

__all__ = ["NOTHING", "SHOWN", "VERIFIERS", "Judgement", "Verifier"]

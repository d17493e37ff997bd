"""The verifier that compares texts: equal but for case, blanks and a full stop at the end."""

from __future__ import annotations

from typing import ClassVar, Literal

from ltf_lite.tasks.verifiers import Verifier


class Exact(Verifier):
    """Equal texts; `case` says whether capital letters matter."""

    title: ClassVar[str] = "the same text"

    name: Literal["exact"] = "exact"
    case: bool = False

    def right(self, answer: str, gold: str) -> bool:
        return self._normal(answer) == self._normal(gold)

    def _normal(self, text: str) -> str:
        text = " ".join(text.split()).removesuffix(".").rstrip()
        return text if self.case else text.casefold()


PLUGIN = Exact

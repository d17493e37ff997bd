"""The verifier that compares texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from ltf_lite.tasks.verifiers import NOTHING, SHOWN, Judgement, Verifier
from ltf_lite.tasks.verifiers.plain import plain


class Exact(Verifier):
    """Equal texts; `case` says whether capital letters matter.

    Not told apart: blanks and line ends, forms of the same letter (NFKC, but `10²` is not `102`),
    one full stop at the end, and quotes, emphasis (`**`, `_`, backticks) or `$` around the whole.
    Everything else is. A gold answer that is empty then is refused.
    """

    title: ClassVar[str] = "the same text"

    name: Literal["exact"] = "exact"
    case: bool = False

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        said = plain(answer)
        if self._cased(said) == self._cased(plain(gold)):
            return Judgement(True, read=said[:SHOWN])
        return Judgement(False, "it is another text", said[:SHOWN])

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        return None if plain(gold) else "the answer is empty"

    def key(self, answer: str) -> str:
        return self._cased(plain(answer))

    def _cased(self, text: str) -> str:
        return text if self.case else text.casefold()


PLUGIN = Exact

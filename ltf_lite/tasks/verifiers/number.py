"""The verifier that compares numbers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal

from pydantic import Field

from ltf_lite.tasks.verifiers import NOTHING, Judgement, Verifier
from ltf_lite.tasks.verifiers.plain import plain
from ltf_lite.tasks.verifiers.quantity import Quantity, quantity


class Number(Verifier):
    """Equal numbers, exactly, or within `tolerance` or `relative` times the gold answer.

    Read are whole numbers (`-3`, `1,234,567`), decimals, fractions `3/4`, mixed numbers `1 1/2`,
    `\\frac{3}{4}`, powers of ten (`1.5e3`, `1.5 × 10^3`), money (`$5`), `12%`, words up to 199,
    `million` and the like, `x = 5`, and a unit behind the number. A unit counts only where both
    have one; per cent counts always: `12%` is neither 12 nor 0.12. Refused are sums and products
    (`10-5`, `9**9`), several numbers, groups of another size, exponents above 400, nan and inf.
    """

    title: ClassVar[str] = "the same number"

    name: Literal["number"] = "number"
    tolerance: float = Field(0.0, ge=0)
    relative: float = Field(0.0, ge=0)

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        meant = quantity(gold)
        if meant is None:
            return Judgement(None, f"the gold answer {gold[:40]!r} is no number")
        said = quantity(answer)
        if said is None:
            return Judgement(False, "it is not one number")
        return Judgement(not (why := self._wrong(said, meant)), why, said.shown())

    def _wrong(self, said: Quantity, meant: Quantity) -> str:
        if said.percent != meant.percent:
            return "only one of the two is per cent"
        if said.unit and meant.unit and said.unit != meant.unit:
            return "it has another unit"
        off = abs(said.value - meant.value)
        near = max(Fraction(self.tolerance), Fraction(self.relative) * abs(meant.value))
        return "" if off <= near else "it is another number"

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        return None if quantity(gold) else f"the answer {gold[:40]!r} is not one number"

    def key(self, answer: str) -> str:
        said = quantity(answer)
        if said is None:
            return plain(answer).casefold()
        return f"{said.value}{'%' if said.percent else ''}"


PLUGIN = Number

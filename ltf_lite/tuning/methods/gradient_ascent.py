"""Gradient ascent on the failures, descent on the successes (Maini et al., arXiv 2401.06121).

It has no lower bound: the watchdog ends a run that goes down it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ltf_lite.tuning.settings import WEIGHED, Weighted

if TYPE_CHECKING:
    from torch import Tensor

    from ltf_lite.tuning.parts import Parts


class GradientAscent(Weighted):
    """log p, mean over the tokens to forget."""

    title: ClassVar[str] = "gradient ascent"
    sentence: ClassVar[str] = (
        "Gradient ascent on failures, descent on successes (Maini et al., arXiv 2401.06121): "
        f"{WEIGHED}"
    )
    by_token: ClassVar[bool] = True

    method: Literal["gradient_ascent"] = "gradient_ascent"

    def forgetting(self, parts: Parts) -> Tensor:
        return -parts.bad.nll.sum() / max(1, parts.totals.forget)


PLUGIN = GradientAscent

"""Negative preference optimization (Zhang et al., arXiv 2404.05868)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ltf_lite.tuning.settings import WEIGHED, Weighted

if TYPE_CHECKING:
    from torch import Tensor

    from ltf_lite.tuning.parts import Parts


class NPO(Weighted):
    """-(2 / beta) log sigmoid(-beta log(p / p_base)), mean over failures.

    p is the probability of all of a failure's marked tokens, p_base the same under the base.
    """

    title: ClassVar[str] = "negative preference optimization"
    sentence: ClassVar[str] = (
        f"Negative preference optimization (Zhang et al., arXiv 2404.05868): {WEIGHED}"
    )
    reference: ClassVar[bool] = True

    method: Literal["npo"] = "npo"
    beta: float = Field(0.1, gt=0)

    def forgetting(self, parts: Parts) -> Tensor:
        from torch.nn.functional import softplus

        assert parts.reference is not None
        ratio = parts.reference - parts.bad.sums()
        return 2 / self.beta * softplus(self.beta * ratio).sum() / max(1, parts.totals.failures)


PLUGIN = NPO

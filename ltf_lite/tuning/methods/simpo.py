"""SimPO (Meng et al., arXiv 2405.14734): a success should be likelier than a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ltf_lite.tuning.settings import Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from ltf_lite.tuning.parts import Parts


class SimPO(Tuning):
    """-log sigmoid(beta (mean log p of success - mean log p of failure) - gamma), over pairs."""

    title: ClassVar[str] = "SimPO"
    sentence: ClassVar[str] = (
        "SimPO (Meng et al., arXiv 2405.14734) on pairs of a success and a failure of the same "
        "problem"
    )
    pairs: ClassVar[bool] = True

    method: Literal["simpo"] = "simpo"
    beta: float = Field(2.0, gt=0)
    gamma: float = Field(1.0, ge=0)

    def forgetting(self, parts: Parts) -> Tensor:
        from torch.nn.functional import softplus

        lead = parts.bad.means() - parts.good.means()
        margin = self.beta * lead - self.gamma
        return softplus(-margin).sum() / max(1, parts.totals.failures)

    def weights(self) -> tuple[float, float]:
        return 0.0, 1.0

    def failures(self, successes: int) -> int:
        return successes


PLUGIN = SimPO

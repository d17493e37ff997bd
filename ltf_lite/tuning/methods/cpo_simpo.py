"""CPO-SimPO: SimPO and the success's NLL, as CPO adds it (Xu et al., arXiv 2401.08417)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.tuning.methods.simpo import SimPO


class CPOSimPO(SimPO):
    """SimPO + nll_weight · NLL of the success."""

    title: ClassVar[str] = "CPO-SimPO"
    sentence: ClassVar[str] = (
        "CPO-SimPO (Xu et al., arXiv 2401.08417; Meng et al., arXiv 2405.14734) on pairs of a "
        "success and a failure of the same problem"
    )

    method: Literal["cpo_simpo"] = "cpo_simpo"  # type: ignore[assignment]
    nll_weight: float = Field(1.0, ge=0)

    def weights(self) -> tuple[float, float]:
        return self.nll_weight, 1.0


PLUGIN = CPOSimPO

"""Supervised fine-tuning: successes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ltf_lite.tuning.settings import Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from ltf_lite.tuning.parts import Parts


class SFT(Tuning):
    """The NLL of successes, and nothing else."""

    title: ClassVar[str] = "supervised fine-tuning"
    sentence: ClassVar[str] = "Supervised fine-tuning on successes alone"

    method: Literal["sft"] = "sft"

    def forgetting(self, parts: Parts) -> Tensor:
        return parts.good.nll.new_zeros(())

    def weights(self) -> tuple[float, float]:
        return 1.0, 0.0


PLUGIN = SFT

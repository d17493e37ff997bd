"""Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ltf_lite.tuning.settings import WEIGHED, Weighted

if TYPE_CHECKING:
    from torch import Tensor

    from ltf_lite.tuning.parts import Parts


class UFT(Weighted):
    """-log(1 - p), mean over the tokens to forget."""

    title: ClassVar[str] = "unlikelihood fine-tuning"
    sentence: ClassVar[str] = f"Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364): {WEIGHED}"
    by_token: ClassVar[bool] = True

    method: Literal["uft"] = "uft"

    def forgetting(self, parts: Parts) -> Tensor:
        from ltf_lite.tuning.losses import unlikelihood  # torch, which a preset does not need

        return unlikelihood(parts.bad.nll).sum() / max(1, parts.totals.forget)


PLUGIN = UFT

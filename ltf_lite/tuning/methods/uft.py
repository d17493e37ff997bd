"""Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364)."""

from __future__ import annotations

from torch import Tensor

from ltf_lite.tuning.losses import unlikelihood
from ltf_lite.tuning.methods.base import Method, Parts, by_alpha
from ltf_lite.tuning.settings import TuneSettings


def forgetting(parts: Parts, settings: TuneSettings) -> Tensor:
    """-log(1 - p), mean over the tokens to forget."""
    return unlikelihood(parts.bad.nll).sum() / max(1, parts.totals.forget)


METHOD = Method(forgetting, by_alpha)

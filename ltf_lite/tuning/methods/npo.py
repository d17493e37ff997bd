"""Negative preference optimization (Zhang et al., arXiv 2404.05868)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from ltf_lite.tuning.methods.base import Method, Parts, by_alpha
from ltf_lite.tuning.settings import TuneSettings

BETA = 0.1


def forgetting(parts: Parts, settings: TuneSettings) -> Tensor:
    """-(2 / beta) log sigmoid(-beta log(p / p_base)), mean over failures.

    p is the probability of all of a failure's marked tokens, p_base the same under the base.
    """
    assert parts.reference is not None
    beta = settings.beta or BETA
    ratio = parts.reference - parts.bad.sums()
    return 2 / beta * softplus(beta * ratio).sum() / max(1, parts.totals.failures)


METHOD = Method(forgetting, by_alpha, reference=True)

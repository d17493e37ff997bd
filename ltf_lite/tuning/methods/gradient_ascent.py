"""Gradient ascent on the failures, descent on the successes (Maini et al., arXiv 2401.06121).

It has no lower bound: the watchdog ends a run that goes down it.
"""

from __future__ import annotations

from torch import Tensor

from ltf_lite.tuning.methods.base import Method, Parts, by_alpha
from ltf_lite.tuning.settings import TuneSettings


def forgetting(parts: Parts, settings: TuneSettings) -> Tensor:
    """log p, mean over the tokens to forget."""
    return -parts.bad.nll.sum() / max(1, parts.totals.forget)


METHOD = Method(forgetting, by_alpha)

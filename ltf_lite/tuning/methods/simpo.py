"""SimPO (Meng et al., arXiv 2405.14734): a success should be likelier than a failure."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from ltf_lite.tuning.methods.base import Method, Parts
from ltf_lite.tuning.settings import TuneSettings

BETA = 2.0


def forgetting(parts: Parts, settings: TuneSettings) -> Tensor:
    """-log sigmoid(beta (mean log p of success - mean log p of failure) - gamma), over pairs."""
    lead = parts.bad.means() - parts.good.means()
    margin = (settings.beta or BETA) * lead - settings.gamma
    return softplus(-margin).sum() / max(1, parts.totals.failures)


METHOD = Method(forgetting, lambda settings: (0.0, 1.0), pairs=True)

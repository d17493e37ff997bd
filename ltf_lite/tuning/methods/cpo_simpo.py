"""CPO-SimPO: SimPO and the success's NLL, as CPO adds it (Xu et al., arXiv 2401.08417)."""

from __future__ import annotations

from ltf_lite.tuning.methods.base import Method
from ltf_lite.tuning.methods.simpo import forgetting

METHOD = Method(forgetting, lambda settings: (settings.nll_weight, 1.0), pairs=True)

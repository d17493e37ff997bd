"""Methods: what tuning makes smaller. A new one is a file here and a line in `METHODS`."""

from __future__ import annotations

from ltf_lite.tuning.methods import cpo_simpo, gradient_ascent, npo, sft, simpo, uft
from ltf_lite.tuning.methods.base import Method, Parts, Side, Totals, learning

METHODS: dict[str, Method] = {
    "sft": sft.METHOD,
    "uft": uft.METHOD,
    "gradient_ascent": gradient_ascent.METHOD,
    "npo": npo.METHOD,
    "simpo": simpo.METHOD,
    "cpo_simpo": cpo_simpo.METHOD,
}

__all__ = ["METHODS", "Method", "Parts", "Side", "Totals", "learning"]

"""Methods: what tuning makes smaller. A new one is a file here and a line in `METHODS`."""

from __future__ import annotations

from ltf_lite.tuning.methods import cpo_simpo, gradient_ascent, npo, sft, simpo, uft
from ltf_lite.tuning.methods.base import Method, Parts, Side, Totals, learning
from ltf_lite.tuning.settings import TuningError

METHODS: dict[str, Method] = {
    "sft": sft.METHOD,
    "uft": uft.METHOD,
    "gradient_ascent": gradient_ascent.METHOD,
    "npo": npo.METHOD,
    "simpo": simpo.METHOD,
    "cpo_simpo": cpo_simpo.METHOD,
}


def get_method(name: str) -> Method:
    """The method of that name; raises TuningError."""
    if name not in METHODS:
        raise TuningError(f"there is no method {name!r} (there are {', '.join(METHODS)})")
    return METHODS[name]


__all__ = ["METHODS", "Method", "Parts", "Side", "Totals", "get_method", "learning"]

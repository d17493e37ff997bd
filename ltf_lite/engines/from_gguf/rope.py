"""How a GGUF file scales its rotary frequencies, in the words of a config.json."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

CLOSE = 1e-5  # relative; the factors are in 32 bits
LOW, HIGH = 1.0, 4.0  # of Llama 3, where the factors leave them open


def llama3(factors: np.ndarray, theta: float) -> dict[str, Any] | None:
    """The scaling of Llama 3 with these factors, (head_dim / 2,); None where it gives no such ones.

    Long waves are slowed by `factor`, short ones not, and in between the share of both grows in a
    straight line with 1 / wavelength. Two points of the line tell it. The thresholds and the
    original context are only known up to a common scale, which changes nothing.
    """
    factors = factors.astype(np.float64)
    factor = _tidy(float(factors.max()))
    if not np.isfinite(factors).all() or factors.min() < 1 - CLOSE or factor <= 1:
        return None
    for slope, cut in _lines(factors, theta, factor):
        low, high = LOW, _tidy(LOW * (1 + 1 / cut))
        exact = slope * (high - low)
        for original in (round(exact), math.floor(exact), math.ceil(exact)):
            told = {
                "rope_type": "llama3",
                "rope_theta": theta,
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }
            if original > 0 and np.allclose(llama3_factors(told, 2 * len(factors)), factors, CLOSE):
                return told
    return None


def llama3_factors(rope: dict[str, Any], width: int) -> np.ndarray:
    """What each frequency is divided by, (width / 2,), under a config's `rope_parameters`."""
    turns = rope["original_max_position_embeddings"] / _waves(rope["rope_theta"], width)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / rope["factor"] + smooth)


def _waves(theta: float, width: int) -> np.ndarray:
    """Wavelengths, tokens."""
    return 2 * math.pi * theta ** (np.arange(0, width, 2) / width)


def _lines(factors: np.ndarray, theta: float, factor: float) -> Iterator[tuple[float, float]]:
    """(a, b) of lines a / wavelength - b that may give the share of what is not slowed."""
    waves = _waves(theta, 2 * len(factors))
    share = (1 / factors - 1 / factor) / (1 - 1 / factor)
    between = np.flatnonzero((share > CLOSE) & (share < 1 - CLOSE))
    usual = LOW / (HIGH - LOW)
    if len(between):
        yield float((share[between[0]] + usual) * waves[between[0]]), usual
    else:  # any context that puts the jump between the same two waves
        fast, slow = waves[share > 0.5], waves[share <= 0.5]
        if len(fast) and len(slow):
            yield float(HIGH * fast[-1]) / (HIGH - LOW), usual
            yield float(LOW * slow[0]) / (HIGH - LOW), usual
    if len(between) > 1:
        a, b = between[0], between[-1]
        slope = float((share[a] - share[b]) / (1 / waves[a] - 1 / waves[b]))
        cut = float(slope / waves[a] - share[a])
        if slope > 0 and cut > 0:
            yield slope, cut


def _tidy(value: float) -> float:
    """The number that was meant by one that 32 bits rounded."""
    near = float(f"{value:.5g}")
    return near if math.isclose(near, value, rel_tol=CLOSE) else value

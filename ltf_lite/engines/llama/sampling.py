"""Choosing the next token of many sequences at once, from their logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from ltf_lite.engines.base import Sampling
from ltf_lite.engines.llama.grammar import Guide, masked


def log_p(logits: np.ndarray, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
    """Log p of one token a row of logits (rows, vocabulary), nats, (rows,) float64."""
    top = logits.max(1, keepdims=True)
    return _log_p(logits, top, np.exp(logits - top), tokens)


def choose(
    logits: np.ndarray,
    sampling: Sampling,
    noise: Sequence[Generator],
    guides: Sequence[Guide] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """A token for each row of logits (rows, vocabulary), and its log p at temperature 1.

    The likeliest token, or one drawn from the nucleus with the row's own noise; both (rows,). Each
    row's guide, where there are some, leaves out what may not come next; log p is of all tokens.
    """
    greedy = sampling.temperature == 0
    free = masked(logits, guides, greedy) if guides else logits
    top = free.max(1, keepdims=True)
    odds = np.exp(free - top)
    if greedy:
        tokens = free.argmax(1)
    else:
        warm = sampling.temperature == 1
        weights = odds if warm else np.exp((free - top) / sampling.temperature)
        if sampling.top_p < 1:
            weights = np.stack([_nucleus(row, sampling.top_p) for row in weights])
        tokens = _draw(weights, np.array([own.random() for own in noise]))
    return tokens, log_p(logits, tokens) if guides else _log_p(logits, top, odds, tokens)


def _log_p(logits: np.ndarray, top: np.ndarray, odds: np.ndarray, tokens) -> np.ndarray:
    picked = logits[np.arange(len(logits)), tokens] - top[:, 0]
    return picked.astype(np.float64) - np.log(odds.sum(1, dtype=np.float64))


def _nucleus(weights: np.ndarray, top_p: float) -> np.ndarray:
    """Weights (vocabulary,) with all but the likeliest tokens that make up top_p set to zero."""
    total = weights.sum(dtype=np.float64)
    # what is left out here has less than 1 - top_p in all, so no token of the nucleus is lost
    likely = np.flatnonzero(weights >= total * (1 - top_p) / len(weights))
    order = likely[np.argsort(-weights[likely], kind="stable")]
    before = np.cumsum(weights[order], dtype=np.float64) - weights[order]
    kept = order[before <= top_p * total]
    rest = np.zeros_like(weights)
    rest[kept] = weights[kept]
    return rest


def _draw(weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """An index a row of weights (rows, vocabulary), where `at` (rows,) in [0, 1) falls."""
    mass = np.cumsum(weights, axis=1, dtype=np.float64)
    total = mass[:, -1]
    point = np.minimum(at * total, np.nextafter(total, 0))
    return (mass > point[:, None]).argmax(1)

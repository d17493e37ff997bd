"""Choosing the next token of many sequences at once, from their logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from ltf_lite.engines.base import Sampling
from ltf_lite.engines.llama.grammar import Guide


def log_p(logits: np.ndarray, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
    """Log p of one token a row of logits (rows, vocabulary), nats, (rows,) float64."""
    top = logits.max(1, keepdims=True)
    return _log_p(logits, top, np.exp(logits - top), tokens)


def choose(
    logits: np.ndarray, sampling: Sampling, noise: Sequence[Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """A token for each row of logits (rows, vocabulary), and its log p at temperature 1.

    The likeliest token, or one drawn from the nucleus with the row's own noise; both (rows,).
    """
    top = logits.max(1, keepdims=True)
    odds = np.exp(logits - top)
    if sampling.temperature == 0:
        tokens = logits.argmax(1)
    else:
        warm = sampling.temperature == 1
        weights = odds if warm else np.exp((logits - top) / sampling.temperature)
        if sampling.top_p < 1:
            weights = np.stack([_nucleus(row, sampling.top_p) for row in weights])
        tokens = _draw(weights, np.array([own.random() for own in noise]))
    return tokens, _log_p(logits, top, odds, tokens)


def held(
    logits: np.ndarray, sampling: Sampling, noise: Sequence[Generator], guides: Sequence[Guide]
) -> tuple[np.ndarray, np.ndarray]:
    """As `choose`, each row among the tokens that its guide lets in; log p is that of all tokens.

    A token that was chosen among all and is let in is kept; else one is chosen again, among those
    that are. Each is then as likely as if it were chosen among those at once, and llama.cpp need
    not look at every token. A nucleus is not the same among all, and is found among those at once.
    """
    again = list(range(len(logits)))
    tokens, gained = np.zeros(len(logits), np.int64), np.zeros(len(logits))
    if sampling.temperature == 0 or sampling.top_p == 1:
        tokens, gained = choose(logits, sampling, noise)
        again = [k for k, own in enumerate(guides) if not own.allows(int(tokens[k]))]
    if again:
        rows = logits[again]
        free = np.full_like(rows, -np.inf)
        for k, row, left in zip(again, rows, free, strict=True):
            kept = guides[k].allowed()
            left[kept] = row[kept]
        tokens[again], _ = choose(free, sampling, [noise[k] for k in again])
        gained[again] = log_p(rows, tokens[again])
    return tokens, gained


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

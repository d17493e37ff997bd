"""How the next token is chosen, and how a row knows that it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ltf_lite.engines.base import Completion, Sampling, cut

LIKELIEST = 64  # tokens that are sorted first; a row whose nucleus is wider is sorted whole


class Sample(NamedTuple):
    """A completion to be generated: its prompt's ids and seed, its place there, its tokens."""

    prompt: list[int]
    seed: int
    place: int
    tokens: list[int]


def uniforms(rows: Sequence[Sample], sampling: Sampling, device) -> torch.Tensor | None:
    """The noise of samples, (rows, max_tokens): each row's own, whatever is beside it.

    None where nothing is drawn.
    """
    if not sampling.temperature:
        return None
    noise = [np.random.default_rng((row.seed, row.place)) for row in rows]
    drawn = np.stack([own.random(sampling.max_tokens) for own in noise])
    return torch.from_numpy(drawn.astype(np.float32)).to(device)


def log_p(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probability of a token in each row of logits (rows, vocab), nats: (rows,), float64."""
    return logits.gather(1, tokens[:, None])[:, 0].double() - logits.logsumexp(1)


def choose(logits: torch.Tensor, sampling: Sampling, noise: torch.Tensor | None) -> torch.Tensor:
    """The next token of each row of logits (rows, vocab): the likeliest, or one of the nucleus.

    noise (rows,), in [0, 1], picks it from the cumulated probabilities.
    """
    if noise is None:
        return logits.max(1).indices
    probs = (logits / sampling.temperature).softmax(1)
    if sampling.top_p < 1:
        probs = probs.masked_fill(probs < least_likely(probs, sampling.top_p), 0)
    upto = probs.cumsum(1)
    chosen = torch.searchsorted(upto, noise[:, None] * upto[:, -1:], right=True)
    chosen = chosen.clamp(max=probs.shape[1] - 1)
    # Rounding at the very end of the sum may point at a token of probability 0.
    impossible = probs.gather(1, chosen) == 0
    return torch.where(impossible, probs.max(1, keepdim=True).indices, chosen)[:, 0]


def least_likely(probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """The probability of the last token of each row's nucleus, (rows, 1); equal ones belong to it.

    Sorting a whole vocabulary takes longer than the model; the likeliest tokens nearly always do.
    """

    def last(ranked: torch.Tensor) -> torch.Tensor:
        before = ranked.cumsum(1) - ranked
        return ranked.masked_fill(before > top_p, torch.inf).amin(1, keepdim=True)

    ranked = probs.topk(min(LIKELIEST, probs.shape[1]), 1).values
    found, wide = last(ranked), ranked.sum(1) < top_p
    if wide.any():
        found[wide] = last(probs[wide].sort(1, descending=True).values)
    return found


class Ending:
    """What ends a row: an end token, or a stop string in its text.

    A stop string is complete with the token that brings the last byte of its last character, so
    text is decoded only at tokens that hold that character or a part of a split one.
    """

    def __init__(self, tokenizer, end_tokens: Sequence[int]) -> None:
        self.tokenizer, self.end_tokens = tokenizer, frozenset(end_tokens)
        self._pieces: dict[int, str] = {}

    def reached(self, tokens: list[int], stop: Sequence[str]) -> bool:
        """Whether the last of these tokens ends the row."""
        if tokens[-1] in self.end_tokens:
            return True
        piece = self._piece(tokens[-1]) if stop else ""
        if not any(s and (s[-1] in piece or "\ufffd" in piece) for s in stop):
            return False
        reach = max(len(s.encode()) for s in stop) + 4  # a token brings a byte at least
        return bool(cut(self.tokenizer.decode(tokens[-reach:]), stop)[1])

    def _piece(self, token: int) -> str:
        """A token's text, twice: some tokenizers drop the blank before the first."""
        if token not in self._pieces:
            self._pieces[token] = self.tokenizer.decode([token, token])
        return self._pieces[token]

    def completion(self, tokens: list[int], logprob: float, stop: Sequence[str]) -> Completion:
        """The completion that these tokens, the end token included, are."""
        ended = bool(tokens) and tokens[-1] in self.end_tokens
        text, beyond = cut(self.tokenizer.decode(tokens[:-1] if ended else tokens), stop)
        return Completion(text, len(tokens), logprob, ended or bool(beyond), beyond)

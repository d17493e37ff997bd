"""Rows of a model that padding or a cache of ours would disturb: each goes the way it would alone.

Rows of one length go through the model together, without padding, and what the model gives back of
its state is handed to it with the next token. A model without such a state reads everything again.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ltf_lite.engines.torch.sampling import log_p

STATES = ("past_key_values", "cache_params", "state", "mems")  # what models call it


@dataclass(eq=False)
class _Group:
    """Rows of one length: `ids` (rows, tokens so far), the last logits (rows, vocab), the state."""

    ids: torch.Tensor
    logits: Any = None
    state: dict[str, Any] = field(default_factory=dict)


class Apart:
    """The rows of some prompts, in their order."""

    def __init__(self, model, prompts: Sequence[Sequence[int]]) -> None:
        self.model = model
        # a recurrent first layer does not tell how many tokens there were
        self._placed = "position_ids" in inspect.signature(model.forward).parameters
        lengths: dict[int, list[int]] = {}
        for k, prompt in enumerate(prompts):
            lengths.setdefault(len(prompt), []).append(k)
        self._rows: list[tuple[_Group, int]] = [None] * len(prompts)  # type: ignore[list-item]
        for own in lengths.values():
            group = _Group(torch.tensor([list(prompts[k]) for k in own], device=model.device))
            for at, k in enumerate(own):
                self._rows[k] = group, at
            self._go(group, group.ids)

    def logits(self) -> torch.Tensor:
        """What follows each row: (rows, vocab), float."""
        return torch.stack([group.logits[at] for group, at in self._rows]).float()

    def extend(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row and give the logits after it: (rows, vocab), float."""
        new = {group: group.ids[:, -1:].clone() for group, _ in self._rows}
        for (group, at), token in zip(self._rows, tokens, strict=True):
            new[group][at, 0] = token
        for group, one in new.items():
            group.ids = torch.cat([group.ids, one], 1)
            self._go(group, one if group.state else group.ids)
        return self.logits()

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order."""
        self._rows = [self._rows[k] for k in rows]

    def _go(self, group: _Group, ids: torch.Tensor) -> None:
        rows, length = group.ids.shape
        places = torch.arange(length - ids.shape[1], length, device=ids.device)
        told = {"position_ids": places.expand(rows, -1)} if self._placed else {}
        cached = bool(group.state) or group.logits is None
        found = self.model(ids, use_cache=cached, **told, **group.state)
        group.logits = found.logits[:, -1]
        group.state = {name: found[name] for name in STATES if found.get(name) is not None}


def whole_score(model, prompt: Sequence[int], tail: Sequence[int]) -> float:
    """Log p of a tail after a prompt in one pass over both, nats."""
    ids = torch.tensor([[*prompt, *tail]], device=model.device)
    logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    return float(log_p(logits, ids[0, len(prompt) :]).sum())

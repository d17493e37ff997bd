"""Rows of tokens going through the model together, each with its own keys and values."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, LinearAttentionCacheLayerMixin

from ltf_lite.engines.torch.header import KeysAndValues, attending

ROOM = 32  # tokens of free space that a cache grows by


class RoomyLayer(DynamicLayer):
    """A cache layer with free space, where a token is written in place.

    Its parent copies all keys and values for each new token, which was a third of the time of
    short answers. `keys` and `values` are the used part of `stores`: both (rows, key heads,
    tokens + free, size).
    """

    stores: tuple[torch.Tensor, ...] = ()

    def update(self, key_states, value_states, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used, new = self.get_seq_length(), (key_states, value_states)
        end = used + key_states.shape[2]
        if not self.stores or end > self.stores[0].shape[2]:
            before, space = self.stores, end - used + ROOM
            self.stores = tuple(
                one.new_empty(*one.shape[:2], used + space, one.shape[3]) for one in new
            )
            for store, old in zip(self.stores, before, strict=False):
                store[:, :, :used] = old[:, :, :used]
        for store, one in zip(self.stores, new, strict=True):
            store[:, :, used:end] = one
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        used, before = self.get_seq_length(), self.stores
        self.stores = tuple(one.new_empty(len(indices), *one.shape[1:]) for one in before)
        for store, old in zip(self.stores, before, strict=True):
            store[:, :, :used] = old[:, :, :used][indices]  # the free space holds nothing to copy
        self._show(used)

    def _show(self, used: int) -> None:
        self.keys, self.values = (store[:, :, :used] for store in self.stores)


def new_cache(model) -> Any:
    """An empty cache of the model's kind, roomy in its ordinary layers."""
    cache = DynamicCache(config=model.config)
    cache.layers = [RoomyLayer() if type(one) is DynamicLayer else one for one in cache.layers]
    return cache


def _select(layer: Any, index: Any) -> None:
    """Keep these rows of a cache's layer; one may hold keys and values, a recurrent state, both."""
    if isinstance(layer, LinearAttentionCacheLayerMixin):
        LinearAttentionCacheLayerMixin.reorder_cache(layer, index)
    if isinstance(layer, DynamicLayer):
        layer.batch_select_indices(index)


def pack(
    rows: Sequence[Sequence[int]], pad: int, device, left: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded ids and mask (True is a token), both (rows, longest)."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for k, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[k, place] = torch.tensor(row, dtype=torch.long)
        mask[k, place] = True
    return ids.to(device), mask.to(device)


def distinct(rows: Sequence[Sequence[int]]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The different rows in order of appearance, and for each row which of them it is."""
    places: dict[tuple[int, ...], int] = {}
    which = [places.setdefault(tuple(row), len(places)) for row in rows]
    return list(places), which


class Rows:
    """The cache of some rows, and the header that all of them follow (`None`: there is none).

    `ordinary` says that `attend` may stand in for the model's attention.
    """

    def __init__(self, model, header: KeysAndValues | None, ordinary: bool) -> None:
        self.model, self.header, self.ordinary = model, header, ordinary
        self.cache = new_cache(model)
        wanted = inspect.signature(model.forward).parameters
        self.cache_name = "cache_params" if "cache_params" in wanted else "past_key_values"
        self.mask: torch.Tensor | None = None

    def feed(self, ids: torch.Tensor, mask: torch.Tensor, keep: int) -> torch.Tensor:
        """Append tokens (rows, new) and give the logits of the last `keep`: (rows, keep, vocab)."""
        self.mask = mask if self.mask is None else torch.cat([self.mask, mask], 1)
        new, own = mask.shape[1], self.mask.shape[1]
        positions = (self.mask.cumsum(1)[:, -new:] - 1).clamp(min=0)
        # Without a header `attend` is the faster one for a single token, and wants more memory for
        # a whole prompt.
        if self.header is None and (new > 1 or not self.ordinary):
            return self._forward(ids, positions, keep, attention_mask=self.mask.long())
        if self.header is not None:
            positions += self.header[0][0].shape[1]
        causal = torch.ones(new, own, dtype=torch.bool, device=ids.device).tril(own - new)
        seen = (self.mask[:, None] & causal)[:, None]
        with attending(self.model):
            return self._forward(ids, positions, keep, attention_mask=seen, header=self.header)

    def _forward(self, ids, positions, keep: int, **seen) -> torch.Tensor:
        # By index, which copies: of a slice, which is not contiguous, a CPU in 16 bits multiplies
        # every row by a copy of the head's weights, gigabytes at once.
        last = torch.arange(ids.shape[1] - keep, ids.shape[1], device=ids.device)
        return self.model(
            ids,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=last if 0 < keep < ids.shape[1] else keep,
            **{self.cache_name: self.cache},
            **seen,
        ).logits

    def extend(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row and give the logits after it: (rows, vocab), float."""
        ids = tokens[:, None]
        return self.feed(ids, torch.ones_like(ids, dtype=torch.bool), 1)[:, 0].float()

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be taken more than once."""
        assert self.mask is not None
        if list(rows) == list(range(len(self.mask))):
            return
        index = torch.tensor(rows, device=self.mask.device)
        for layer in self.cache.layers:
            _select(layer, index)
        self.mask = self.mask[index]

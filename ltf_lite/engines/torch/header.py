"""Attention of many rows to one header that they share and that is computed once.

Prompts that open with the same few-shot header need its keys and values once, not once a row. The
rows keep only their own tokens in their cache. In attention the queries of all rows are folded
into one matrix against the header's keys, each row meets its own keys as usual, and one softmax
runs over both, so the result is that of ordinary attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer

from ltf_lite.engines.base import common

KEPT = 4  # headers
SAVED = 8192  # tokens that a group need not compute: a pass of its own for each step costs less
MIN_SHARED = 32  # tokens; sharing fewer saves less than the second forward pass costs
NAME = "ltf_attend"  # among transformers' attention functions
PLAIN = {"llama", "mistral", "qwen2", "qwen3"}  # model types whose attention is the textbook's
MOVING = {"dynamic", "longrope"}  # rotary scalings that change with the length of the sequence

KeysAndValues = list[tuple[torch.Tensor, torch.Tensor]]  # a layer: both (key heads, tokens, size)


def attend(
    module,
    query,
    key,
    value,
    attention_mask,
    scaling: float,
    header: KeysAndValues | None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over a shared header, if there is one, and each row's own keys.

    query (rows, heads, new, size); key and value (rows, key heads, own, size); attention_mask
    (rows, 1, new or 1, own), True where a query sees a key: the header is seen by all. Gives
    (rows, new, heads, size).
    """
    rows, heads, new, size = query.shape
    groups, own = key.shape[1], key.shape[2]
    query = query.reshape(rows, groups, -1, size)
    near = (query @ key.transpose(2, 3)).float() * scaling
    near = near.view(rows, groups, -1, new, own).masked_fill_(~attention_mask[:, None], -torch.inf)
    near = near.view(rows, groups, -1, own)
    if header is None:
        out = near.softmax(3).to(value.dtype) @ value
    else:
        out = both(query, near, value, scaling, *header[module.layer_idx])
    return out.view(rows, heads, new, size).transpose(1, 2), None


def both(query, near, value, scaling: float, head_key, head_value) -> torch.Tensor:
    """One softmax over the header and each row's own keys: (rows, groups, queries, size).

    query (rows, groups, queries, size); near (rows, groups, queries, own), the row's own masked
    products; head_key and head_value (groups, tokens, size).
    """
    rows, groups, _, size = query.shape
    folded = query.transpose(0, 1).reshape(groups, -1, size)
    far = (folded @ head_key.transpose(1, 2)).float() * scaling
    # The same maximum is taken off both, and the same sum divides. A row of padding sees no key of
    # its own, but it sees the header, so the maximum is finite.
    per_row = (groups, rows, -1, 1)
    top = torch.maximum(near.amax(3, True), far.amax(2).view(per_row).transpose(0, 1))
    near = near.sub_(top).exp_()
    far = far.sub_(top.transpose(0, 1).reshape(groups, -1, 1)).exp_()
    total = near.sum(3, True) + far.sum(2).view(per_row).transpose(0, 1)
    seen = (far.to(value.dtype) @ head_value).view(groups, rows, -1, size).transpose(0, 1)
    return ((near.to(value.dtype) @ value + seen) / total).to(value.dtype)


AttentionInterface.register(NAME, attend)


def can_share(model) -> bool:
    """Whether the model's attention is the ordinary one, so that `attend` may stand in for it."""
    config = model.config
    if config.model_type not in PLAIN or config._attn_implementation not in ("sdpa", "eager"):
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    layers = [m for m in model.modules() if hasattr(m, "layer_idx") and hasattr(m, "q_proj")]
    return (
        rope.get("rope_type") not in MOVING
        # no layer looks through a sliding window
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)
        # a library that speeds a model up may have put its own forward in place of this one
        and len(layers) == config.num_hidden_layers
        and all(type(m).forward.__module__.startswith("transformers.") for m in layers)
    )


@contextmanager
def attending(model) -> Iterator[None]:
    """Have the model use `attend`; what it used before is back afterwards."""
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def grouped(rows: Sequence[list[int]]) -> list[tuple[list[int], int]]:
    """Which rows share a header, and its length: (places of rows, tokens), every row in one group.

    One row that differs early, among hundreds that are alike, is not to cost them their header. A
    group goes apart where it saves so much; 0 tokens are shared by rows with too little in common.
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for k, row in enumerate(rows):
        places.setdefault(tuple(row), []).append(k)
    left, found = sorted(places), list[tuple[list[int], int]]()
    while left:
        # each row keeps one token of its own at least
        alike = [min(common(a, b), len(a) - 1, len(b) - 1) for a, b in pairwise(left)]
        every = min(alike, default=len(left[0]) - 1)
        first, last, length = _widest(alike, every)
        if (last - first) * (length - every) < SAVED:
            first, last, length = 0, len(left) - 1, every
        taken = left[first : last + 1]
        del left[first : last + 1]
        members = [k for row in taken for k in places[row]]
        found.append((members, length if length >= MIN_SHARED else 0))
    return found


def _widest(alike: Sequence[int], every: int) -> tuple[int, int, int]:
    """The (first row, last row, tokens shared) by which most tokens need no second computing.

    `alike[k]` is what rows k and k + 1 of a sorted list share, `every` what all of them do: the
    largest rectangle below a line of heights.
    """
    best, most = (0, 0, every), 0
    open_: list[tuple[int, int]] = []  # (first row, shared) of what may still go on
    for k, height in enumerate([*alike, -1]):
        start = k
        while open_ and open_[-1][1] >= height:
            start, length = open_.pop()
            if (k - start) * (length - every) > most:
                best, most = (start, k, length), (k - start) * (length - every)
        open_.append((start, height))
    return best


class Headers:
    """The last few headers that were computed, so that prompts of several kinds find theirs."""

    def __init__(self) -> None:
        self.kept: list[Header] = []  # the last used one last

    def compute(self, model: Any, tokens: list[int]) -> KeysAndValues:
        """Keys and values of `tokens` in each layer."""
        nearest = max(self.kept, key=lambda own: common(own.tokens, tokens), default=Header())
        same = common(nearest.tokens, tokens)
        if nearest in self.kept and same == min(len(nearest.tokens), len(tokens)):
            self.kept.remove(nearest)  # one of both goes on from the other
        else:
            nearest = nearest.branch(model, same if same >= MIN_SHARED else 0)
        found = nearest.compute(model, tokens)
        self.kept = [*self.kept[1 - KEPT :], nearest]
        return found


class Header:
    """Tokens that were computed, with their keys and values."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.cache: Any = None

    def branch(self, model: Any, same: int) -> Header:
        """Another header, which begins with so many of these tokens."""
        new = Header()
        new.tokens, new.cache = self.tokens[:same], DynamicCache(config=model.config)
        for k, layer in enumerate(self.cache.layers if same else ()):
            new.cache.update(layer.keys[:, :, :same].clone(), layer.values[:, :, :same].clone(), k)
        return new

    def compute(self, model: Any, tokens: list[int]) -> KeysAndValues:
        """Keys and values of `tokens`, which go on from these or end among them."""
        count, same = len(tokens), len(self.tokens)
        if same < count:
            rest = torch.tensor([tokens[same:]], device=model.device)
            places = torch.arange(same, count, device=model.device)[None]
            model(
                rest,
                position_ids=places,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
            self.tokens = tokens
        return [
            (layer.keys[0][:, :count], layer.values[0][:, :count]) for layer in self.cache.layers
        ]

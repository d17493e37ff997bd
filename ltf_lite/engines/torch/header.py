"""Attention of many rows to one header that they share and that is computed once.

Prompts that open with the same few-shot header need its keys and values once, not once a row. The
rows keep only their own tokens in their cache. In attention the queries of all rows are folded
into one matrix against the header's keys, each row meets its own keys as usual, and one softmax
runs over both, so the result is that of ordinary attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer

from ltf_lite.engines.base import common

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


def shared_length(rows: Sequence[list[int]]) -> int:
    """How many tokens all rows begin with, so that each keeps one token of its own at least."""
    if not rows:
        return 0
    # in sorted order the first and the last differ earliest
    return min(common(min(rows), max(rows)), min(map(len, rows)) - 1)


class Header:
    """The last header that was computed; the next one starts from what both have in common."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.cache: Any = None

    def compute(self, model, tokens: list[int]) -> KeysAndValues:
        """Keys and values of `tokens` in each layer."""
        same = common(tokens, self.tokens)
        if same == 0:
            self.cache = DynamicCache(config=model.config)
        elif same < len(self.tokens):
            self.cache.crop(same - len(self.tokens))
        self.tokens = []  # whatever fails below, a half filled cache is not taken for a header
        if same < len(tokens):
            rest = torch.tensor([tokens[same:]], device=model.device)
            places = torch.arange(same, len(tokens), device=model.device)[None]
            model(
                rest,
                position_ids=places,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self.tokens = tokens
        return [(layer.keys[0], layer.values[0]) for layer in self.cache.layers]

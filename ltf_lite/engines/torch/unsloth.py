"""Rows of a model whose forward unsloth has replaced: it takes and gives tuples, and no cache.

unsloth's forward never writes the cache object that it is given, and its own path for a single
token keeps keys and values in buffers of fixed rows, which a batch that shrinks would break. Its
decoder, asked directly, is a function of the keys and values so far, for one token too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ltf_lite.engines.torch.rows import Rows


def causal_lm(model) -> Any:
    """The model itself, where peft has wrapped it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_patched(model) -> bool:
    """Whether unsloth has replaced the forward of the model's decoder."""
    decoder = getattr(causal_lm(model), "model", None)
    return type(decoder).forward.__module__.startswith("unsloth.") if decoder else False


class TupleRows(Rows):
    """Rows whose cache is a (keys, values) a layer, both (rows, key heads, tokens, size)."""

    def __init__(self, model) -> None:
        super().__init__(model, None, ordinary=False)
        self.cache = None
        self.base = causal_lm(model)

    def _forward(self, ids, positions, keep: int, **seen) -> torch.Tensor:
        dtype = self.base.get_input_embeddings().weight.dtype
        # As unsloth generates itself: its layers take a 16-bit base's adapter in fp32 for granted.
        with torch.autocast(ids.device.type, dtype, enabled=dtype != torch.float32):
            found = self.base.model(
                input_ids=ids,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
                **seen,
            )
            self.cache = found.past_key_values
            return self.base.get_output_embeddings()(found.last_hidden_state[:, -keep:])

    def select(self, rows: Sequence[int]) -> None:
        assert self.mask is not None
        if list(rows) == list(range(len(self.mask))):
            return
        index = torch.tensor(rows, device=self.mask.device)
        self.cache = [tuple(one[index] for one in layer) for layer in self.cache]
        self.mask = self.mask[index]

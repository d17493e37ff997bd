"""How attention is computed while tuning on a CPU, and whether rows may share a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ltf_lite.tuning.settings import SHORT, Tuning

FUSED, PLAIN = "sdpa", "eager"  # transformers' names


@contextmanager
def attending(config: Any, ids: Any) -> Iterator[None]:
    """Inside, a model of this configuration attends by plain multiplications where that is faster.

    That is over short lines on a CPU, where torch's fused kernel is slow backwards: at 64 tokens a
    line a step takes a quarter more time with it, at 512 a fifth.
    """
    own = getattr(config, "_attn_implementation", None)
    if own != FUSED or ids.device.type != "cpu" or ids.shape[1] > SHORT:
        yield
        return
    config._attn_implementation = PLAIN
    try:
        yield
    finally:
        config._attn_implementation = own


@torch.no_grad()
def packs(model: Any, tuning: Tuning) -> bool:
    """Whether rows of this model may share a line: each is then as if it were alone.

    Tried on the model itself. Only on a CPU, as a card's fastest attention takes no mask; not for a
    method that asks the base about the failures alone.
    """
    base = model.get_base_model()
    device = base.get_input_embeddings().weight.device
    if device.type != "cpu" or tuning.reference:
        return False
    last = base.get_input_embeddings().weight.shape[0] - 1
    rows = torch.arange(1, 17, device=device).clamp(max=last).view(2, 8)
    line, places = rows.view(1, 16), torch.arange(8, device=device).repeat(2)[None]
    was = model.training
    model.eval()
    with attending(base.model.config, line):
        alone = base.model(input_ids=rows, use_cache=False).last_hidden_state
        packed = base.model(input_ids=line, position_ids=places, use_cache=False).last_hidden_state
    model.train(was)
    error = (packed.view_as(alone) - alone).float().norm() / alone.float().norm()
    # In 16 bits other shapes round otherwise; what another row is seen to say differs by far more.
    return bool(error < (1e-3 if alone.dtype == torch.float32 else 0.05))

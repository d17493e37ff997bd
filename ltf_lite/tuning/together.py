"""Pieces of a step side by side: on a CPU a thread each, where one alone leaves cores idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from ltf_lite.engines.torch.precision import NARROW

P = TypeVar("P")
R = TypeVar("R")


def side_by_side(model: Any) -> ThreadPoolExecutor | None:
    """Threads for the pieces of a step of this model; None where pieces had better take turns.

    So they had where torch has one thread, on a card, and in a model whose multiplications are
    wide enough for threads to share them: there a second piece only takes memory.
    """
    weight = model.get_input_embeddings().weight
    if weight.device.type != "cpu" or weight.shape[1] >= NARROW or torch.get_num_threads() == 1:
        return None
    return ThreadPoolExecutor(torch.get_num_threads(), "ltf-piece")


def at_once(
    work: Callable[[P], R], pieces: Sequence[P], pool: ThreadPoolExecutor | None
) -> Iterator[R]:
    """What `work` gives for each piece, in their order, whichever is done first."""
    if pool is None or len(pieces) < 2:
        yield from map(work, pieces)
        return
    threads = torch.get_num_threads()
    share = max(1, threads // len(pieces))

    def alone(piece: P) -> R:
        torch.set_num_threads(share)  # OpenMP counts by thread, others for all of them
        return work(piece)

    try:
        yield from list(pool.map(alone, pieces))
    finally:
        torch.set_num_threads(threads)

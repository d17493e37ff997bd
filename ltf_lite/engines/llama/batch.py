"""llama.cpp's batch: the tokens of one forward pass."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp as lc
import numpy as np

BATCH = 256  # tokens a forward pass; each may ask for a row of logits as wide as the vocabulary

Entry = tuple[int, int, int, bool]  # token, position, sequence, whether its logits are wanted


class Batch:
    """llama.cpp's batch `c` over arrays of ours, each entry in one sequence."""

    def __init__(self) -> None:
        self.token, self.position, self.sequence = np.zeros((3, BATCH), np.int32)
        self.wanted = np.zeros(BATCH, np.int8)
        self._one = np.ones(BATCH, np.int32)
        self._places = self.sequence.ctypes.data + 4 * np.arange(BATCH, dtype=np.uint64)
        self.c = lc.llama_batch()
        kinds: dict[str, Any] = {field[0]: field[1] for field in lc.llama_batch._fields_}
        for name, array in (
            ("token", self.token),
            ("pos", self.position),
            ("n_seq_id", self._one),
            ("seq_id", self._places),
            ("logits", self.wanted),
        ):
            setattr(self.c, name, ctypes.cast(array.ctypes.data, kinds[name]))

    def fill(self, entries: Sequence[Entry]) -> None:
        """Put entries in, at most BATCH."""
        n = self.c.n_tokens = len(entries)
        self.token[:n], self.position[:n], self.sequence[:n], self.wanted[:n] = zip(
            *entries, strict=True
        )

"""The base's own states of what is replayed, asked for many steps at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from ltf_lite.tuning.attention import attending
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.packing import Row, collate, pack
from ltf_lite.tuning.parts import Totals
from ltf_lite.tuning.settings import AT_ONCE

STEPS = 16  # whose rows are asked together: a step's are too few to fill a pass


class Remembered:
    """States of the base that predict the marked tokens of rows, (marked, hidden) of each.

    The base does not change, so that what it makes of a row is the same at every step. Kept are
    the rows of one block of steps, which is always asked as a whole: a run that is resumed rounds
    as one that went on.
    """

    def __init__(self, model: Any, batches: Batches) -> None:
        self.model, self.batches = model, batches
        self.decoder = model.get_base_model().model
        self.block = -1
        self.known: dict[int, torch.Tensor] = {}

    def prepare(self, step: int) -> None:
        """Ask the rows of the step's block, unless that was done."""
        if step // STEPS == self.block:
            return
        self.block, self.known = step // STEPS, {}
        self._ask(self.batches.replay_of(self.block * STEPS, STEPS))

    def of(self, rows: Sequence[Row]) -> torch.Tensor:
        """The states of these rows, one after the other."""
        missing = [row for row in rows if id(row) not in self.known]
        if missing:
            self._ask(missing)
        return torch.cat([self.known[id(row)] for row in rows])

    def _ask(self, rows: Sequence[Row]) -> None:
        joined = pack if self.batches.packed else collate
        with torch.no_grad(), self.model.disable_adapter():
            for some in _portions({id(row): row for row in rows}.values()):
                piece = joined([[], [], some], self.batches.pad, Totals(0, 0, 0, len(some)))
                device = self.decoder.get_input_embeddings().weight.device
                ids, marked = piece.ids.to(device), piece.marked.to(device)
                told = {} if piece.places is None else {"position_ids": piece.places.position}
                with attending(self.decoder.config, ids):
                    hidden = self.decoder(input_ids=ids, use_cache=False, **told).last_hidden_state
                found = hidden[:, :-1][marked[:, 1:]]
                counts = [sum(row.marked[1:]) for row in piece.said]
                for row, states in zip(piece.said, found.split(counts), strict=True):
                    self.known[id(row)] = states.clone()  # not a view: that would keep them all


def _portions(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows of like length, as many as fit a pass."""
    some: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if some and len(row.ids) * (len(some) + 1) > AT_ONCE:
            yield some
            some = []
        some.append(row)
    if some:
        yield some

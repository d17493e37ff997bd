"""The base's own states of what is replayed, asked for many steps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.packing import Piece, Row, collate, pack
from ltf_lite.tuning.parts import Totals
from ltf_lite.tuning.settings import AT_ONCE

STEPS = 16  # whose rows are asked together: a step's are too few to fill a pass


class Remembered:
    """States of the base that predict the marked tokens of rows, (marked, hidden) of each.

    The base does not change, so that what it makes of a row is the same at every step. `states`
    gives those of a piece's marked tokens, line after line. Kept are the rows of one block of
    steps, which is always asked as a whole: a run that is resumed rounds as one that went on.
    """

    def __init__(self, batches: Batches, states: Callable[[Piece], torch.Tensor]) -> None:
        self.batches, self.states = batches, states
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
        for some in _portions({id(row): row for row in rows}.values()):
            piece = joined([[], [], some], self.batches.pad, Totals(0, 0, 0, len(some)))
            counts = [sum(row.marked[1:]) for row in piece.said]
            found = self.states(piece).split(counts)
            for row, states in zip(piece.said, found, strict=True):
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

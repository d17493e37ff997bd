"""Rows as the tensors of a forward pass: padded one below the other, or packed side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from ltf_lite.tuning.parts import Totals
from ltf_lite.tuning.settings import SHORT
from ltf_lite.tuning.types import Sides

# Attention looks at every token of a line, also at those of other rows: measured on a CPU, a token
# of a line this much longer takes twice the time.
TWICE = 1700


@dataclass(frozen=True, slots=True)
class Row:
    """One tokenized example: loss falls on the tokens `marked`, to learn if `good`."""

    ids: list[int]
    marked: list[bool]
    good: bool


class Places(NamedTuple):
    """Of every token of packed lines, (lines, width): its row, and its place in that row."""

    row: torch.Tensor
    position: torch.Tensor


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a step that goes through one forward pass.

    `ids` and `marked` are (rows, length), padded on the right; the first `successes` rows are good,
    the last `again` are replay. Where rows are packed they are (lines, width), several rows a line,
    and `places` tells them. Replay has lines of its own, behind the first `lines`; `said` are its
    rows in the order of their marked tokens. `tokens` counts the rows' tokens without padding,
    `totals` is of the whole step.
    """

    ids: torch.Tensor
    marked: torch.Tensor
    successes: int
    tokens: Sides
    totals: Totals
    rows: int
    lines: int
    again: int = 0
    places: Places | None = None
    said: Sequence[Row] = ()


def collate(sides: Sequence[Sequence[Row]], pad: int, totals: Totals) -> Piece:
    """The rows of successes, failures and replay, one below the other."""
    rows = [row for side in sides for row in side]
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [pad] * (width - len(row.ids)) for row in rows])
    marked = torch.tensor([row.marked + [False] * (width - len(row.ids)) for row in rows])
    good, _, again = map(len, sides)
    learnt, said = len(rows) - again, sides[2]
    return Piece(ids, marked, good, _tokens(sides), totals, len(rows), learnt, again, None, said)


def pack(sides: Sequence[Sequence[Row]], pad: int, totals: Totals) -> Piece:
    """The rows of successes, failures and replay side by side: little of a pass is padding."""
    rows = [row for side in sides for row in side]
    good, _, again = map(len, sides)
    lengths, learnt = [len(row.ids) for row in rows], len(rows) - again
    own, said = fitting(lengths[:learnt], lengths[learnt:])
    lines = own + [[learnt + k for k in line] for line in said]
    width = max(sum(len(rows[k].ids) for k in line) for line in lines)
    ids, marked, row, position = ([] for _ in range(4))
    for line in lines:
        left = width - sum(len(rows[k].ids) for k in line)
        # The first token of a row has nothing before it that could predict it.
        told = [(rows[k].ids, [False, *rows[k].marked[1:]], k) for k in line]
        told += [([pad] * left, [False] * left, 0)] if left else []
        ids.append([token for own, _, _ in told for token in own])
        marked.append([mark for _, own, _ in told for mark in own])
        row.append([k for own, _, k in told for _ in own])
        position.append([at for own, _, _ in told for at in range(len(own))])
    places = Places(torch.tensor(row), torch.tensor(position))
    tensors, counts = (torch.tensor(ids), torch.tensor(marked)), _tokens(sides)
    inside = [rows[k] for line in lines[len(own) :] for k in line]
    return Piece(*tensors, good, counts, totals, len(rows), len(own), again, places, inside)


def fitting(*groups: Sequence[int]) -> list[list[list[int]]]:
    """Which rows of each group of lengths share a line; the groups share none.

    All lines are of one width: of those that rows could fill, the one of least time.
    """
    longest = max(length for lengths in groups for length in lengths)
    widths = {longest, *(w for k in range(3, 33) if (w := longest * k // 2) <= SHORT)}
    found = ([filled(lengths, width) for lengths in groups] for width in sorted(widths))
    return min(found, key=_time(groups))


def filled(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Rows into lines of that width: the longest first, each where it first fits."""
    lines: list[list[int]] = []
    room: list[int] = []
    for k in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        place = next((at for at, left in enumerate(room) if left >= lengths[k]), len(lines))
        if place == len(lines):
            lines.append([])
            room.append(width)
        lines[place].append(k)
        room[place] -= lengths[k]
    return lines


def _time(groups: Sequence[Sequence[int]]) -> Any:
    def time(found: list[list[list[int]]]) -> float:
        pairs = zip(groups, found, strict=True)
        sums = [sum(own[k] for k in line) for own, lines in pairs for line in lines]
        return len(sums) * max(sums) * (1 + max(sums) / TWICE)

    return time


def _tokens(sides: Sequence[Sequence[Row]]) -> Sides:
    return Sides(*(sum(len(row.ids) for row in side) for side in sides))

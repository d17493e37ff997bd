"""What a method of forgetting sees of a micro-batch, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ltf_lite.tuning.settings import TuneSettings


class Totals(NamedTuple):
    """The whole step's tokens to learn, tokens to forget, and failures.

    A micro-batch divides its sums by these, so that the parts of a step add up to its mean.
    """

    learn: int
    forget: int
    failures: int


class Side(NamedTuple):
    """NLL of one side's marked tokens, nats (tokens,), and the row of each, 0 to `rows` - 1."""

    nll: Tensor
    row: Tensor
    rows: int

    def sums(self) -> Tensor:
        """The NLL of each row, (rows,)."""
        return self.nll.new_zeros(self.rows).index_add(0, self.row, self.nll)

    def means(self) -> Tensor:
        """The NLL a token of each row, (rows,)."""
        counts = torch.bincount(self.row, minlength=self.rows).clamp(min=1)
        return self.sums() / counts


class Parts(NamedTuple):
    """One micro-batch: its successes, its failures, and the failures' NLL under the base.

    `reference` is (failures,), and None where the method asks for none. Of a method of pairs,
    failure i is of the same problem as success i.
    """

    good: Side
    bad: Side
    totals: Totals
    reference: Tensor | None = None


class Method(NamedTuple):
    """`forgetting` is a loss of Parts; `weights` are those of learning and of forgetting in J."""

    forgetting: Callable[[Parts, TuneSettings], Tensor]
    weights: Callable[[TuneSettings], tuple[float, float]]
    pairs: bool = False
    reference: bool = False


def by_alpha(settings: TuneSettings) -> tuple[float, float]:
    """J = (1 - alpha) · learning + alpha · forgetting."""
    return 1 - settings.alpha, settings.alpha


def learning(parts: Parts) -> Tensor:
    """Mean NLL of the step's tokens to learn: this micro-batch's share."""
    return parts.good.nll.sum() / max(1, parts.totals.learn)

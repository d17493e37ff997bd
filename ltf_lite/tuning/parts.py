"""What a method sees of a micro-batch: the NLL of its marked tokens, success and failure apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Totals(NamedTuple):
    """The whole step's tokens to learn, tokens to forget, failures, and rows of replay.

    A micro-batch divides its sums by these, so that the parts of a step add up to its mean.
    """

    learn: int
    forget: int
    failures: int
    replay: int = 0


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
        import torch

        counts = torch.bincount(self.row, minlength=self.rows).clamp(min=1)
        return self.sums() / counts


class Parts(NamedTuple):
    """One micro-batch: its successes, its failures, and the failures' NLL under the base.

    `again` has KL from the base, nats, in place of NLL, where the base searched. `reference` is
    (failures,), and None where the method asks for none. Of a method of pairs, failure i is of the
    same problem as success i.
    """

    good: Side
    bad: Side
    totals: Totals
    reference: Tensor | None = None
    again: Side | None = None


def learning(parts: Parts) -> Tensor:
    """Mean NLL of the step's tokens to learn: this micro-batch's share."""
    return parts.good.nll.sum() / max(1, parts.totals.learn)


def replay(parts: Parts) -> Tensor:
    """Mean KL from the base over what it said: this micro-batch's share.

    Every answer counts alike, however long: a judgement of one word is as much of a search as a
    list of proposals.
    """
    if parts.again is None:
        return parts.good.nll.new_zeros(())
    return parts.again.means().sum() / max(1, parts.totals.replay)

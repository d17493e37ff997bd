"""The forward pass of a piece: one for successes, failures and replay, and what they lose."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch

from ltf_lite.tuning import losses
from ltf_lite.tuning.attention import attending
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.packing import Piece
from ltf_lite.tuning.parts import Parts, Side, learning, replay
from ltf_lite.tuning.remembered import Remembered
from ltf_lite.tuning.settings import Tuning


class Forward:
    """What a model with an adapter makes of pieces.

    `place` puts a piece on the device, `context` is the precision in which it is computed. `base`
    are the states of the model without its adapter, of rows that are replayed.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        tuning: Tuning,
        place: Callable[[Piece], Piece],
        context: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        base = model.get_base_model()
        self.model, self.tuning, self.place, self.context = model, tuning, place, context
        self.decoder, self.output_head = base.model, base.get_output_embeddings()
        self.config = base.model.config
        self.base = Remembered(batches, self.base_states)

    def loss_of(self, piece: Piece) -> tuple[Any, Any]:
        """The method's weighted sum of learning and forgetting, and replay; and these three."""
        parts, share = self.parts(piece), self.tuning.replay
        terms = torch.stack([learning(parts), self.tuning.forgetting(parts), replay(parts)])
        weights = [*((1 - share) * each for each in self.tuning.weights()), share]
        return terms @ terms.new_tensor(weights), terms.detach()

    def parts(self, piece: Piece) -> Parts:
        """The NLL of every marked token, one forward pass for successes and failures.

        Rows are padded on the right, where causal attention cannot see: no attention mask needed.
        Where they are packed, the places that begin anew tell transformers what may see what.
        """
        good, last, lines = piece.successes, piece.rows - piece.again, piece.lines
        hidden, rows = self.states(piece), piece.places and piece.places.row
        nll, row = losses.marked_nll(
            hidden[:lines],
            piece.ids[:lines],
            piece.marked[:lines],
            self.output_head,
            None if rows is None else rows[:lines],
        )
        mine, theirs = row < good, row >= good
        bad = Side(nll[theirs], row[theirs] - good, last - good)
        reference = again = None
        if self.tuning.reference and last > good:
            with torch.no_grad(), self.model.disable_adapter():
                failed = replace(piece, ids=piece.ids[good:last], marked=piece.marked[good:last])
                base, _ = losses.marked_nll(
                    self.states(failed), failed.ids, failed.marked, self.output_head
                )
            reference = bad._replace(nll=base).sums()
        elif self.tuning.reference:
            reference = bad.sums()
        if piece.again:
            kl, said = losses.marked_kl(
                hidden[lines:],
                self.base.of(piece.said),
                piece.marked[lines:],
                self.output_head,
                None if rows is None else rows[lines:] - last,
            )
            again = Side(kl, said, piece.again)
        return Parts(Side(nll[mine], row[mine], good), bad, piece.totals, reference, again)

    def base_states(self, piece: Piece) -> Any:
        """The base's states that predict a piece's marked tokens, (tokens, hidden)."""
        piece = self.place(piece)
        with (
            torch.no_grad(),
            self.model.disable_adapter(),
            attending(self.config, piece.ids),
            self.context(),
        ):
            return self.states(piece)[:, :-1][piece.marked[:, 1:]]

    def states(self, piece: Piece) -> Any:
        """The hidden states of a piece's lines, (lines, width, hidden)."""
        told = {} if piece.places is None else {"position_ids": piece.places.position}
        found = self.decoder(input_ids=piece.ids, use_cache=False, **told)
        return found.last_hidden_state

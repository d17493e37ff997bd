"""How a model of any architecture can be asked: measured on a few tokens before the first prompt.

A cache, padding, and many tokens after a cache are each a thing that some architecture does not
bear. Reading everything at once, without any of them, is what they have to agree with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ltf_lite.core.errors import LONGEST
from ltf_lite.engines.base import EngineError, check_numbers
from ltf_lite.engines.torch.apart import Apart
from ltf_lite.engines.torch.rows import Rows, pack

LONG, SHORT, TAIL = 9, 4, 3  # tokens
# Of the spread of logits: what rounding may do in 32 bits, and in fewer.
EXACT, ROUNDED = 1e-3, 0.05


class Ways(NamedTuple):
    """Whether rows of different lengths may be padded, and tails scored after a cached prompt."""

    padded: bool
    tails: bool


@torch.inference_mode()
def ways(model, name: str) -> Ways:
    """How a model can be asked; raises EngineError where its answers would be wrong."""
    training = model.training
    model.eval()
    try:
        return _measured(_Probe(model, name), model.config.model_type, name)
    finally:
        if training:
            model.train()


def _measured(probe: _Probe, kind: str, name: str) -> Ways:
    check_numbers([float(logits.max()) for logits in probe.wanted], name)
    if not probe.agrees(probe.short):
        raise EngineError(
            f"the model {name!r} ({kind}) cannot go on with a text: what it makes of a token "
            "depends on the tokens after it (give a model that writes from left to right)"
        )
    padded = probe.agrees(probe.padded)
    if not padded and not probe.agrees(probe.apart):
        raise EngineError(
            f"the model {name!r} ({kind}) cannot be asked with this transformers: token by token "
            "it gives other answers than at once (give it as a GGUF file, or another model)"
        )
    return Ways(padded, padded and probe.agrees(probe.tails))


class _Probe:
    """Two rows of tokens, `long` and `short`, and what is expected after each of their tokens."""

    def __init__(self, model, name: str) -> None:
        self.model = model
        config = model.config.get_text_config()
        special = {getattr(config, f"{kind}_token_id", None) for kind in ("pad", "bos", "eos")}
        usual = [k for k in range(5, min(config.vocab_size, 500)) if k not in special]
        self.rows = [usual[1 :: len(usual) // 9][:LONG], usual[2 :: len(usual) // 7][:SHORT]]
        try:
            self.wanted = [self._whole(row) for row in self.rows]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())[:LONGEST]
            raise EngineError(f"the model {name!r} cannot read a text: {said}") from error
        exact = model.dtype == torch.float32 and getattr(model, "hf_quantizer", None) is None
        self.tolerance = EXACT if exact else ROUNDED

    def _whole(self, row: list[int]) -> torch.Tensor:
        ids = torch.tensor([row], device=self.model.device)
        return self.model(ids, use_cache=False).logits[0].float()

    def agrees(self, found: Any) -> bool:
        """Whether a way gives (row, place, logits) as expected; one that fails does not."""
        try:
            pairs = [(self.wanted[row][place], logits) for row, place, logits in found()]
        except torch.OutOfMemoryError:
            raise
        except Exception:  # a model without a part that the way needs fails in any manner
            return False
        return all(
            bool((a - b).abs().max() <= self.tolerance * (a.max() - a.min())) for a, b in pairs
        )

    def short(self):
        """The beginning of a row, without what follows."""
        return [(0, SHORT - 1, self._whole(self.rows[0][:SHORT])[-1])]

    def padded(self):
        """Padded prompts, a token after each, and one row left alone."""
        rows = Rows(self.model, None, False)
        heads = [row[:-2] for row in self.rows]
        prefilled = rows.feed(*pack(heads, 0, self.model.device), 1)[:, -1]
        rows.select([1, 0, 1])
        return self._after(rows, prefilled.float(), [1, 0, 1])

    def apart(self):
        """Prompts without padding, a token after each, and one row left alone."""
        rows = Apart(self.model, [row[:-2] for row in [*self.rows, self.rows[1]]])
        found = rows.logits()[:2]
        rows.select([1, 0, 2])
        return self._after(rows, found, [1, 0, 1])

    def _after(self, rows: Rows | Apart, first: torch.Tensor, order: list[int]):
        device = self.model.device
        found = [(k, len(self.rows[k]) - 3, first[k]) for k in (0, 1)]
        tokens = torch.tensor([self.rows[k][-2] for k in order], device=device)
        second = rows.extend(tokens)
        found += [(k, len(self.rows[k]) - 2, second[at]) for at, k in enumerate(order)]
        rows.select([1])
        last = rows.extend(torch.tensor([self.rows[order[1]][-1]], device=device))
        return [*found, (order[1], len(self.rows[order[1]]) - 1, last[0])]

    def tails(self):
        """Several tokens of different numbers after cached prompts."""
        rows, device = Rows(self.model, None, False), self.model.device
        cuts = [LONG - TAIL, SHORT - TAIL + 1]
        heads = [row[:cut] for row, cut in zip(self.rows, cuts, strict=True)]
        rest = [row[cut:] for row, cut in zip(self.rows, cuts, strict=True)]
        rows.feed(*pack(heads, 0, device), 1)
        logits = rows.feed(*pack(rest, 0, device, left=False), TAIL).float()
        return [
            (k, cut + at, logits[k, at]) for k, cut in enumerate(cuts) for at in range(len(rest[k]))
        ]

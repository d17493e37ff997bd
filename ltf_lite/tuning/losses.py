"""What losses are made of, over tensors alone; `methods` has what is made of them.

Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364) is

learning    mean over the tokens of successes of  NLL = -log p
forgetting  mean over the tokens of failures  of  -log(1 - p)
J           (1 - alpha) · learning + alpha · forgetting
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

LOGITS = 2**25  # logits held at once: 128 MiB in fp32


def unlikelihood(nll: Tensor) -> Tensor:
    """-log(1 - p) of tokens whose -log p is given, nats, same shape.

    A p that the number format cannot tell from 1 counts as 1 - eps and has no gradient.
    """
    return -log1mexp(nll.clamp(min=torch.finfo(nll.dtype).eps))


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(-x)) for x > 0, exact at both ends, its gradient too.

    Below log 2 the difference 1 - exp(-x) cancels and expm1 keeps it; above, it is near 1 and
    log1p keeps it (Mächler 2012, "Accurately computing log(1 - exp(-|a|))").
    """
    small = x < math.log(2)
    # Each branch sees only values it is good at: torch.where alone would multiply the other
    # branch's infinite gradient by zero, which is NaN.
    near = torch.where(small, x, 1.0)
    far = torch.where(small, 1.0, x)
    return torch.where(small, torch.log(-torch.expm1(-near)), torch.log1p(-torch.exp(-far)))


def token_nll(
    hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor], logits: int = LOGITS
) -> Tensor:
    """-log p of each target under its hidden state, nats, (n,) in fp32 or wider.

    `hidden` is (n, width), `targets` (n,), `head` takes hidden states to logits. At most `logits`
    logits exist at any instant: more positions go in chunks, whose logits are computed once more
    in the backward pass.
    """

    def nll(states: Tensor, wanted: Tensor) -> Tensor:
        scores = head(states)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        return cross_entropy(scores, wanted, reduction="none")

    size = max(1, logits // vocabulary(head, hidden))
    if len(hidden) <= size:
        return nll(hidden, targets)
    pairs = zip(hidden.split(size), targets.split(size), strict=True)
    return torch.cat([checkpoint(nll, h, t, use_reentrant=False) for h, t in pairs])


def vocabulary(head: Callable[[Tensor], Tensor], hidden: Tensor) -> int:
    """How many logits the head gives for one hidden state."""
    weight = getattr(head, "weight", None)
    if weight is not None and weight.ndim == 2 and weight.shape[1] == hidden.shape[-1]:
        return weight.shape[0]
    with torch.no_grad():  # a quantized or wrapped head
        return head(hidden[:1]).shape[-1]


def marked_nll(
    hidden: Tensor, ids: Tensor, marked: Tensor, head: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """(NLL of the marked tokens, the row of each), nats, both (tokens,), row after row.

    `hidden` is (rows, length, width), `ids` and the boolean `marked` are (rows, length). Only the
    marked tokens reach the head.
    """
    marked = marked[:, 1:]  # the state before a token predicts it
    nll = token_nll(hidden[:, :-1][marked], ids[:, 1:][marked], head)
    return nll, marked.nonzero()[:, 0]

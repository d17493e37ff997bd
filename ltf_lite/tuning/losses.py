"""What losses are made of, over tensors alone; `methods` has what is made of them.

Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364) is

learning    mean over the tokens of successes of  NLL = -log p
forgetting  mean over the tokens of failures  of  -log(1 - p)
J           (1 - alpha) · learning + alpha · forgetting

Replay is KL(base || tuned), mean over what the base said while it searched, each answer being the
mean over its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from ltf_lite.tuning.settings import LOGITS


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

    `hidden` is (n, width), `targets` (n,), `head` takes hidden states to logits. More positions
    than `logits` logits allow go in chunks, of which one is held at a time. A head that trains
    computes its logits once more in the backward pass.
    """
    rows = max(1, logits // vocabulary(head, hidden))
    count = max(1, math.ceil(len(hidden) / rows))
    if not may_train(head) and torch.is_grad_enabled() and hidden.requires_grad:
        return FrozenHead.apply(hidden, targets, head, count, nll_and_slope)
    if count == 1:
        return chunk_nll(hidden, targets, head)
    found = [
        checkpoint(chunk_nll, states, wanted, head, use_reentrant=False)
        for states, wanted in chunks(hidden, targets, count)
    ]
    return torch.cat(found)


def chunk_nll(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """`token_nll` with all logits at once."""
    return cross_entropy(widened(head(hidden)), targets, reduction="none")


class FrozenHead(torch.autograd.Function):
    """`token_nll` or `token_kl` under a head without gradient, whose logits are computed only once.

    A token's loss depends on its own hidden state alone, so the forward pass can keep d loss / d
    hidden, (n, width), in place of the logits, and the backward pass only scales its rows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        wanted: Tensor,
        head: Callable[[Tensor], Tensor],
        count: int,
        loss_and_slope: Callable[..., tuple[Tensor, Tensor]],
    ) -> Tensor:
        found, slopes = [], torch.empty_like(hidden)
        parts = zip(chunks(hidden, wanted, count), slopes.tensor_split(count), strict=True)
        for (states, own), slope in parts:
            loss, gradient = loss_and_slope(states, own, head)
            found.append(loss)
            slope.copy_(gradient)
        ctx.save_for_backward(slopes)
        return torch.cat(found)

    @staticmethod
    @once_differentiable  # the slopes are constants: nobody needs a second derivative
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return (upstream[:, None] * slopes).to(slopes.dtype), None, None, None, None


def nll_and_slope(
    hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """`chunk_nll`, and d NLL / d hidden, (n, width), of each token's own."""
    with torch.enable_grad():
        hidden = hidden.detach().requires_grad_()
        scores = head(hidden)
    log_p = widened(scores.detach()).log_softmax(-1)
    picked = log_p.gather(1, targets[:, None])
    # d NLL / d logits is p, less one at the target.
    slope = log_p.exp_().scatter_add_(1, targets[:, None], -torch.ones_like(picked))
    return -picked[:, 0], torch.autograd.grad(scores, hidden, slope.to(scores.dtype))[0]


def token_kl(
    hidden: Tensor, before: Tensor, head: Callable[[Tensor], Tensor], logits: int = LOGITS
) -> Tensor:
    """KL(before || now) of the next token's distribution at each state, nats, (n,) in fp32.

    `hidden` are the states of the model that trains, `before` those of the one that it is to stay
    like, both (n, width); `head` takes either to logits, and gets no gradient. Chunks as in
    `token_nll`.
    """
    rows = max(1, logits // (2 * vocabulary(head, hidden)))
    count = max(1, math.ceil(len(hidden) / rows))
    return FrozenHead.apply(hidden, before, head, count, kl_and_slope)


def kl_and_slope(
    hidden: Tensor, before: Tensor, head: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """KL at each state, (n,), and d KL / d hidden, (n, width), of each state's own."""
    with torch.enable_grad():
        hidden = hidden.detach().requires_grad_()
        scores = head(hidden)
    now, then = (widened(each).log_softmax(-1) for each in (scores.detach(), head(before)))
    kept = then.exp()
    kl = (kept * (then - now)).sum(-1)
    slope = now.exp_().sub_(kept)  # d KL / d logits is p now, less p before
    return kl, torch.autograd.grad(scores, hidden, slope.to(scores.dtype))[0]


def chunks(hidden: Tensor, targets: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Hidden states and what belongs to each in `count` parts as even as they go."""
    return zip(hidden.tensor_split(count), targets.tensor_split(count), strict=True)


def widened(scores: Tensor) -> Tensor:
    """Logits in fp32, or in fp64 if they are."""
    return scores if scores.dtype == torch.float64 else scores.float()


def may_train(head: Callable[[Tensor], Tensor]) -> bool:
    """Whether the head has weights with a gradient; a bare function may hide some."""
    return not isinstance(head, torch.nn.Module) or any(
        weight.requires_grad for weight in head.parameters()
    )


def vocabulary(head: Callable[[Tensor], Tensor], hidden: Tensor) -> int:
    """How many logits the head gives for one hidden state."""
    weight = getattr(head, "weight", None)
    if weight is not None and weight.ndim == 2 and weight.shape[1] == hidden.shape[-1]:
        return weight.shape[0]
    with torch.no_grad():  # a quantized or wrapped head
        return head(hidden[:1]).shape[-1]


def marked_nll(
    hidden: Tensor,
    ids: Tensor,
    marked: Tensor,
    head: Callable[[Tensor], Tensor],
    rows: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(NLL of the marked tokens, the row of each), nats, both (tokens,), line after line.

    `hidden` is (lines, length, width), `ids` and the boolean `marked` are (lines, length), and
    `rows` too, which tells the row of each token where a line is not one row. Only the marked
    tokens reach the head.
    """
    marked = marked[:, 1:]  # the state before a token predicts it
    nll = token_nll(hidden[:, :-1][marked], ids[:, 1:][marked], head)
    return nll, marked.nonzero()[:, 0] if rows is None else rows[:, 1:][marked]


def marked_kl(
    hidden: Tensor,
    before: Tensor,
    marked: Tensor,
    head: Callable[[Tensor], Tensor],
    rows: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(`token_kl` of the states that predict the marked tokens, the row of each), both (tokens,).

    `hidden` is (lines, length, width), `before` of the marked tokens alone, (tokens, width);
    `marked` and `rows` as in `marked_nll`.
    """
    marked = marked[:, 1:]
    kl = token_kl(hidden[:, :-1][marked], before, head)
    return kl, marked.nonzero()[:, 0] if rows is None else rows[:, 1:][marked]

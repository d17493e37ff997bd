"""The losses against arithmetic done by hand, in double precision, and without chunks."""

import math
from fractions import Fraction

import pytest
import torch

from ltf_lite.tuning import losses

# One hidden unit per token of a 3-token vocabulary: the head is the identity, logits are chosen.
HEAD = torch.nn.Identity()


def states(*probabilities):
    """Hidden states whose softmax under HEAD is the given rows of probabilities."""
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_losses_by_hand_and_the_row_of_each():
    # Row 0 succeeds: its token 1 has p = 1/2, its token 2 has p = 1/4.
    # Row 1 fails:    its token 1 has p = 3/4, its token 2 is not marked.
    hidden = torch.stack([
        states((1 / 4, 1 / 2, 1 / 4), (1 / 4, 1 / 4, 1 / 2), (1 / 3, 1 / 3, 1 / 3)),
        states((1 / 8, 1 / 8, 3 / 4), (1 / 4, 1 / 4, 1 / 2), (1 / 3, 1 / 3, 1 / 3)),
    ])  # fmt: skip
    ids = torch.tensor([[0, 1, 0], [0, 2, 1]])
    learn = torch.tensor([[False, True, True], [False, False, False]])
    forget = torch.tensor([[False, False, False], [False, True, False]])
    (good, of_good), (bad, of_bad) = (
        losses.marked_nll(hidden, ids, marked, HEAD) for marked in (learn, forget)
    )
    assert good.tolist() == pytest.approx([math.log(2), math.log(4)])
    assert losses.unlikelihood(bad).tolist() == pytest.approx([math.log(4)])
    assert (of_good.tolist(), of_bad.tolist()) == ([0, 0], [1])


def test_gradients_by_hand():
    # d(-log p)/dz is softmax - onehot; d(-log(1-p))/dz is p/(1-p) (onehot - softmax).
    for loss, expected in (
        (lambda nll: nll, [1 / 4, -1 / 2, 1 / 4]),
        (losses.unlikelihood, [-1 / 4, 1 / 2, -1 / 4]),
    ):
        hidden = states((1 / 4, 1 / 2, 1 / 4)).requires_grad_()
        loss(losses.token_nll(hidden, torch.tensor([1]), HEAD)).sum().backward()
        assert hidden.grad[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("exponent", range(1, 13))
def test_unlikelihood_is_exact_at_both_ends(exponent):
    small = Fraction(1, 10**exponent)
    # p near 0: -log(1-p) = p + p²/2 + …;  p near 1: nll = -log(1-q) and -log(1-p) = -log q
    rare = torch.tensor(-math.log(small), dtype=torch.float64)
    assert losses.unlikelihood(rare).item() == pytest.approx(-math.log1p(-small), rel=1e-12)
    sure = torch.tensor(-math.log1p(-small), dtype=torch.float64)
    assert losses.unlikelihood(sure).item() == pytest.approx(-math.log(small), rel=1e-12)


@pytest.mark.parametrize("exponent", range(1, 13))
@pytest.mark.parametrize("side", ["rare", "sure"])
def test_unlikelihood_gradient_is_exact_and_finite(exponent, side):
    small = 10.0**-exponent
    nll = -math.log(small) if side == "rare" else -math.log1p(-small)
    x = torch.tensor(nll, dtype=torch.float64, requires_grad=True)
    losses.unlikelihood(x).backward()
    assert x.grad.item() == pytest.approx(-1 / math.expm1(nll), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certain_and_impossible_tokens_stay_finite(dtype):
    x = torch.tensor([0.0, 1e-45, 1e-30, 1e-7, 0.6931, 0.6932, 50.0, 1e4, math.inf], dtype=dtype)
    x.requires_grad_()
    value = losses.unlikelihood(x)
    value.sum().backward()
    assert value.isfinite().all()
    assert x.grad.isfinite().all()
    assert value[-1] == 0


def test_a_certain_failure_in_single_precision_gives_a_bounded_gradient():
    for lead in (5.0, 12.0, 15.5, 16.5, 17.0, 60.0, 1e4):
        hidden = torch.tensor([[lead, 0.0, 0.0]], requires_grad=True)
        losses.unlikelihood(losses.token_nll(hidden, torch.tensor([0]), HEAD)).sum().backward()
        assert hidden.grad.abs().max() < 2.5  # p/(1-p) alone would be 1e26 at a lead of 60


@pytest.mark.parametrize("trainable_head", [False, True])
def test_chunks_change_neither_value_nor_gradient(trainable_head):
    torch.manual_seed(0)
    hidden = torch.randn(37, 8, dtype=torch.float64)
    head = torch.nn.Linear(8, 11, bias=False, dtype=torch.float64)
    head.requires_grad_(trainable_head)
    targets = torch.randint(11, (37,))
    found = []
    for logits in (10**6, 11 * 5, 1):
        states = hidden.clone().requires_grad_()
        head.zero_grad()
        nll = losses.token_nll(states, targets, head, logits)
        (nll.sum() + losses.unlikelihood(nll).sum()).backward()
        found.append((nll.detach(), states.grad, head.weight.grad))
    dense = torch.nn.functional.cross_entropy(head(hidden), targets, reduction="none")
    for nll, grad, weight_grad in found:
        torch.testing.assert_close(nll, dense.detach())
        torch.testing.assert_close(grad, found[0][1])
        assert (weight_grad is not None) == trainable_head
        if trainable_head:
            torch.testing.assert_close(weight_grad, found[0][2])


def test_no_more_logits_exist_at_once_than_allowed():
    head = torch.nn.Linear(4, 100, bias=False)
    sizes = []
    head.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel()))
    hidden = torch.randn(50, 4, requires_grad=True)
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        nll = losses.token_nll(hidden, torch.zeros(50, dtype=torch.long), head, 700)
    assert sum(kept) < 50 * 100 / 2  # the graph holds no logits between forward and backward
    nll.sum().backward()
    assert max(sizes) <= 700
    assert sum(sizes) == 2 * 50 * 100  # once forward, once again backward


def test_only_marked_tokens_reach_the_head():
    seen = []

    def head(hidden):
        seen.append(hidden.shape[0])
        return hidden

    head.weight = torch.empty(3, 3)
    hidden = torch.randn(2, 5, 3)
    ids = torch.zeros(2, 5, dtype=torch.long)
    marked = torch.zeros(2, 5, dtype=torch.bool)
    marked[0, 3:] = marked[1, 4] = True
    losses.marked_nll(hidden, ids, marked, head)
    assert seen == [3]

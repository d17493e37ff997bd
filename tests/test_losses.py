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
    hidden = torch.stack(
        [
            states((1 / 4, 1 / 2, 1 / 4), (1 / 4, 1 / 4, 1 / 2), (1 / 3, 1 / 3, 1 / 3)),
            states((1 / 8, 1 / 8, 3 / 4), (1 / 4, 1 / 4, 1 / 2), (1 / 3, 1 / 3, 1 / 3)),
        ]
    )
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
@pytest.mark.parametrize("logits", [10**6, 11 * 5 + 3, 1])
def test_chunks_change_neither_value_nor_gradient(trainable_head, logits):
    torch.manual_seed(0)
    states = torch.randn(37, 8, dtype=torch.float64, requires_grad=True)
    head = torch.nn.Linear(8, 11, bias=False, dtype=torch.float64)
    head.requires_grad_(trainable_head)
    targets = torch.randint(11, (37,))
    leaves = [states, head.weight] if trainable_head else [states]

    def found(nll):
        assert nll.dtype == torch.float64
        return nll, torch.autograd.grad(nll.sum() + losses.unlikelihood(nll).sum(), leaves)

    dense = found(torch.nn.functional.cross_entropy(head(states), targets, reduction="none"))
    torch.testing.assert_close(found(losses.token_nll(states, targets, head, logits)), dense)


def test_a_frozen_head_computes_its_logits_once_and_keeps_none():
    head = torch.nn.Linear(4, 100, bias=False).requires_grad_(False)
    sizes, kept = seen_sizes(head, 750)
    assert max(sizes) <= 750
    assert sum(sizes) == 50 * 100
    assert sum(kept) == 50 * 4  # the slopes


def test_a_head_that_trains_computes_its_logits_again_and_keeps_none():
    head = torch.nn.Linear(4, 100, bias=False)
    sizes, kept = seen_sizes(head, 750)
    assert max(sizes) <= 750
    assert sum(sizes) == 2 * 50 * 100
    assert sum(kept) < 50 * 100 / 2
    assert head.weight.grad is not None


def seen_sizes(head, logits):
    """How many logits each call of the head gave; the sizes of what the graph kept but for it."""
    sizes, kept = [], []
    head.register_forward_hook(lambda _m, _i, out: sizes.append(out.numel()))

    def pack(tensor):
        if tensor.data_ptr() != head.weight.data_ptr():
            kept.append(tensor.numel())
        return tensor

    hidden = torch.randn(50, 4, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        nll = losses.token_nll(hidden, torch.zeros(50, dtype=torch.long), head, logits)
    nll.sum().backward()
    return sizes, kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_mixed_precision_the_gradient_has_the_dtype_of_the_hidden_states(dtype):
    torch.manual_seed(0)
    states = torch.randn(20, 32).to(dtype).requires_grad_()
    head = torch.nn.Sequential(torch.nn.Linear(32, 50)).requires_grad_(False)  # has no `weight`
    targets = torch.randint(50, (20,))
    with torch.autocast("cpu", torch.bfloat16):
        nll = losses.token_nll(states, targets, head, 200)
        usual = torch.nn.functional.cross_entropy(head(states).float(), targets, reduction="none")
    assert nll.dtype == torch.float32
    (mine,), (other,) = (
        torch.autograd.grad((x * x).sum(), states, retain_graph=True) for x in (nll, usual)
    )
    assert mine.dtype == dtype
    torch.testing.assert_close(nll, usual, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(mine, other, rtol=3e-2, atol=3e-2)


def test_a_head_in_four_bits_gives_the_gradient_of_its_rounded_weights():
    import bitsandbytes as bnb

    torch.manual_seed(0)
    head = bnb.nn.Linear4bit(64, 80, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    head = head.to("cpu").requires_grad_(False)
    rounded = bnb.functional.dequantize_4bit(head.weight.data, head.weight.quant_state).float()
    states, targets = torch.randn(9, 64, requires_grad=True), torch.randint(80, (9,))
    nll = losses.token_nll(states, targets, head, 160)
    usual = torch.nn.functional.cross_entropy(states @ rounded.T, targets, reduction="none")
    torch.testing.assert_close(nll, usual)
    mine, other = (torch.autograd.grad(x.sum(), states)[0] for x in (nll, usual))
    torch.testing.assert_close(mine, other)


def test_a_bare_function_may_hide_weights_that_train():
    weight = torch.randn(7, 4, requires_grad=True)
    hidden = torch.randn(3, 4, requires_grad=True)
    nll = losses.token_nll(hidden, torch.tensor([0, 1, 2]), lambda x: x @ weight.T, 7)
    nll.sum().backward()
    assert weight.grad.abs().sum() > 0


def test_without_a_gradient_none_is_computed():
    head = torch.nn.Linear(4, 10).requires_grad_(False)
    modes = []
    head.register_forward_hook(lambda _m, _i, out: modes.append(out.requires_grad))
    with torch.no_grad():
        hidden = torch.randn(5, 4, requires_grad=True)
        assert not losses.token_nll(hidden, torch.arange(5), head, 20).requires_grad
    losses.token_nll(torch.randn(5, 4), torch.arange(5), head, 20)
    assert not any(modes)


@pytest.mark.parametrize("trainable_head", [False, True])
def test_no_tokens_have_no_loss(trainable_head):
    head = torch.nn.Linear(4, 10).requires_grad_(trainable_head)
    hidden = torch.empty(0, 4, requires_grad=True)
    nll = losses.token_nll(hidden, torch.empty(0, dtype=torch.long), head)
    assert nll.shape == (0,)
    nll.sum().backward()
    assert hidden.grad.shape == (0, 4)


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


@pytest.mark.parametrize("logits", [11, 100, 10**9])
def test_the_divergence_from_a_model_that_is_kept_and_its_gradient(logits):
    torch.manual_seed(0)
    states = torch.randn(37, 8, dtype=torch.float64, requires_grad=True)
    before = torch.randn(37, 8, dtype=torch.float64)
    head = torch.nn.Linear(8, 11, bias=False, dtype=torch.float64).requires_grad_(False)
    usual = torch.nn.functional.kl_div(
        head(states).log_softmax(-1), head(before).log_softmax(-1), reduction="none",
        log_target=True,
    ).sum(-1)  # fmt: skip
    found = losses.token_kl(states, before, head, logits)
    torch.testing.assert_close(found, usual)
    upstream = torch.rand(37, dtype=torch.float64)
    mine, other = (torch.autograd.grad((x * upstream).sum(), states)[0] for x in (found, usual))
    torch.testing.assert_close(mine, other)
    same = losses.token_kl(states, states.detach(), head, logits)
    assert same.abs().max() < 1e-12
    assert torch.autograd.grad(same.sum(), states)[0].abs().max() < 1e-12


def test_the_divergence_by_hand_is_of_the_states_that_predict_marked_tokens():
    now, kept = states((1 / 2, 1 / 4, 1 / 4), (1, 1, 1)), states((1 / 4, 1 / 4, 1 / 2), (1, 1, 1))
    marked = torch.tensor([[False, True]])
    (kl,), (row,) = losses.marked_kl(now[None].requires_grad_(), kept[:1], marked, HEAD)
    assert row == 0
    assert kl.item() == pytest.approx(1 / 4 * math.log(1 / 2) + 1 / 2 * math.log(2))

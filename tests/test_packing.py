"""Rows that share a line are learnt as if each were alone, and little of a pass is padding."""

import random

import pytest
import torch

from ltf_lite.engines import model_path
from ltf_lite.tuning.attention import attending, packs
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.loading import load_for_tuning
from ltf_lite.tuning.methods import METHODS
from ltf_lite.tuning.packing import Row, collate, filled, fitting, pack
from ltf_lite.tuning.parts import Totals
from ltf_lite.tuning.trainer import UFTTrainer
from tests import tiny_models


def settings(method="uft", **changes):
    told = {"steps": 4, "eval_every": 4, "learning_rate": 1e-3, "batch": 8, "rank": 4, "seed": 0}
    more = {"alpha": 0.3, "ratio": 0.5} if method == "uft" else {}
    return METHODS.get(method)(method=method, **told | more | changes)


def rows(count, low, high, good=True, seed=0):
    """Rows of so many random tokens, the last half of each with loss."""
    drawn, found = random.Random(seed), []
    for _ in range(count):
        n = drawn.randint(low, high)
        ids = [drawn.randrange(5, 250) for _ in range(n)]
        found.append(Row(ids, [k >= n // 2 for k in range(n)], good))
    return found


@pytest.fixture(scope="module", params=["tiny-base", "llama", "qwen2", "qwen3"])
def model_dir(request, tmp_path_factory):
    if request.param == "tiny-base":
        return model_path("tiny-base")
    folder = tmp_path_factory.mktemp(request.param)
    getattr(tiny_models, request.param)(folder)
    return folder


def step(model_dir, out, data, told):
    """(loss, gradients, share of the pass that was padding) of one step."""
    model, _ = load_for_tuning(model_dir, told)
    trainer = UFTTrainer(model, data, told, out)
    for name, weight in trainer.model.named_parameters():
        if "lora_B" in name:  # of zeros A would have no gradient
            torch.nn.init.normal_(weight, std=0.02, generator=torch.Generator().manual_seed(1))
    loss = float(trainer.training_step(trainer.model, {"micro_batch": 0}))
    grads = {n: p.grad for n, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.look(1)
    tally = trainer.tally
    used = tally.success_tokens + tally.failed_tokens + tally.replay_tokens
    return loss, grads, 1 - used / tally.computed


@pytest.mark.parametrize(("method", "replay"), [("uft", 0.0), ("uft", 0.25), ("simpo", 0.25)])
def test_packed_rows_give_the_loss_and_the_gradients_of_rows_alone(
    model_dir, tmp_path, method, replay
):
    told = settings(method, replay=replay)
    said = rows(8, 5, 20, seed=2) if replay else []
    good, bad = rows(8, 5, 40), rows(8, 5, 40, good=False, seed=1)
    if method == "simpo":  # a failure of the same prompt for each success
        bad = [Row([*g.ids[: len(g.ids) // 2], 9, 8], [*g.marked[: len(g.ids) // 2], True, True],
                   False) for g in good]  # fmt: skip
    alone, packed = (
        step(model_dir, tmp_path / str(kind), Batches(good, bad, told, 0, kind, said), told)
        for kind in (False, True)
    )
    assert packed[0] == pytest.approx(alone[0], rel=1e-5)
    assert alone[1].keys() == packed[1].keys()
    for name, gradient in alone[1].items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(packed[1][name], gradient, rtol=1e-3, atol=1e-6)
    assert packed[2] < alone[2]


@pytest.mark.parametrize(("low", "high"), [(20, 40), (40, 160), (100, 400)])
def test_no_more_than_a_tenth_of_what_is_tuned_is_padding(low, high):
    told = settings("sft", batch=16, max_length=512)
    data = Batches(rows(200, low, high), [], told, 0, packed=True)
    computed = used = 0
    for i in range(4):
        for piece in data.pieces(i, max(1, data.tokens() // 1024)):
            computed += piece.ids.numel()
            used += piece.tokens.total
    assert used / computed >= 0.9


def test_every_row_is_in_one_line_and_no_line_is_overfull():
    lengths = [len(row.ids) for row in rows(60, 1, 90)]
    for lines in (*fitting(lengths), filled(lengths, 128)):
        assert sorted(k for line in lines for k in line) == list(range(60))
        assert max(sum(lengths[k] for k in line) for line in lines) <= 512


def test_a_row_longer_than_a_line_has_one_of_its_own():
    (lines,) = fitting([700, 3, 4])
    assert sorted(map(len, lines)) == [1, 2]


def test_replay_has_lines_of_its_own():
    first, second = fitting([30, 40, 50], [20, 20])
    assert sorted(k for line in first for k in line) == [0, 1, 2]
    assert sorted(k for line in second for k in line) == [0, 1]
    sides = rows(6, 5, 30), rows(3, 5, 30, good=False, seed=1), rows(5, 5, 30, seed=2)
    piece = pack(sides, 0, Totals(1, 1, 3, 5))
    assert piece.again == 5
    used = piece.marked.nonzero()[:, 0]
    row = piece.places.row[piece.marked]
    assert ((used >= piece.lines) == (row >= 9)).all()


def test_the_first_token_of_a_row_is_not_learnt_from_the_row_before_it():
    whole = [Row([5, 6, 7], [True] * 3, True), Row([8, 9], [True] * 2, True)]
    piece = pack([whole, [], []], 0, Totals(5, 0, 0))
    (line,) = piece.ids.tolist()
    assert line == [5, 6, 7, 8, 9]
    assert piece.marked.tolist() == [[False, True, True, False, True]]
    assert piece.places.row.tolist() == [[0, 0, 0, 1, 1]]
    assert piece.places.position.tolist() == [[0, 1, 2, 0, 1]]
    below = collate([whole, [], []], 0, Totals(5, 0, 0))
    assert below.marked[:, 1:].sum() == piece.marked.sum()  # as where each row begins a line


def test_a_model_is_asked_whether_rows_may_share_a_line(model_dir):
    model, _ = load_for_tuning(model_dir, settings())
    assert packs(model, settings())
    assert not packs(model, settings("npo"))  # asks the base about the failures alone

    decoder = model.get_base_model().model
    forward = decoder.forward
    decoder.forward = lambda **told: forward(**{k: told[k] for k in ("input_ids", "use_cache")})
    assert not packs(model, settings())  # it sees the row before


def test_attention_is_what_it_was_after_a_step(model_dir):
    model, _ = load_for_tuning(model_dir, settings())
    config, short = model.get_base_model().model.config, torch.zeros(1, 8, dtype=torch.long)
    before = config._attn_implementation
    with attending(config, short):
        assert config._attn_implementation == "eager"
    assert config._attn_implementation == before
    with attending(config, torch.zeros(1, 2000, dtype=torch.long)):
        assert config._attn_implementation == before

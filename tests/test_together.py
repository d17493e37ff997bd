"""Pieces of a step side by side, and what the base says of replay asked for many steps at once."""

import random

import pytest
import torch

from ltf_lite.engines import model_path
from ltf_lite.tuning.data import Batches
from ltf_lite.tuning.loading import load_for_tuning
from ltf_lite.tuning.methods.uft import UFT
from ltf_lite.tuning.packing import Row
from ltf_lite.tuning.remembered import STEPS
from ltf_lite.tuning.together import at_once, side_by_side
from ltf_lite.tuning.trainer import UFTTrainer

TOLD = UFT(
    steps=2 * STEPS, eval_every=2 * STEPS, learning_rate=1e-3, batch=8, alpha=0.1, rank=128,
    max_length=96, replay=0.25,
)  # fmt: skip


def rows(count: int, good: bool, seed: int) -> list[Row]:
    drawn, found = random.Random(seed), []
    for _ in range(count):
        n = drawn.randint(6, 40)
        marks = [k >= n // 2 for k in range(n)]
        found.append(Row([drawn.randrange(5, 900) for _ in range(n)], marks, good))
    return found


@pytest.fixture
def two_threads():
    was = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(was)


def trainer_of(out, packed: bool = True, told: UFT = TOLD) -> UFTTrainer:
    model, _ = load_for_tuning(model_path("tiny-base"), told)
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # of zeros A would have no gradient
            torch.nn.init.normal_(weight, std=0.02, generator=torch.Generator().manual_seed(1))
    sides = rows(40, True, 0), rows(40, False, 1), rows(40, True, 2)
    data = Batches(*sides[:2], told, 0, packed, sides[2])
    trainer = UFTTrainer(model, data, told, out)
    trainer.tally.pieces = 2
    return trainer


def stepped(trainer: UFTTrainer):
    loss = float(trainer.training_step(trainer.model, {"micro_batch": 0}))
    grads = {n: p.grad for n, p in trainer.model.named_parameters() if p.requires_grad}
    return loss, grads, trainer.sums.clone()


@pytest.mark.parametrize("rank", [128, 4])  # of a low rank no sums are formed
def test_two_pieces_side_by_side_give_the_step_of_two_in_turn(tmp_path, two_threads, rank):
    told = TOLD.model_copy(update={"rank": rank})
    together, in_turn = (trainer_of(tmp_path / name, told=told) for name in "ab")
    assert together.pool is not None
    in_turn.pool = None
    one, other = stepped(together), stepped(in_turn)
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    torch.testing.assert_close(one[2], other[2])
    for name, gradient in other[1].items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(one[1][name], gradient, rtol=1e-4, atol=1e-6)
    assert torch.get_num_threads() == 2
    again = stepped(trainer_of(tmp_path / "c", told=told))  # whichever thread is done first
    assert all(torch.equal(again[1][name], one[1][name]) for name in one[1])


def test_what_is_given_is_in_order_and_what_is_raised_comes_out(tmp_path, two_threads):
    pool = side_by_side(trainer_of(tmp_path).model.get_base_model())
    for count in (0, 1, 2, 20):
        found = list(at_once(lambda k: k * k, list(range(count)), pool))
        assert found == [k * k for k in range(count)]
    with pytest.raises(ZeroDivisionError):
        list(at_once(lambda k: 1 / k, [1, 0], pool))
    assert torch.get_num_threads() == 2


def test_a_model_wide_enough_for_threads_to_share_has_no_pieces_side_by_side(two_threads):
    wide = torch.nn.Module()
    wide.get_input_embeddings = lambda: torch.nn.Embedding(4, 256)
    assert side_by_side(wide) is None
    torch.set_num_threads(1)
    narrow = torch.nn.Module()
    narrow.get_input_embeddings = lambda: torch.nn.Embedding(4, 160)
    assert side_by_side(narrow) is None


@pytest.mark.parametrize("packed", [True, False])
def test_the_base_is_asked_once_for_many_steps_and_says_what_it_says_of_each_row_alone(
    packed, tmp_path
):
    trainer = trainer_of(tmp_path, packed)
    asked = []
    states = trainer.forward.base.states
    trainer.forward.base.states = lambda piece: asked.append(piece.again) or states(piece)
    for step in range(STEPS):
        trainer.forward.base.prepare(step)
    first = sum(asked)
    known = dict(trainer.forward.base.known)
    assert first == len(known) == len({id(r) for r in trainer.batches.replay_of(0, STEPS)})
    trainer.forward.base.prepare(STEPS)
    assert sum(asked) > first
    for row in trainer.batches.replay_of(0, 2):
        with torch.no_grad(), trainer.model.disable_adapter():
            decoder = trainer.model.get_base_model().model
            hidden = decoder(input_ids=torch.tensor([row.ids]), use_cache=False).last_hidden_state
        wanted = hidden[0, :-1][torch.tensor(row.marked[1:])]
        torch.testing.assert_close(known[id(row)], wanted, rtol=1e-4, atol=1e-4)

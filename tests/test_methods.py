"""Every method's loss against arithmetic done by hand, its pairs, and its training."""

from __future__ import annotations

import math

import pytest
import torch

from ltf_lite.core.plugins import PluginError
from ltf_lite.engines import Dialect
from ltf_lite.harvest.example import Example
from ltf_lite.tiny import tokenizer
from ltf_lite.tuning import Tuning, TuningError, load_for_tuning, tune
from ltf_lite.tuning.data import Batches, paired, prompt_of, rows_of
from ltf_lite.tuning.methods import METHODS
from ltf_lite.tuning.parts import Parts, Side, Totals, learning
from ltf_lite.tuning.trainer import UFTTrainer
from ltf_lite.tuning.types import Validation
from tests.settings import changed, tuning

COMPACT = Dialect("compact")
SETTINGS = tuning(batch=4, alpha=0.3, warmup=2, rank=4, lora_alpha=8, max_length=64)
GOOD = [Example(f"{n},{n + 1}>", f"{n}+{n + 1}={2 * n + 1}\n", True, 0, 9) for n in range(20)]
BAD = [Example(f"{n},{n + 1}>", f"{n}-{n + 1}={n + 7}\n", False, 0, 9) for n in range(20)]

# Success 0 has tokens of p = 1/2 and 1/4, success 1 one of 1/8; failure 0 has two of 1/2, failure
# 1 one of 1/16. In units of log 2 their NLL is 1 2 | 3 and 1 1 | 4.
UNIT = math.log(2)


def side(*rows: list[float]) -> Side:
    nll = torch.tensor([UNIT * x for row in rows for x in row], dtype=torch.float64)
    of = torch.tensor([i for i, row in enumerate(rows) for _ in row])
    return Side(nll.requires_grad_(), of, len(rows))


def parts(reference: list[float] | None = None) -> Parts:
    base = None if reference is None else torch.tensor(reference, dtype=torch.float64) * UNIT
    return Parts(side([1, 2], [3]), side([1, 1], [4]), Totals(3, 3, 2), base)


def with_known(name: str, **told: float) -> Tuning:
    """The method with those of the settings that it has."""
    known = METHODS.get(name).model_fields
    return tuning(name, **{key: value for key, value in told.items() if key in known})


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


EXPECTED = {
    "sft": 0.0,
    "uft": -(2 * math.log(1 / 2) + math.log(15 / 16)) / 3,
    "gradient_ascent": -(1 + 1 + 4) * UNIT / 3,
    # the base gave the failures 3 and 3 units of NLL: log-ratios of +1 and -1 units
    "npo": -(2 / 0.5) * (log_sigmoid(-0.5 * UNIT) + log_sigmoid(0.5 * UNIT)) / 2,
    # means: successes 1.5 and 3, failures 1 and 4 units
    "simpo": -(log_sigmoid(0.5 * -0.5 * UNIT - 0.25) + log_sigmoid(0.5 * UNIT - 0.25)) / 2,
}
EXPECTED["cpo_simpo"] = EXPECTED["simpo"]


@pytest.mark.parametrize("name", METHODS.names())
def test_forgetting_by_hand(name):
    found = with_known(name, beta=0.5, gamma=0.25).forgetting(parts([3, 3]))
    assert found.item() == pytest.approx(EXPECTED[name], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("sft", (1, 0)),
        ("uft", (0.75, 0.25)),
        ("gradient_ascent", (0.75, 0.25)),
        ("npo", (0.75, 0.25)),
        ("simpo", (0, 1)),
        ("cpo_simpo", (0.5, 1)),
    ],
)
def test_what_becomes_smaller(name, weights):
    assert with_known(name, alpha=0.25, nll_weight=0.5).weights() == weights
    assert learning(parts()).item() == pytest.approx(2 * UNIT)


@pytest.mark.parametrize("name", ["uft", "gradient_ascent", "npo", "simpo", "cpo_simpo"])
def test_every_method_pushes_failures_down_and_none_pushes_successes_down(name):
    both = parts([3, 3])
    tuning(name).forgetting(both).backward()
    assert (both.bad.nll.grad < 0).all()  # a smaller loss is a larger NLL
    if METHODS.get(name).pairs:
        assert (both.good.nll.grad > 0).all()
    else:
        assert both.good.nll.grad is None


def test_npo_forgets_what_the_base_held_likely_and_lets_go_of_what_is_forgotten():
    both = parts([3, -9])  # log-ratios of +1 and of -13 units: the second is forgotten already
    tuning("npo", beta=0.5).forgetting(both).backward()
    first, _, second = both.bad.nll.grad.tolist()
    assert abs(second) < 0.05 * abs(first)


def test_a_method_has_the_settings_that_it_uses_and_no_others():
    own = {
        name: set(METHODS.get(name).model_fields) - set(Tuning.model_fields) for name in EXPECTED
    }
    weighed = {"alpha", "credit", "ratio"}
    assert own == {
        "sft": set(),
        "uft": weighed,
        "gradient_ascent": weighed,
        "npo": {*weighed, "beta"},
        "simpo": {"beta", "gamma"},
        "cpo_simpo": {"beta", "gamma", "nll_weight"},
    }
    assert set(METHODS.names()) == set(own)


@pytest.mark.parametrize("name", METHODS.names())
def test_how_many_failures_go_with_eight_successes(name):
    assert tuning(name).failures(8) == (0 if name == "sft" else 8)
    if "ratio" in METHODS.get(name).model_fields:
        assert tuning(name, ratio=0.25).failures(8) == 2
        assert tuning(name, alpha=0).failures(8) == 0


@pytest.mark.parametrize(("name", "beta"), [("npo", 0.1), ("simpo", 2.0), ("cpo_simpo", 2.0)])
def test_beta_is_the_customary_one_where_nothing_is_said(name, beta):
    assert tuning(name).own()["beta"] == beta


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(PluginError, match=r"no method 'utf'.*uft"):
        METHODS.get("utf")


# ---- pairs


def rows(*examples):
    return rows_of(examples, tokenizer.build(), 64, COMPACT)[:2]


def test_pairs_are_of_one_problem_and_use_every_row_of_it():
    good, bad = rows(
        Example("1,2>", "1+2=3", True, 0, 5),
        Example("1,2>", "2+1=3", True, 0, 5),
        Example("1,2>", "1+2=4", False, 0, 5),
        Example("1,2>", "1+2=5", False, 0, 5),
        Example("1,2>", "1+2=6", False, 0, 5),
        Example("3,4>", "3+4=7", True, 0, 5),  # no failure
        Example("5,6>", "5+6=12", False, 0, 6),  # no success
    )
    chosen, rejected = paired(good, bad)
    assert len(chosen) == len(rejected) == 3
    assert all(prompt_of(a) == prompt_of(b) for a, b in zip(chosen, rejected, strict=True))
    assert [row.ids for row in rejected] == [row.ids for row in bad[:3]]
    assert {tuple(row.ids) for row in chosen} == {tuple(row.ids) for row in good[:2]}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_pairs_stay_together_in_every_piece_of_every_epoch(count):
    told = changed(SETTINGS, method="simpo", steps=20, accumulation=2)
    data = Batches(*rows(*GOOD, *BAD), told, 0)
    seen = 0
    for i in range(len(data)):
        for piece in data.pieces(i, count):
            n = piece.successes
            assert len(piece.ids) == 2 * n
            prompts = [ids[:3].tolist() for ids in piece.ids]
            assert prompts[:n] == prompts[n:]
            seen += n
    assert seen == 20 * 2 * 4


def test_no_pair_at_all_is_said_to_be_so():
    with pytest.raises(TuningError, match=r"no problem has both.*method: uft"):
        Batches(*rows(GOOD[0], BAD[1]), changed(SETTINGS, method="cpo_simpo"), 0)


# ---- training


def nll(model, examples) -> float:
    tok, found = tokenizer.build(), []
    for e in examples:
        prompt = tok(e.prompt)["input_ids"]
        ids = torch.tensor([prompt + tok(e.completion, add_special_tokens=False)["input_ids"]])
        found.append(
            model(
                input_ids=ids, labels=ids.where(torch.arange(ids.shape[1]) >= len(prompt), -100)
            ).loss.item()
        )
    return sum(found) / len(found)


@pytest.mark.parametrize("name", METHODS.names())
@pytest.mark.slow
def test_each_method_widens_the_gap_between_successes_and_failures(name, base, tmp_path):
    gaps = []

    def validate(model, tok):
        gaps.append(nll(model, BAD[:4]) - nll(model, GOOD[:4]))
        with model.disable_adapter():
            gaps.append(nll(model, BAD[:4]) - nll(model, GOOD[:4]))
        return Validation(0.0)

    told = changed(SETTINGS, method=name, steps=40, eval_every=40, learning_rate=1e-2, batch=8)
    result = tune(base, [*GOOD, *BAD], tmp_path, told, validate, dialect=COMPACT)
    assert gaps[0] > gaps[1] + 0.1
    assert (result.tokens.failed > 0) == (name != "sft")


def trainer_of(base, out, settings):
    model, _ = load_for_tuning(base, settings)
    return UFTTrainer(model, Batches(*rows(*GOOD, *BAD), settings, 0), settings, out)


def test_the_reference_is_the_base_and_stays_it(base, tmp_path):
    trainer = trainer_of(base, tmp_path, changed(SETTINGS, method="npo", steps=4))
    (piece,) = trainer.batches.pieces(0, 1)
    before = trainer.forward.parts(piece)
    torch.testing.assert_close(before.reference, before.bad.sums().detach())  # B is still zero
    trainer.train()
    after = trainer.forward.parts(piece)
    torch.testing.assert_close(after.reference, before.reference)
    assert (after.bad.sums() - after.reference).abs().max() > 1e-3
    assert not after.reference.requires_grad


def weights(trainer):
    model = trainer.model
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


class SmallDevice:
    """A decoder that runs out of memory when it gets more than `room` rows."""

    def __init__(self, decoder, room: int) -> None:
        self.decoder, self.room, self.rows = decoder, room, []

    def __call__(self, input_ids, **options):
        if len(input_ids) > self.room:
            raise torch.OutOfMemoryError("no room")
        self.rows.append(len(input_ids))
        return self.decoder(input_ids=input_ids, **options)


@pytest.mark.parametrize("name", ["uft", "npo", "cpo_simpo"])
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.slow
def test_out_of_memory_halves_the_micro_batch_and_changes_nothing(
    name, accumulation, base, tmp_path
):
    told = changed(SETTINGS, method=name, steps=3, accumulation=accumulation)
    whole, small = (trainer_of(base, tmp_path / n, told) for n in ("whole", "small"))
    whole.train()
    small.forward.decoder = SmallDevice(small.forward.decoder, 3)  # of 8 rows
    small.train()
    assert small.tally.pieces == 4
    assert max(small.forward.decoder.rows) == 2
    for key, weight in weights(whole).items():
        torch.testing.assert_close(weights(small)[key], weight, rtol=1e-3, atol=2e-5)
    one, other = whole.tally, small.tally
    assert one.success_tokens == other.success_tokens


def test_the_losses_logged_are_the_same_after_an_out_of_memory_error(base, tmp_path):
    told = changed(SETTINGS, steps=1, accumulation=2)
    sums = []
    for room in (99, 3):
        trainer = trainer_of(base, tmp_path / str(room), told)
        trainer.forward.decoder = SmallDevice(trainer.forward.decoder, room)
        for i in range(2):
            trainer.training_step(trainer.model, {"micro_batch": i})
        sums.append(trainer.sums.clone())
    torch.testing.assert_close(sums[0], sums[1])


def test_no_room_for_one_example_is_one_sentence(base, tmp_path):
    trainer = trainer_of(base, tmp_path, SETTINGS)
    trainer.forward.decoder = SmallDevice(trainer.forward.decoder, 0)
    with pytest.raises(TuningError, match=r"no room for a single example: lower max_length"):
        trainer.train()


def test_a_forgotten_tokens_weight_is_that_of_the_loss():
    """The slopes of J by the log p of a learnt and of a forgotten token that are likely alike."""
    told = tuning("gradient_ascent", alpha=0.2)
    nll = torch.full((10,), 0.5, requires_grad=True)
    rows = torch.zeros(10, dtype=torch.long)
    parts = Parts(Side(nll[:8], rows[:8], 1), Side(nll[8:], rows[8:], 1), Totals(8, 2, 1))
    followed, forgotten = told.weights()
    (followed * learning(parts) + forgotten * told.forgetting(parts)).backward()
    assert -nll.grad[9] / nll.grad[0] == pytest.approx(told.token_weight(8, 2))
    assert tuning("uft", alpha=0.2).token_weight(8, 2) == told.token_weight(8, 2)
    assert tuning("uft", alpha=0.2).token_weight(8, 0) == 0
    assert tuning("npo", alpha=0.2).token_weight(8, 2) == 0
    assert tuning("sft").token_weight(8, 0) == 0

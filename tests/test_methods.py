"""Every method's loss against arithmetic done by hand, its pairs, and its training."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ltf_lite.harvest.example import Example
from ltf_lite.preset_schema import METHOD_SETTINGS
from ltf_lite.tiny import tokenizer
from ltf_lite.tuning import Lora, TuneSettings, TuningError, load_for_tuning, tune
from ltf_lite.tuning.data import Batches, paired, prompt_of, rows_of
from ltf_lite.tuning.methods import METHODS, Parts, Side, Totals, get_method, learning
from ltf_lite.tuning.trainer import UFTTrainer

SETTINGS = TuneSettings(
    steps=6, batch=4, alpha=0.3, learning_rate=5e-3, warmup=2, rank=4, lora_alpha=8, eval_every=6,
    max_length=64,
)  # fmt: skip
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


@pytest.mark.parametrize("name", METHODS)
def test_forgetting_by_hand(name):
    told = TuneSettings(method=name, beta=0.5, gamma=0.25)
    found = METHODS[name].forgetting(parts([3, 3]), told)
    assert found.item() == pytest.approx(EXPECTED[name], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "weights"),
    [("sft", (1, 0)), ("uft", (0.75, 0.25)), ("gradient_ascent", (0.75, 0.25)),
     ("npo", (0.75, 0.25)), ("simpo", (0, 1)), ("cpo_simpo", (0.5, 1))],
)  # fmt: skip
def test_what_becomes_smaller(name, weights):
    told = TuneSettings(method=name, alpha=0.25, nll_weight=0.5)
    assert METHODS[name].weights(told) == weights
    assert learning(parts()).item() == pytest.approx(2 * UNIT)


@pytest.mark.parametrize("name", ["uft", "gradient_ascent", "npo", "simpo", "cpo_simpo"])
def test_every_method_pushes_failures_down_and_none_pushes_successes_down(name):
    both = parts([3, 3])
    METHODS[name].forgetting(both, TuneSettings(method=name)).backward()
    assert (both.bad.nll.grad < 0).all()  # a smaller loss is a larger NLL
    if METHODS[name].pairs:
        assert (both.good.nll.grad > 0).all()
    else:
        assert both.good.nll.grad is None


def test_npo_forgets_what_the_base_held_likely_and_lets_go_of_what_is_forgotten():
    both = parts([3, -9])  # log-ratios of +1 and of -13 units: the second is forgotten already
    METHODS["npo"].forgetting(both, TuneSettings(beta=0.5)).backward()
    first, _, second = both.bad.nll.grad.tolist()
    assert abs(second) < 0.05 * abs(first)


def test_the_preset_knows_the_methods_that_there_are():
    assert METHOD_SETTINGS.keys() == METHODS.keys()
    for name, method in METHODS.items():
        assert ("alpha" in METHOD_SETTINGS[name]) == (name in ("uft", "gradient_ascent", "npo"))
        assert ("ratio" in METHOD_SETTINGS[name]) == (not method.pairs and name != "sft")


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(TuningError, match=r"no method 'utf'.*uft"):
        get_method("utf")


# ---- pairs


def rows(*examples):
    return rows_of(examples, tokenizer.build(), 64)[:2]


def test_pairs_are_of_one_problem_and_use_every_row_of_it():
    good, bad = rows(
        Example("1,2>", "1+2=3", True, 0, 5), Example("1,2>", "2+1=3", True, 0, 5),
        Example("1,2>", "1+2=4", False, 0, 5), Example("1,2>", "1+2=5", False, 0, 5),
        Example("1,2>", "1+2=6", False, 0, 5),
        Example("3,4>", "3+4=7", True, 0, 5),  # no failure
        Example("5,6>", "5+6=12", False, 0, 6),  # no success
    )  # fmt: skip
    chosen, rejected = paired(good, bad)
    assert len(chosen) == len(rejected) == 3
    assert all(prompt_of(a) == prompt_of(b) for a, b in zip(chosen, rejected, strict=True))
    assert [row.ids for row in rejected] == [row.ids for row in bad[:3]]
    assert {tuple(row.ids) for row in chosen} == {tuple(row.ids) for row in good[:2]}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_pairs_stay_together_in_every_piece_of_every_epoch(count):
    told = replace(SETTINGS, method="simpo", steps=20, accumulation=2)
    data = Batches(*rows(*GOOD, *BAD), told, 0)
    seen = 0
    for i in range(len(data)):
        for piece in data.pieces(i, count):
            n = piece["successes"]
            assert len(piece["input_ids"]) == 2 * n
            prompts = [ids[:3].tolist() for ids in piece["input_ids"]]
            assert prompts[:n] == prompts[n:]
            seen += n
    assert seen == 20 * 2 * 4


def test_no_pair_at_all_is_said_to_be_so():
    with pytest.raises(TuningError, match=r"no problem has both.*method: uft"):
        Batches(*rows(GOOD[0], BAD[1]), replace(SETTINGS, method="cpo_simpo"), 0)


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


@pytest.mark.parametrize("name", METHODS)
def test_each_method_widens_the_gap_between_successes_and_failures(name, base, tmp_path):
    gaps = []

    def validate(model, tok):
        gaps.append(nll(model, BAD[:4]) - nll(model, GOOD[:4]))
        with model.disable_adapter():
            gaps.append(nll(model, BAD[:4]) - nll(model, GOOD[:4]))
        return {"success": 0.0}

    told = replace(SETTINGS, method=name, steps=40, eval_every=40, learning_rate=1e-2, batch=8,
                   beta=0.1 if name == "npo" else None)  # fmt: skip
    result = tune(base, [*GOOD, *BAD], tmp_path, told, validate)
    assert gaps[0] > gaps[1] + 0.1
    assert (result["tokens"]["failed"] > 0) == (name != "sft")


def trainer_of(base, out, settings):
    model, _ = load_for_tuning(base, Lora(4, 8, 0.0), settings.load_in_4bit)
    return UFTTrainer(model, Batches(*rows(*GOOD, *BAD), settings, 0), settings, out)


def test_the_reference_is_the_base_and_stays_it(base, tmp_path):
    trainer = trainer_of(base, tmp_path, replace(SETTINGS, method="npo", steps=4))
    (piece,) = trainer.batches.pieces(0, 1)
    before = trainer.parts(piece)
    torch.testing.assert_close(before.reference, before.bad.sums().detach())  # B is still zero
    trainer.train()
    after = trainer.parts(piece)
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
def test_out_of_memory_halves_the_micro_batch_and_changes_nothing(
    name, accumulation, base, tmp_path
):
    told = replace(SETTINGS, method=name, steps=3, accumulation=accumulation, alpha=0.3)
    whole, small = (trainer_of(base, tmp_path / n, told) for n in ("whole", "small"))
    whole.train()
    small.decoder = SmallDevice(small.decoder, 3)  # of 8 rows
    small.train()
    assert small.tally.pieces == 4
    assert max(small.decoder.rows) == 2
    for key, weight in weights(whole).items():
        torch.testing.assert_close(weights(small)[key], weight, rtol=1e-3, atol=2e-5)
    one, other = whole.tally, small.tally
    assert one.success_tokens == other.success_tokens


def test_the_losses_logged_are_the_same_after_an_out_of_memory_error(base, tmp_path):
    told = replace(SETTINGS, steps=1, accumulation=2)
    sums = []
    for room in (99, 3):
        trainer = trainer_of(base, tmp_path / str(room), told)
        trainer.decoder = SmallDevice(trainer.decoder, room)
        for i in range(2):
            trainer.training_step(trainer.model, {"micro_batch": i})
        sums.append(trainer.sums.clone())
    torch.testing.assert_close(sums[0], sums[1])


def test_no_room_for_one_example_is_one_sentence(base, tmp_path):
    trainer = trainer_of(base, tmp_path, SETTINGS)
    trainer.decoder = SmallDevice(trainer.decoder, 0)
    with pytest.raises(TuningError, match=r"no room for a single example: lower max_length"):
        trainer.train()

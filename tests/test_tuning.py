"""Tuning as its user sees it: what is learnt, what is forgotten, and that a kill loses nothing."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from ltf_lite.core import seals
from ltf_lite.core.files import read_as, read_json
from ltf_lite.engines import Dialect
from ltf_lite.harvest.example import Example
from ltf_lite.tiny import tokenizer
from ltf_lite.tuning import TuningError, checkpoints, load_for_tuning
from ltf_lite.tuning import tune as tune_in
from ltf_lite.tuning.data import Batches, collate, rows_of
from ltf_lite.tuning.methods import METHODS
from ltf_lite.tuning.parts import Totals
from ltf_lite.tuning.trainer import UFTTrainer, rate_share
from ltf_lite.tuning.types import LogLine, Sides, TuningResult, Validation, best_line, read_log
from ltf_lite.tuning.watch import Look, guard
from tests.settings import changed, tuning

COMPACT = Dialect("compact")
SETTINGS = tuning(
    steps=12,
    batch=4,
    alpha=0.05,
    learning_rate=5e-3,
    warmup=2,
    rank=4,
    lora_alpha=8,
    dropout=0.1,
    eval_every=4,
    max_length=64,
)
GOOD = [Example(f"{n},{n + 1}>", f"{n}+{n + 1}={2 * n + 1}\n", True, 0, 9) for n in range(20)]
BAD = [Example(f"{n},{n + 1}>", f"{n}-{n + 1}={n + 7}\n", False, 0, 9) for n in range(20)]


def tune(*args, **options) -> TuningResult:
    return tune_in(*args, **options, dialect=COMPACT)


def steady(model, tok):
    """Metrics that disturb every random number generator, as sampling would."""
    torch.rand(3)
    assert not model.training
    return Validation(0.5)


def choosy(out):
    """Metrics that keep the second checkpoint: not the last, nor the most successful."""
    metrics = ((0.9, 0.3), (0.5, 0.1), (0.8, 0.2))

    def validate(model, tok):
        steady(model, tok)
        success, shortfall = metrics[len(read_log(Path(out) / "log.jsonl"))]
        return Validation(success, shortfall=shortfall)

    return validate


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# ---- which tokens carry loss


def rows(*examples, max_length=64):
    return rows_of(examples, tokenizer.build(), max_length, COMPACT)


def marked(row):
    return tokenizer.build().convert_ids_to_tokens(
        [i for i, m in zip(row.ids, row.marked, strict=True) if m]
    )


def test_a_success_is_learnt_whole_with_its_end_and_without_its_prompt():
    (row,), _, _ = rows(Example("25,17>", "25-17=8", True, 0, 7))
    assert marked(row) == ["25", "-", "17", "=", "8", "</s>"]
    assert tokenizer.build().decode(row.ids) == "<s>25,17>25-17=8</s>"


@pytest.mark.parametrize(
    ("span", "tokens"),
    [
        ((0, 8), ["25", "-", "17", "=", "42"]),
        ((3, 5), ["17"]),
        ((4, 7), ["17", "=", "42"]),  # tokens that a bound cuts in two are in
        ((2, 3), ["-"]),
    ],
)
def test_a_failure_is_forgotten_in_its_span_only_and_never_ends(span, tokens):
    _, (row,), _ = rows(Example("25,17>", "25-17=42", False, *span))
    assert marked(row) == tokens
    assert row.marked[-1]  # nothing after the span is even read
    assert tokenizer.build().eos_token_id not in row.ids


def test_a_cut_does_not_change_the_tokens_before_it():
    _, (row,), _ = rows(Example("1>", "100+200", False, 0, 1))
    assert marked(row) == ["100"]


def test_long_rows_and_empty_spans_are_dropped_and_counted():
    good, bad, dropped = rows(
        Example("1,2>", "1+2=3", True, 0, 5),
        Example("1,2>", "1+2=3" * 9, True, 0, 45),
        Example("1,2>", "1+2=4", False, 3, 3),
        Example("1,2>", "1+2=4", False, 0, 5),
        max_length=20,
    )
    assert (len(good), len(bad)) == (1, 1)
    assert dropped == Sides(success=1, failed=1)


def test_padding_carries_no_loss():
    good, bad, _ = rows(Example("1,2>", "1+2=3", True, 0, 5), Example("1>", "1-2", False, 0, 3))
    batch = collate([good, bad, []], 7, Totals(6, 3, 1))
    (long,), (short,) = good, bad
    assert batch.successes == 1
    assert batch.ids[0].tolist() == long.ids
    padding = len(long.ids) - len(short.ids)
    assert batch.ids[1].tolist() == [*short.ids, *[7] * padding]
    assert padding
    assert batch.marked.tolist() == [long.marked, [*short.marked, *[False] * padding]]
    assert batch.marked.sum(1).tolist() == [6, 3]


# ---- order


def test_successes_that_are_all_too_long_are_told_with_the_length_they_need():
    with pytest.raises(TuningError, match=r"longer than tuning.max_length, 9 .* shortest has \d+$"):
        rows(*GOOD, max_length=9)


def batches(settings, good=GOOD, bad=BAD):
    return Batches(*rows_of([*good, *bad], tokenizer.build(), 64, COMPACT)[:2], settings, 0)


def test_an_epoch_shows_every_success_once_and_then_in_another_order():
    data = batches(changed(SETTINGS, steps=10))  # 20 successes, 4 a step: 5 steps an epoch
    order = [tuple(row.ids) for k in range(10) for row in data.step(k)[0]]
    first, second = order[:20], order[20:]
    assert set(first) == set(second)
    assert len(set(first)) == 20
    assert first != second


def test_a_batch_depends_on_seed_and_step_alone():
    one, other, third = batches(SETTINGS), batches(SETTINGS), batches(changed(SETTINGS, seed=1))
    for k in range(7):
        one.step(k)
    assert one.step(7) == other.step(7) != third.step(7)


def test_ratio_sets_the_failures_and_alpha_zero_draws_none():
    assert [len(side) for side in batches(changed(SETTINGS, ratio=0.5)).step(0)] == [4, 2, 0]
    assert [len(side) for side in batches(changed(SETTINGS, alpha=0.0)).step(0)] == [4, 0, 0]
    assert [len(side) for side in batches(changed(SETTINGS, method="sft")).step(0)] == [4, 0, 0]


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_pieces_hold_every_row_once_and_never_more_than_asked(count):
    told = changed(SETTINGS, batch=4, accumulation=2, ratio=0.5)
    data, again = batches(told), batches(told)
    good, bad, _ = again.step(1)
    pieces = [piece for i in (2, 3) for piece in data.pieces(i, count)]
    assert len(pieces) <= 2 * count
    assert sum(p.successes for p in pieces) == 8
    assert sum(len(p.ids) for p in pieces) == 12
    assert max(p.successes for p in pieces) == -(-4 // min(count, 4))
    assert {p.totals for p in pieces} == {
        (sum(sum(r.marked) for r in good), sum(sum(r.marked) for r in bad), 4, 0)
    }
    assert sum(p.tokens.success for p in pieces) == sum(len(r.ids) for r in good)
    assert data.finest(count) == (count >= 4)


def test_a_side_without_examples_is_refused():
    with pytest.raises(TuningError, match="no success"):
        batches(SETTINGS, good=[])
    with pytest.raises(TuningError, match="use method: sft"):
        batches(SETTINGS, bad=[])


# ---- training


def trained(base, out, settings):
    model, _ = load_for_tuning(base, changed(settings, dropout=0.0))
    trainer = UFTTrainer(model, batches(settings), settings, out)
    trainer.train()
    return {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.slow
def test_accumulation_changes_nothing(base, tmp_path):
    told = changed(SETTINGS, steps=3, ratio=0.5, eval_every=9, alpha=0.3)
    whole = trained(base, tmp_path / "1", changed(told, batch=8))
    parts = trained(base, tmp_path / "2", changed(told, batch=1, accumulation=8))
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, rtol=1e-3, atol=2e-5)
    moved = [w for n, w in whole.items() if "lora_B" in n]
    assert all(w.abs().max() > 1e-3 for w in moved)  # every B began at zero


def test_the_loss_of_successes_is_the_usual_one(base, tmp_path):
    settings = changed(SETTINGS, alpha=0.0, dropout=0.0, steps=2)
    model, _ = load_for_tuning(base, settings)
    trainer = UFTTrainer(model, batches(settings), settings, tmp_path)
    (batch,) = batches(settings).pieces(0, 1)
    labels = batch.ids.masked_fill(~batch.marked, -100)
    usual = model(input_ids=batch.ids, labels=labels).loss
    assert trainer.compute_loss(model, batch).item() == pytest.approx(usual.item(), rel=1e-6)


def nll(model, tok, examples):
    """Mean -log p of the completions' tokens, from plain full logits."""
    total = count = 0.0
    for e in examples:
        prompt, end = tok(e.prompt)["input_ids"], tok(e.completion, add_special_tokens=False)
        ids = torch.tensor([prompt + end["input_ids"]])
        logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1]
        picked = logp.gather(1, ids[0, 1:, None])[len(prompt) - 1 :]
        total, count = total - picked.sum().item(), count + len(picked)
    return total / count


@pytest.fixture(scope="module")
def wavering(base, tmp_path_factory):
    """A base that holds the failures for as likely as the successes: it was taught both."""
    from peft import PeftModel

    out, folder = tmp_path_factory.mktemp("taught"), tmp_path_factory.mktemp("wavering")
    taught = [*GOOD, *(replace(e, good=True) for e in BAD)]
    told = changed(
        SETTINGS,
        steps=200,
        batch=8,
        alpha=0.0,
        learning_rate=5e-3,
        eval_every=200,
        rank=16,
        lora_alpha=32,
        dropout=0.0,
    )
    tune(base, taught, out, told, steady)
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), out / "adapter")
    model.merge_and_unload().save_pretrained(folder)
    tokenizer.build().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("load_in_4bit", [False, True])
@pytest.mark.slow
def test_tuning_learns_successes_and_forgets_failures(wavering, tmp_path, load_in_4bit):
    before, after = [], []

    def validate(model, tok):
        found = nll(model, tok, GOOD[:5]), nll(model, tok, BAD[:5])
        after.append(found)
        with model.disable_adapter():
            before.append((nll(model, tok, GOOD[:5]), nll(model, tok, BAD[:5])))
        return Validation(-found[0])

    told = changed(
        SETTINGS,
        steps=100,
        eval_every=50,
        alpha=0.5,
        batch=8,
        learning_rate=5e-3,
    )
    seen = []
    result = tune(
        wavering,
        [*GOOD, *BAD],
        tmp_path,
        told,
        validate,
        seen.append,
        load_in_4bit=load_in_4bit,
    )
    assert after[-1][0] < before[-1][0] - 0.1
    assert after[-1][1] > before[-1][1] + 1
    assert [p.step for p in seen] == [20, 40, 50, 60, 80, 100]
    assert result.step == 100
    assert result.tokens.success > 100 * 8 * 10
    assert result.tokens_per_second > 0
    assert result.trainable_parameters < 100_000


def test_the_best_is_above_the_floors_or_else_the_nearest_to_them():
    def kept(*pairs):
        lines = [
            LogLine(k, 0.0, 0.0, 0.0, 0.0, Validation(s, shortfall=f))
            for k, (s, f) in enumerate(pairs)
        ]
        return best_line(lines).step

    assert kept((0.9, 0.3), (0.5, 0.0), (0.6, 0.0), (0.8, 0.1)) == 2
    assert kept((0.6, 0.0), (0.6, 0.0), (0.5, 0.0)) == 1
    assert kept((0.9, 0.3), (0.1, 0.2), (0.3, 0.2), (0.8, 0.25)) == 2
    assert kept((0.2, 0.0), (0.1, 0.0)) == 0


@pytest.mark.slow
def test_the_best_adapter_is_kept_and_of_equals_the_later(base, tmp_path):
    successes = iter([0.1, 0.7, 0.7, 0.2])
    told = changed(SETTINGS, steps=8, eval_every=2)
    result = tune(base, [*GOOD, *BAD], tmp_path, told, lambda m, t: Validation(next(successes)))
    assert (result.step, result.validation) == (6, Validation(0.7))
    assert same(weights(tmp_path / "adapter"), weights(tmp_path / "checkpoints/checkpoint-6"))
    log = read_log(tmp_path / "log.jsonl")
    assert [line.step for line in log] == [2, 4, 6, 8]
    assert all(line.learning > 0 and line.forgetting > 0 for line in log)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["checkpoint-6", "checkpoint-8"]
    # A finished run returns what it found, without validating again, even if only that was lost.
    assert tune(base, [*GOOD, *BAD], tmp_path, told, lambda m, t: 1 / 0) == result
    (tmp_path / "result.json").unlink()
    assert tune(base, [*GOOD, *BAD], tmp_path, told, lambda m, t: 1 / 0) == result
    with pytest.raises(TuningError, match="other settings"):
        tune(base, [*GOOD, *BAD], tmp_path, changed(told, alpha=0.2), steady)


# A child that dies by SIGKILL where it is told to: at its second validation (checkpoint 8 is
# complete, log and adapter are of step 4), while checkpoint 12 is being written, or between the
# two renames that exchange the adapter.
CHILD = """
import os, signal, sys
sys.path.insert(0, {here!r})
import test_tuning as t
from ltf_lite.tuning import checkpoints
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
where, calls = sys.argv[1], []
def validate(model, tok):
    calls.append(1)
    if where == "validation" and len(calls) == 2: die()
    return t.choosy(sys.argv[3])(model, tok)
real = os.replace
def replace(source, target):
    name = str(target)
    if where == "checkpoint" and name.endswith("checkpoint-12"): die()
    real(source, target)
    if where == "adapter" and name.endswith("adapter.old"): die()
checkpoints.os.replace = replace
t.torch.set_num_threads(1)
t.tune(sys.argv[2], [*t.GOOD, *t.BAD], sys.argv[3], t.SETTINGS, validate)
"""


@pytest.mark.slow(seconds=22)
def test_killed_and_called_again_it_ends_at_the_same_weights(base, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    tune(base, [*GOOD, *BAD], whole, SETTINGS, choosy(whole))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    child = CHILD.format(here=os.path.dirname(__file__))
    for where in ("validation", "adapter", "checkpoint"):
        end = subprocess.run(
            [sys.executable, "-c", child, where, str(base), str(killed)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert end.returncode == -9, end.stderr
    left = checkpoints.newest_step(killed / "checkpoints")
    (killed / "checkpoints" / "checkpoint-99").mkdir()  # not complete, so not resumed from
    assert checkpoints.newest_step(killed / "checkpoints") == left > 0
    with (killed / "log.jsonl").open("a") as log:
        log.write('{"step": 12, "lear')
    again = tune(base, [*GOOD, *BAD], killed, SETTINGS, choosy(killed))
    assert again.step == 8
    assert same(weights(whole / "adapter"), weights(killed / "adapter"))
    logs = [
        [replace(line, seconds=0.0) for line in read_log(out / "log.jsonl")]
        for out in (whole, killed)
    ]
    assert len(logs[0]) == 3
    assert logs[0] == logs[1]
    first, second = (read_as(out / "result.json", TuningResult) for out in (whole, killed))
    assert first.tokens == second.tokens
    names = sorted(p.name for p in killed.iterdir() if p.name != seals.HASHES)
    assert names == ["adapter", "checkpoints", "log.jsonl", "result.json", "run.json"]


SAVED = """
import sys
from ltf_lite.tuning.checkpoints import save_adapter
from ltf_lite.tuning.loading import load_for_tuning
from tests import test_tuning as t
model, _ = load_for_tuning(sys.argv[1], t.SETTINGS)
save_adapter(model, t.Path(sys.argv[2]))
"""


@pytest.mark.slow(seconds=19)
def test_an_adapter_is_the_same_in_every_process(base, tmp_path):
    """Which modules it changes is a set to peft, whose order changes with the hash seed."""
    for seed in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SAVED, str(base), str(tmp_path / seed)]
        subprocess.run(command, check=True, env=environment)
    told = [tmp_path / seed / "adapter_config.json" for seed in ("1", "2")]
    modules = read_json(told[0])["target_modules"]
    assert len(modules) > 2
    assert modules == sorted(modules)
    assert told[0].read_bytes() == told[1].read_bytes()
    weights_ = [tmp_path / seed / "adapter_model.safetensors" for seed in ("1", "2")]
    assert weights_[0].read_bytes() == weights_[1].read_bytes()


def test_the_kept_adapter_loads_onto_the_base(base, tmp_path):
    from peft import PeftModel

    found = []
    tune(
        base,
        [*GOOD, *BAD],
        tmp_path,
        changed(SETTINGS, steps=4),
        lambda m, t: Validation(found.append(nll(m, t, GOOD[:3])) or 0.0),
    )
    loaded = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), tmp_path / "adapter")
    assert nll(loaded.eval(), tokenizer.build(), GOOD[:3]) == pytest.approx(found[0], rel=1e-5)


# ---- what stops a run


def test_an_exploding_run_stops_and_keeps_its_last_checkpoint(base, tmp_path):
    told = changed(SETTINGS, steps=40, eval_every=1, warmup=30)
    told = told.model_copy(update={"learning_rate": 1e30})  # more than a preset may say
    with pytest.raises(TuningError, match="at step 2; the last checkpoint is kept"):
        tune(base, [*GOOD, *BAD], tmp_path, told, steady)
    last = checkpoints.last_checkpoint(tmp_path / "checkpoints")
    assert last == tmp_path / "checkpoints" / "checkpoint-1"
    assert all(w.isfinite().all() for w in weights(last).values())


@pytest.mark.parametrize(
    ("now", "word"),
    [
        ((float("nan"), 1.0, 0.0, 1.0), "not a number at step 7"),
        ((1.0, 1.0, 0.0, float("inf")), "not a number at step 7"),
        ((1.0, 9.0, 0.0, 1.0), "forgetting loss exploded"),
        ((9.0, 1.0, 0.0, 1.0), "learning loss exploded"),
        ((1.0, 1.0, 9.0, 1.0), "replay loss exploded"),
        ((1.0, -9.0, 0.0, 1.0), "forgetting loss exploded"),  # as gradient ascent does
    ],
)
def test_the_watchdog_names_what_went_wrong(now, word):
    guard(7, Look(1.5, 2.5, 1.0, 80.0), (1.0, 1.0, 1.0))
    with pytest.raises(TuningError, match=word):
        guard(7, Look(*now), (1.0, 1.0, 1.0))


def test_a_missing_model_is_said_in_one_sentence(tmp_path):
    with pytest.raises(TuningError, match="neither a model folder here"):
        load_for_tuning(tmp_path / "nothing", SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 1.0}, {"steps": 0}, {"floor": 2.0}, {"ratio": -1}, {"learning_rate": 1e30}],
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        tuning(**wrong)


@pytest.mark.parametrize("name", METHODS.names())
def test_the_defaults_of_tuning_stand_once_and_are_the_same_for_every_method(name):
    shared = {"batch": 32, "warmup": 50, "floor": 0.02, "rank": 32, "lora_alpha": 64}
    told = tuning(name)
    assert {key: getattr(told, key) for key in shared} == shared
    assert told.max_length == 512
    assert told.failures(0) == 0
    assert set(METHODS.get(name).__annotations__) & shared.keys() == set()


def test_another_model_or_another_dialect_is_another_run(base, tmp_path):
    def claim(model="m", dialect=COMPACT, four_bit=False):
        folder = checkpoints.TuningFolder(tmp_path)
        checkpoints.claim(folder, model, GOOD, SETTINGS, four_bit, dialect)

    claim()
    claim()
    for other in ({"model": "n"}, {"dialect": Dialect("zero_shot")}, {"four_bit": True}):
        with pytest.raises(TuningError, match="another model, other examples or other settings"):
            claim(**other)


def test_prompts_are_encoded_by_the_dialect():
    examples = [Example("1,2>", "1+2=3", True, 0, 5)]
    begun = rows_of(examples, tokenizer.build(), 64, COMPACT)[0][0].ids
    bare = rows_of(examples, tokenizer.build(), 64, Dialect("compact", begins=False))[0][0].ids
    assert begun == [tokenizer.build().bos_token_id, *bare]


def test_the_rate_warms_up_and_falls_to_its_floor():
    told = tuning(steps=100, warmup=10, floor=0.1)
    shares = [rate_share(step, told) for step in range(101)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == 1.0
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[100] == pytest.approx(0.1)


def test_asking_for_the_settings_does_not_load_torch():
    code = (
        "import sys; from ltf_lite.tuning.methods import METHODS; METHODS.all(); "
        "import ltf_lite.tuning.types; print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"

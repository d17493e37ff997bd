"""The estimate of tuning's memory: held to counted steps and to real weights; what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ltf_lite import presets
from ltf_lite.core.manifest import StageEntry
from ltf_lite.engines import Dialect
from ltf_lite.harvest.example import Example
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.needs import (
    GB,
    check_fits,
    estimates_of,
    fitting,
    nearest_fitting,
    preview,
    preview_text,
)
from ltf_lite.pipeline.stages import preflight
from ltf_lite.tuning import TuningError, load_for_tuning, losses, memory
from ltf_lite.tuning.data import Batches, rows_of
from ltf_lite.tuning.memory import estimate, estimates
from ltf_lite.tuning.shapes import KNOWN, config_of, read_config, shape_of
from tests import tiny_models
from tests.conftest import SMALL, ltf, one_sentence
from tests.counted_step import counted_step
from tests.settings import changed, tuning

SETTINGS = tuning(batch=2, rank=16, max_length=256)
QWEN = "Qwen/Qwen2.5-Math-1.5B"


def smaller(name: str) -> dict:
    """A base's configuration with fewer layers: quicker to count."""
    return {**read_config(name), "num_hidden_layers": 2}


def configured(told: dict):
    return AutoConfig.for_model(**told)


def without_reserve(found: memory.Estimate) -> int:
    return found.total - found.parts["libraries and fragments"]


# ---- against what a step really holds


@pytest.mark.parametrize(
    ("name", "four_bit", "cuda"),
    [
        (QWEN, True, True),
        (QWEN, False, True),
        ("Qwen/Qwen3-4B", True, True),
        (QWEN, True, False),
        ("Qwen/Qwen3-4B", False, False),
    ],
)
@pytest.mark.slow
def test_the_estimate_is_what_a_counted_step_holds_or_a_little_more(name, four_bit, cuda):
    told = smaller(name)
    settings = changed(SETTINGS, batch=8)
    counted = counted_step(configured(told), settings, four_bit, cuda)
    found = estimate(shape_of(told), settings, four_bit, cuda)
    adapter = found.parts["adapter, gradients, AdamW"]
    assert found.parts["base weights"] == pytest.approx(counted.weights - adapter / 4, rel=1e-3)
    fixed = counted.weights + adapter * 3 / 4
    assert 1.0 <= (without_reserve(found) - fixed) / (counted.peak - fixed) <= 1.2


@pytest.mark.parametrize("cuda", [True, False])
def test_where_the_loss_is_the_peak_it_is_held_to_a_counted_step_too(cuda):
    told = smaller(QWEN)
    # two rows whose logits fill a chunk, which the estimate takes to be full
    settings = changed(SETTINGS, batch=1, max_length=memory.LOGITS // told["vocab_size"])
    found = estimate(shape_of(told), settings, True, cuda)
    counted = counted_step(configured(told), settings, True, cuda)
    assert 1.0 <= without_reserve(found) / counted.peak <= 1.2


def test_nf4_takes_the_bytes_that_bitsandbytes_takes(tmp_path):
    shape = {"hidden_size": 192, "intermediate_size": 320}
    folder = tiny_models.qwen2(tmp_path / "base", **shape)
    model, _ = load_for_tuning(folder, tuning(rank=4), True)
    layer = model.get_base_model().model.layers[0].mlp.up_proj.base_layer
    state = layer.weight.quant_state
    parts = [
        layer.weight,
        state.absmax,
        state.code,
        state.offset,
        state.state2.absmax,
        state.state2.code,
    ]
    assert memory.nf4_bytes(192 * 320) == sum(part.nbytes for part in parts)


def test_the_weights_and_the_adapter_are_those_of_a_real_model(tmp_path):
    folder = tiny_models.qwen3(tmp_path / "base")
    settings = tuning(rank=4, targets=("q_proj", "down_proj"))
    model, _ = load_for_tuning(folder, settings)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.nbytes for p in model.parameters() if not p.requires_grad)
    shape = shape_of(read_config(folder))
    assert memory.adapter_size(shape, settings) == trained
    assert memory.base_bytes(shape, False, cuda=False) == pytest.approx(frozen, rel=0.01)


def test_the_losses_hold_as_many_logits_as_the_estimate_thinks():
    assert memory.LOGITS == losses.LOGITS


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ratio": 0.125, "accumulation": 2},
        {"ratio": 2.0},
        {"alpha": 0.0},
        {"method": "sft"},
        {"method": "npo", "ratio": 0.5},
        {"method": "simpo"},
        {"method": "cpo_simpo"},
        {"method": "gradient_ascent"},
        {"replay": 0.25},
        {"method": "sft", "replay": 0.5, "accumulation": 2},
    ],
)
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_the_rows_are_those_that_training_feeds(changes, pieces):
    from ltf_lite.tiny import tokenizer

    settings = tuning(batch=6, **{"steps": 3, **changes})
    pairs = [Example("1,2>", f"1+2={n}", good, 0, 5) for n in range(9) for good in (True, False)]
    good, bad, _ = rows_of(pairs, tokenizer.build(), 64, Dialect("compact"))
    batches = Batches(good, bad, settings, 0, replay=good)
    fed = [
        (piece.successes, len(piece.ids) - piece.successes - piece.again, piece.again)
        for i in range(len(batches))
        for piece in batches.pieces(i, pieces)
    ]
    expected = memory.rows(settings, pieces)
    assert tuple(map(max, zip(*fed, strict=True))) == expected


# ---- how it grows


@pytest.mark.parametrize("cuda", [True, False])
@pytest.mark.parametrize(
    "more",
    [{"batch": 4}, {"rank": 32}, {"max_length": 512}, {"ratio": 2.0}, {"in_4bit": False}],
)
def test_more_of_anything_takes_more(more, cuda):
    shape = shape_of(read_config(QWEN))
    in_4bit = more.get("in_4bit", True)
    grown = estimate(
        shape, changed(SETTINGS, **{k: v for k, v in more.items() if k != "in_4bit"}), in_4bit, cuda
    )
    assert grown.total > estimate(shape, SETTINGS, True, cuda).total


def test_pieces_take_less_until_one_row_of_each_side_is_left():
    found = estimates(
        shape_of(read_config(QWEN)), changed(SETTINGS, batch=6, ratio=0.5), True, True
    )
    totals = [each.total for each in found]
    assert totals == sorted(totals, reverse=True)
    assert [(e.pieces, e.successes, e.failures) for e in found] == [
        (1, 6, 3),
        (2, 3, 2),
        (4, 2, 1),
        (8, 1, 1),
    ]


# ---- shapes


def test_a_directory_tells_its_own_shape(tmp_path):
    folder = tiny_models.qwen3(tmp_path / "base")
    config = config_of(folder)
    assert config.model_type == "qwen3"
    assert shape_of(read_config(folder)) == shape_of(config.to_dict())
    assert shape_of(read_config(folder)).queries == 4 * 32


@pytest.mark.parametrize("name", KNOWN)
def test_the_known_shapes_are_models_of_the_size_in_their_name(name):
    config = config_of(name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    billions = float(name.rpartition("-")[2].removesuffix("B"))
    size = sum(p.numel() for p in model.parameters()) / 1e9
    assert billions == pytest.approx(size, rel=0.1)
    assert config.rope_parameters["rope_theta"] == KNOWN[name]["rope_theta"]
    assert shape_of(config.to_dict()) == shape_of(read_config(name))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"hidden_size": "wide"}', None])
def test_a_configuration_that_is_none_is_refused_in_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(TuningError, match=r"config\.json|configuration") as caught:
        shape_of(read_config(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_name_that_nobody_knows_is_refused():
    with pytest.raises(TuningError, match="no/such-model"):
        read_config("no/such-model", online=False)


# ---- the preflight: what is free is told, not measured


def test_a_card_that_is_too_small_is_refused_with_the_nearest_that_fits():
    preset = presets.load("qwen2.5-math-7b-12gb")
    with pytest.raises(RunError, match=r"Some Card.*qwen2\.5-math-1\.5b-8gb") as caught:
        check_fits(preset, "Some Card", 4 * GB)
    assert "1 success and 1 failure" in str(caught.value)
    with pytest.raises(RunError, match="no preset here fits"):
        check_fits(preset, "Some Card", GB // 2)


def test_the_nearest_is_the_largest_base_that_fits_and_never_itself():
    preset = presets.load("qwen2.5-math-7b-24gb")
    assert nearest_fitting(preset, 9 * GB) == "qwen2.5-math-7b-12gb"
    assert nearest_fitting(preset, 6 * GB) == "qwen3-4b-12gb"
    assert nearest_fitting(presets.load("tiny"), 2 * GB) == "smollm2-chat"
    assert nearest_fitting(presets.load("tiny"), GB / 2) is None


def test_what_fits_is_said_beside_what_is_free():
    preset = presets.load("qwen2.5-math-7b-12gb")
    line = check_fits(preset, "Some Card", 12 * GB)
    assert "10.0 GiB" in line
    assert "12.0 GiB free on Some Card" in line
    assert "at once" not in line
    assert "2 successes and 2 failures at once should fit" in check_fits(preset, "A", 9 * GB)
    assert "may not fit" in check_fits(preset, None, 4 * GB)  # a CPU is only warned of
    assert "free" not in check_fits(preset, None, None)


def test_a_run_says_it_before_anything_else(tmp_path, capfd, monkeypatch):
    """And a refusal comes before the base is looked at, with nothing written."""
    data = {**SMALL, "model": {"base": str(tiny_models.qwen2(tmp_path / "base"))}}
    preset = presets.parse(data, "here")
    (tmp_path / "run").mkdir()
    run = Run.prepare(tmp_path / "run", preset, False)
    monkeypatch.setattr(preflight, "free_memory", lambda: ("Some Card", 2**20))
    with pytest.raises(RunError, match="small needs about"):
        preflight.main(run)
    run.stages["tune"] = StageEntry(status="done")  # a run tuned elsewhere may be finished here
    preflight.main(run)
    monkeypatch.setattr(preflight, "free_memory", lambda: (None, GB))
    del run.stages["tune"]
    preflight.main(run)
    assert "tuning: about 1.4 GiB at its peak" in capfd.readouterr().err
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"manifest.json", ".hashes"}


# ---- the dry run


def test_a_dry_run_writes_nothing_and_says_the_peak(tmp_path):
    result = ltf("train", "qwen2.5-math-7b-12gb", "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "4 successes and 4 failures at once" in result.stdout
    assert "base weights" in result.stdout
    assert "a card of 8 GB: does not fit" in result.stdout
    assert "a card of 12 GB: fits" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_dry_run_for_a_card_that_is_too_small_fails_and_names_another(tmp_path):
    command = ["train", "qwen2.5-math-7b-12gb", "--dry-run", "--card", 8]
    result = ltf(*command, cwd=tmp_path)
    assert result.returncode == 1
    assert "nearest preset that fits is qwen3-4b-12gb" in result.stdout
    said = json.loads(ltf(*command, "--json", cwd=tmp_path).stdout)
    assert said["fits"] is False
    assert said["nearest"] == "qwen3-4b-12gb"
    assert ltf(*command[:-1], 24, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("args", [["--card", "8"], ["--dry-run", "--card", "0"]])
def test_a_card_is_a_number_for_a_dry_run(args, tmp_path):
    result = ltf("train", "tiny", *args, cwd=tmp_path)
    assert result.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_base_that_is_not_there_is_one_sentence(tmp_path):
    preset = {**SMALL, "model": {"base": str(tmp_path)}}
    (tmp_path / "p.yaml").write_text(json.dumps(preset))
    one_sentence(ltf("train", tmp_path / "p.yaml", "--dry-run"), 1, "config.json")


def test_the_parts_add_up_to_the_peak_that_is_said():
    said = preview(presets.load("qwen3-4b-12gb"), None, "Some Card", 7 * GB)
    whole = said.card.whole
    assert sum(whole.parts.values()) == whole.total
    assert said.here.fits.successes == 4
    assert "free on Some Card: fits, 4 successes and 4 failures" in preview_text(said)
    assert fitting(estimates_of(presets.load("qwen3-4b-12gb"), True), 7 * GB).pieces == 2

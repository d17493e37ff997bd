"""A base in 4 bits from search to evaluation, and what `load_for_tuning` makes of any base.

What tests/gpu measures on cards is run here too, on a tiny model.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, Qwen2Config

from ltf_lite import presets
from ltf_lite.engines import model_path
from ltf_lite.evaluation.types import read_record
from ltf_lite.pipeline.opening import engine_of, search_engine
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.tuning import TuningError, load_for_tuning
from ltf_lite.tuning.loading import quiet_unsloth
from ltf_lite.tuning.settings import LINEAR
from tests import tiny_models
from tests.conftest import SMALL
from tests.gpu.measure import measure, step_gradients, trainer_of
from tests.gpu.models import build
from tests.settings import tuning

LORA = tuning(rank=4, lora_alpha=8)


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return tiny_models.qwen2(tmp_path_factory.mktemp("loading") / "qwen2")


# ---- a run in 4 bits

FOUR_BITS = copy.deepcopy(SMALL) | {
    "model": {"base": "tiny-base", "load_in_4bit": True},
    "problems": {"train": 80, "validation": 4, "test": 6},
    "search": [
        {"name": "cot", "n": 2, "temperature": 1.0, "problems": 10, "max_tokens": 40},
        {"name": "dfs", "paths": 2, "failures": 1},
    ],
    "tuning": SMALL["tuning"] | {"steps": 20, "eval_every": 20, "learning_rate": 1e-2},
    "evaluation": [{"name": "cot", "n": 1, "max_tokens": 40}],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run of the embedded base in 4 bits, evaluated; its rows of 160 are no multiple of 64."""
    folder = tmp_path_factory.mktemp("four-bits")
    (folder / "run").mkdir()
    run = Run.prepare(folder / "run", presets.parse(FOUR_BITS, "four-bits"), False)
    for stage in ("problems", "baseline", "search", "tune", "merge", "evaluate"):
        import_module(f"ltf_lite.pipeline.stages.{stage}").main(run)
    return run


def reference(run: Run, tuned: bool):
    """The embedded base in 4 bits as transformers loads it, and the run's adapter as peft does."""
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(
        model_path("tiny-base"),
        quantization_config=nf4,
        device_map={"": "cpu"},
        dtype=torch.float32,
    ).eval()
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    adapter = str(run.at.adapter)
    return PeftModel.from_pretrained(model, adapter).eval() if tuned else model


@pytest.mark.parametrize("which", ["base", "tuned"])
@pytest.mark.slow
def test_a_run_in_four_bits_is_evaluated_in_four_bits(run, which):
    (file,) = run.at.evaluation(which).glob("*.test.json")
    record = read_record(file)
    problems = {problem.id: problem for problem in record.problems}
    task, tokenizer = run.preset.task, AutoTokenizer.from_pretrained(model_path("tiny-base"))
    model = reference(run, which == "tuned")
    assert len(record.paths) == 6
    for path in record.paths:
        prompt = task.prompt(problems[path.problem], "compact")
        inputs = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**inputs, do_sample=False, max_new_tokens=40)
        new = tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert new == path.text


def test_what_a_run_in_four_bits_learnt_is_in_its_answers(run):
    base, tuned = (engine_of(run, which) for which in ("base", "tuned"))
    linear = tuned.model.get_base_model().get_submodule("model.layers.0.mlp.up_proj")
    assert type(linear.base_layer).__name__ == "Linear4bit"  # the adapter is beside it, not in it
    scores = [engine.score(["32,24,7,3:37\n"], ["32*24=768,7,3\n"]) for engine in (base, tuned)]
    assert abs(scores[0][0].logprob - scores[1][0].logprob) > 0.1


def test_a_run_in_four_bits_searches_in_four_bits(run):
    engine = search_engine(run)
    assert engine.dialect.name == "compact"
    assert type(engine.model.get_submodule("model.layers.0.mlp.up_proj")).__name__ == "Linear4bit"


def test_a_run_in_sixteen_bits_is_answered_for_by_its_merged_model(run, tmp_path):
    data = {**FOUR_BITS, "model": {"base": "tiny-base"}}
    (tmp_path / "run").mkdir()
    plain = Run.prepare(tmp_path / "run", presets.parse(data, "plain"), False)
    shutil.copytree(run.at.model, plain.at.model)
    engines = [engine_of(plain, which) for which in ("base", "tuned")]
    layers = [e.model.get_submodule("model.layers.0.mlp.up_proj") for e in engines]
    assert [type(layer) for layer in layers] == [torch.nn.Linear] * 2
    assert not torch.equal(*(layer.weight for layer in layers))


# ---- what is made of a base


@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_an_adapter_has_pefts_names_and_is_kept_in_32_bits(qwen2, tmp_path, load_in_4bit):
    model, _ = load_for_tuning(qwen2, LORA, load_in_4bit)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    homes = dict.fromkeys(LINEAR[:4], "self_attn") | dict.fromkeys(LINEAR[4:], "mlp")
    assert tensors.keys() == {
        f"base_model.model.model.layers.{n}.{homes[name]}.{name}.lora_{half}.weight"
        for n in range(2)
        for name in LINEAR
        for half in "AB"
    }
    assert {t.dtype for t in tensors.values()} == {torch.float32}
    told = json.loads((tmp_path / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(qwen2)
    assert (told["r"], told["lora_alpha"], told["bias"], told["task_type"]) == (
        4,
        8,
        "none",
        "CAUSAL_LM",
    )
    assert set(told["target_modules"]) == set(LINEAR)


@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_checkpointing_as_on_a_card_changes_no_gradient(qwen2, tmp_path, load_in_4bit):
    settings = tuning(batch=2, rank=4, max_length=24, alpha=0.1)
    plain, kept = (trainer_of(qwen2, settings, load_in_4bit, "plain", tmp_path / n) for n in "ab")
    kept.model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    layers = []
    kept.forward.decoder.layers[0].register_forward_pre_hook(lambda *_: layers.append(1))
    wanted, found = step_gradients(plain), step_gradients(kept)
    assert len(layers) == 2  # once more in the backward pass
    assert wanted.keys() == found.keys()
    assert all(gradient.abs().max() > 0 for gradient in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient)


def test_a_tokenizer_beyond_the_embeddings_is_refused(qwen2, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(qwen2, other)
    tok = tiny_models.qwen_tokenizer()
    tok.add_tokens([f"<extra {n}>" for n in range(tiny_models.ROWS)])
    tok.save_pretrained(other)
    with pytest.raises(TuningError, match=r"has a token \d+, and the model only 512 embeddings"):
        load_for_tuning(other, LORA)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_folder_that_is_not_whole_is_one_sentence(qwen2, tmp_path, file, damage):
    wanted = "tokenizer.json and whole weights"
    broken = tmp_path / "broken"
    shutil.copytree(qwen2, broken)
    if damage == "missing":
        (broken / file).unlink()
    else:
        (broken / file).write_bytes((broken / file).read_bytes()[:100])
    if (file, damage) == ("tokenizer.json", "missing"):  # transformers makes an empty one up
        wanted = "has no tokenizer: its tokenizer.json is missing"
    with pytest.raises(TuningError, match=wanted) as caught:
        load_for_tuning(broken, LORA)
    assert str(broken) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_name_offline_says_how_to_bring_the_model(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TuningError, match="hf download nobody/nothing --local-dir DIR") as caught:
        load_for_tuning("nobody/nothing", LORA)
    assert "\n" not in str(caught.value)


def test_unsloth_is_kept_from_the_working_directory_and_from_our_output(
    monkeypatch, capsys, tmp_path
):
    for name in ("UNSLOTH_COMPILE_LOCATION", "UNSLOTH_DISABLE_STATISTICS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with quiet_unsloth():
        print("==((====))==")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "==((====))==\n")
    assert os.environ["UNSLOTH_COMPILE_LOCATION"].startswith(str(tmp_path))
    assert os.environ["UNSLOTH_DISABLE_STATISTICS"] == "1"


# ---- what tests/gpu measures


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A model as tests/gpu draws them, of a tiny configuration."""
    config = Qwen2Config(
        vocab_size=640,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    return build(config, tmp_path_factory.mktemp("drawn") / "model")


MEASURED = tuning(batch=4, accumulation=2, rank=4, lora_alpha=8, max_length=32, alpha=0.1)


def test_a_drawn_model_is_whole_and_the_same_again(drawn, tmp_path):
    config = Qwen2Config.from_pretrained(drawn)
    again = build(config, tmp_path / "again")
    names = sorted(file.name for file in drawn.glob("*.safetensors"))
    assert names == [f"model-{n}.safetensors" for n in ("0", "1", "embed_tokens", "norm")]
    for name in names:
        one, other = load_file(drawn / name), load_file(again / name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    model, report = AutoModelForCausalLM.from_pretrained(drawn, output_loading_info=True)
    assert not report["missing_keys"]
    assert model.config.vocab_size == 640
    assert model.model.layers[1].mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.slow
def test_a_measurement_trains_and_is_the_same_again(drawn, tmp_path):
    first, again = (measure(drawn, MEASURED, True, "plain", 3, tmp_path / n) for n in "ab")
    assert first["losses"] == again["losses"]
    assert len({step[0] for step in first["losses"]}) == 3
    assert first["tokens_per_second"] > 0
    assert (first["pieces"], first["peak"]) == (1, None)
    adapters = [load_file(tmp_path / n / "adapter_model.safetensors") for n in "ab"]
    assert all(torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[0])


def test_gradients_in_pieces_are_the_whole_ones(drawn, tmp_path):
    trainer = trainer_of(drawn, MEASURED, True, "plain", tmp_path)
    whole = step_gradients(trainer)
    trainer.tally.pieces = 2
    for name, gradient in step_gradients(trainer).items():
        torch.testing.assert_close(gradient, whole[name], rtol=1e-3, atol=1e-6)

"""Merging: the saved directory says what the tuned model says, within a bounded memory."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from ltf_lite.engines.torch.loading import four_bit, keep_layout
from ltf_lite.export import ExportError
from ltf_lite.export.architecture import tensor_files
from ltf_lite.export.gguf.parity import greedy_parity
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.merge.adapter import read_adapter
from ltf_lite.export.merge.merge import merge
from ltf_lite.export.merge.weights import merged_tensors
from ltf_lite.export.preflight import check_exportable
from tests import tiny_models


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random Llama directory in fp16 that says its dialect."""
    folder = tiny_models.llama(tmp_path_factory.mktemp("base") / "base", dtype=torch.float16)
    (folder / "ltf.json").write_text(json.dumps({"dialect": "compact"}))
    return folder


def adapter(base, folder, load_in_4bit, **settings):
    """A LoRA adapter, its B random: it changes the model a lot. Returns the tuned model."""
    options = {"quantization_config": four_bit(torch.float32)} if load_in_4bit else {}
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, **options)
    lora = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} | settings)
    model = get_peft_model(keep_layout(model), lora)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    return model.eval()


def logits_of(model):
    with torch.inference_mode():
        return model(torch.arange(40)[None]).logits


def edit(folder, file, **changes):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def loaded(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


# -- what is merged ----------------------------------------------------------------------------


@pytest.mark.parametrize("load_in_4bit", [False, True])
@pytest.mark.parametrize("kind", tiny_models.MODELS)
def test_every_tensor_is_the_one_that_peft_merges(kind, load_in_4bit, tmp_path):
    base = tiny_models.MODELS[kind](tmp_path / "base")
    tuned = adapter(base, tmp_path / "adapter", load_in_4bit)
    wanted = logits_of(tuned)
    config = AutoConfig.from_pretrained(base)
    ours = {
        name: weight.float()
        for name, weight, _ in merged_tensors(
            config, tensor_files(base), read_adapter(tmp_path / "adapter"), load_in_4bit
        )
    }
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    model.load_state_dict(ours, strict=False)
    assert (logits_of(model) - wanted).abs().max() < 1e-3

    whole = tuned.unload()
    whole = whole.dequantize(dtype=torch.float32) if load_in_4bit else whole
    theirs = PeftModel.from_pretrained(whole, tmp_path / "adapter").merge_and_unload().state_dict()
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    assert ours.keys() == theirs.keys() - tied
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


@pytest.mark.parametrize("load_in_4bit", [False, True])
@pytest.mark.slow
def test_merged_model_answers_like_the_tuned_one(load_in_4bit, base, tmp_path):
    tuned = adapter(base, tmp_path / "adapter", load_in_4bit)
    result = merge(base, tmp_path / "adapter", tmp_path / "out", "zero_shot", load_in_4bit)
    assert 0 < result.fp32 < 1e-3
    assert 0 < result.saved < 0.05
    assert result.dtype == "float16"
    assert (logits_of(loaded(tmp_path / "out")) - logits_of(tuned)).abs().max() < 0.05
    assert (logits_of(loaded(base)) - logits_of(tuned)).abs().max() > 1
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "out")("1 2")["input_ids"]
        == AutoTokenizer.from_pretrained(base)("1 2")["input_ids"]
    )
    # the base spoke another
    assert json.loads((tmp_path / "out" / "ltf.json").read_text()) == {"dialect": "zero_shot"}
    file = write_gguf(tmp_path / "out", tmp_path / "m.gguf", "f32")
    assert greedy_parity(tmp_path / "out", file, ["Use 5"], 20).equal == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "v_proj"]},
        {"use_rslora": True},
        {"target_modules": ["up_proj"], "layers_to_transform": [1]},
    ],
)
def test_layers_without_adapter_are_those_of_tuning_too(settings, base, tmp_path):
    tuned = adapter(base, tmp_path / "adapter", True, **settings)
    merge(base, tmp_path / "adapter", tmp_path / "out", "compact", True)
    assert (logits_of(loaded(tmp_path / "out")) - logits_of(tuned)).abs().max() < 0.05


@pytest.mark.slow
def test_base_stored_in_4_bits_is_merged_to_16(base, tmp_path):
    tuned = adapter(base, tmp_path / "adapter", True)
    wanted = logits_of(tuned)
    tuned.unload().save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "base")
    check_exportable(tmp_path / "base")
    with pytest.raises(ExportError, match="4-bit"):
        write_gguf(tmp_path / "base", tmp_path / "m.gguf")
    result = merge(tmp_path / "base", tmp_path / "adapter", tmp_path / "out", "compact")
    assert result.fp32 < 1e-3
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    assert (logits_of(loaded(tmp_path / "out")) - wanted).abs().max() < 0.05
    file = write_gguf(tmp_path / "out", tmp_path / "m.gguf", "f32")
    assert greedy_parity(tmp_path / "out", file, ["Use 5"], 20).equal == 1


# -- what is written ---------------------------------------------------------------------------


def test_merge_keeps_bfloat16_and_replaces_an_old_result(tmp_path):
    base = tiny_models.llama(tmp_path / "base", dtype=torch.bfloat16, num_hidden_layers=1)
    adapter(base, tmp_path / "adapter", False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("")
    assert merge(base, tmp_path / "adapter", tmp_path / "out", "compact").dtype == "bfloat16"
    assert not (tmp_path / "out" / "old").exists()
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {w.dtype for w in weights.values()} == {torch.bfloat16}
    assert AutoConfig.from_pretrained(tmp_path / "out").dtype == torch.bfloat16


@pytest.mark.slow
def test_a_large_model_is_written_in_several_files(base, tmp_path, monkeypatch):
    adapter(base, tmp_path / "adapter", True)
    merge(base, tmp_path / "adapter", tmp_path / "one", "compact", True)
    monkeypatch.setattr("ltf_lite.export.merge.weights.SHARD", 40_000)
    merge(base, tmp_path / "adapter", tmp_path / "many", "compact", True)
    files = sorted(path.name for path in (tmp_path / "many").glob("*.safetensors"))
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert not list((tmp_path / "many").glob("part-*"))
    whole = load_file(tmp_path / "one" / "model.safetensors")
    pieces = {name: w for file in files for name, w in load_file(tmp_path / "many" / file).items()}
    assert pieces.keys() == whole.keys()
    assert all(torch.equal(pieces[name], whole[name]) for name in whole)
    assert torch.equal(logits_of(loaded(tmp_path / "many")), logits_of(loaded(tmp_path / "one")))
    write_gguf(tmp_path / "many", tmp_path / "m.gguf")


@pytest.mark.parametrize("named_in", ["generation_config.json", "config.json"])
def test_merged_model_ends_where_its_base_ends(named_in, base, tmp_path):
    """The GGUF takes its end tokens from generation_config.json, which a base need not have."""
    folder = tiny_models.llama(tmp_path / "base", num_hidden_layers=1)
    edit(folder, named_in, eos_token_id=[65, 66])
    if named_in == "config.json":
        (folder / "generation_config.json").unlink()
    adapter(folder, tmp_path / "adapter", False)
    merge(folder, tmp_path / "adapter", tmp_path / "out", "compact")
    assert GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id == [65, 66]


PEAK = """
import re, sys, torch, peft, bitsandbytes, accelerate
from transformers import LlamaForCausalLM
from ltf_lite.export.merge import weights as merged_weights
from ltf_lite.export.merge.merge import merge
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
torch.set_num_threads(1)
merged_weights.SHARD = 2**24
before = peak()
merge(*sys.argv[1:4], "compact")
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.slow
def test_memory_does_not_grow_with_the_model(tmp_path):
    shape = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 16}
    base = tiny_models.llama(tmp_path / "base", dtype=torch.bfloat16, **shape)
    adapter(base, tmp_path / "adapter", False, target_modules=["down_proj"])
    weights = sum(w.numel() for w in load_file(base / "model.safetensors").values())
    done = subprocess.run(
        [sys.executable, "-c", PEAK, base, tmp_path / "adapter", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    grown = int(done.stdout.split()[-1])
    assert grown < 4 * weights  # what the weights alone take in fp32


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["TOLERANCE", "ROUNDING"])
@pytest.mark.slow
def test_merge_that_moves_the_logits_too_far_is_refused(limit, base, tmp_path, monkeypatch):
    adapter(base, tmp_path / "adapter", False)
    monkeypatch.setattr(importlib.import_module("ltf_lite.export.merge.merge"), limit, 0.0)
    with pytest.raises(ExportError, match="moved"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_merge_refuses_a_folder_without_adapter(base, tmp_path):
    with pytest.raises(ExportError, match="adapter_config"):
        merge(base, tmp_path, tmp_path / "out", "compact")


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"bias": "all"},
        {"rank_pattern": {"q_proj": 2}},
        {"init_lora_weights": "pissa"},
        {"lora_bias": True},
    ],
)
def test_what_is_not_plain_lora_is_refused_by_name(settings, base, tmp_path):
    adapter(base, tmp_path / "adapter", False)
    edit(tmp_path / "adapter", "adapter_config.json", **settings)
    with pytest.raises(ExportError, match=next(iter(settings))):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_base_is_refused(base, tmp_path):
    other = tiny_models.llama(tmp_path / "other", hidden_size=32)
    adapter(other, tmp_path / "adapter", False)
    with pytest.raises(ExportError, match="another base"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")
    other = tiny_models.llama(tmp_path / "other", num_hidden_layers=3)
    adapter(other, tmp_path / "adapter", False)
    with pytest.raises(ExportError, match=r"model\.layers\.2\..* does not have"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")


def test_damaged_adapters_are_refused(base, tmp_path):
    adapter(base, tmp_path / "adapter", False)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file(tensors | {name.replace("lora_A", "lora_magnitude_vector"): torch.ones(4)}, file)
    with pytest.raises(ExportError, match="magnitude_vector"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, file)
    with pytest.raises(ExportError, match="only one of the two"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ExportError, match=r"adapter_model\.safetensors"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")


def test_weights_that_do_not_fit_into_16_bits_are_named(tmp_path):
    base = tiny_models.llama(tmp_path / "base", num_hidden_layers=1)
    weights = load_file(base / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    adapter(base, tmp_path / "adapter", False)
    with pytest.raises(ExportError, match=r"up_proj\.weight has values"):
        merge(base, tmp_path / "adapter", tmp_path / "out", "compact")

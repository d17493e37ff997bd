"""Export: the file says what the model says, and what cannot be exported is refused early."""

from __future__ import annotations

import importlib
import json
import shutil
from contextlib import closing

import gguf
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from ltf_lite.engines import Sampling
from ltf_lite.engines.llamacpp import LlamaCppEngine
from ltf_lite.export import (
    KINDS,
    ExportError,
    check_exportable,
    greedy_parity,
    merge,
    quantize,
    token_parity,
    write_gguf,
)  # fmt: skip
from tests import tiny_models


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random Llama directory in fp16 that says its style."""
    folder = tiny_models.llama(tmp_path_factory.mktemp("base") / "base", dtype=torch.float16)
    (folder / "ltf.json").write_text(json.dumps({"name": "tiny", "style": "compact"}))
    return folder


def edit(folder, file, **changes):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def field(file, key):
    return gguf.GGUFReader(file).fields[key].contents()


@pytest.fixture
def copy(base, tmp_path):
    return shutil.copytree(base, tmp_path / "copy")


# -- the file says what the model says ---------------------------------------------------------


@pytest.mark.parametrize("kind", tiny_models.MODELS)
def test_greedy_tokens_equal_transformers(kind, tmp_path):
    folder = tiny_models.MODELS[kind](tmp_path / "model")
    check_exportable(folder)
    file = write_gguf(folder, tmp_path / "m.gguf", "f32")
    parity = greedy_parity(folder, file, tiny_models.PROMPTS, 40)
    assert parity == {"n": 5, "equal": 5, "first_differences": []}


def test_parity_notices_a_different_model(base, tmp_path):
    other = tiny_models.llama(
        tmp_path / "other", rope_parameters={"rope_theta": 50.0, "rope_type": "default"}
    )
    parity = greedy_parity(base, write_gguf(other, tmp_path / "m.gguf", "f32"), ["abc def"], 40)
    assert parity["equal"] == 0
    assert parity["first_differences"][0]["margin"] > 0


@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("pre", tiny_models.PRE)
def test_tokens_equal_transformers(pre, add_bos, tmp_path):
    folder = tiny_models.llama(tmp_path / "model", pre, add_bos, num_hidden_layers=1)
    file = write_gguf(folder, tmp_path / "m.gguf")
    assert field(file, "tokenizer.ggml.pre") == pre
    with closing(LlamaCppEngine(file)) as engine:
        parity = token_parity(AutoTokenizer.from_pretrained(folder), engine, tiny_models.TEXTS)
    assert parity == {"n": len(tiny_models.TEXTS), "mismatches": 0, "examples": []}


def test_token_parity_shows_where_tokenizers_differ(base, tmp_path):
    file = write_gguf(base, tmp_path / "m.gguf")
    other = tiny_models.tokenizer("qwen2")
    with closing(LlamaCppEngine(file)) as engine:
        parity = token_parity(other, engine, ["a", "1000000"])
    assert parity["mismatches"] > 0
    assert "llama.cpp" in parity["examples"][0]


def test_file_carries_style_task_and_template(copy, tmp_path):
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    file = write_gguf(copy, tmp_path / "m.gguf", name="mine", metadata={"ltf.task": "countdown"})
    with closing(LlamaCppEngine(file)) as engine:
        assert (engine.style, engine.task) == ("compact", "countdown")
    assert field(file, "general.name") == "mine"
    assert field(file, "tokenizer.chat_template") == "{{ messages[0]['content'] }}"


def test_every_end_token_of_the_model_ends_a_generation(copy, tmp_path):
    """An exported model that knows only one of its end tokens never stops talking."""
    ends = [tiny_models.tokenizer().eos_token_id, 65, 66]
    edit(copy, "generation_config.json", eos_token_id=ends)
    file = write_gguf(copy, tmp_path / "m.gguf")
    with closing(LlamaCppEngine(file)) as engine:
        rows = engine.generate_tokens(["1 2"], Sampling(n=300, temperature=50.0, max_tokens=60))[0]
    stopped = {row[-1] for row in rows if len(row) < 60}
    assert stopped == set(ends)
    assert not any(token in ends for row in rows for token in row[:-1])


@pytest.mark.parametrize("kind", ["f16", *KINDS])
def test_smaller_files_load_and_generate(kind, base, tmp_path):
    file = write_gguf(base, tmp_path / "f16.gguf")
    size = file.stat().st_size
    if kind != "f16":
        file = quantize(file, tmp_path / f"{kind}.gguf", kind)
        assert file.stat().st_size < size
    with closing(LlamaCppEngine(file)) as engine:
        (done,) = engine.generate(["Use 5"], Sampling(max_tokens=10))[0]
    assert 1 <= done.tokens <= 10
    assert not list(tmp_path.glob("*.partial"))


# -- merging -----------------------------------------------------------------------------------


def adapter(base, folder, load_in_4bit):
    """A LoRA adapter of every linear layer, its B random: it changes the model a lot."""
    options = {}
    if load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, **options)
    for module in model.modules():
        module.support_avx512bf16_for_cpu = False  # see merge.load
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    return model.eval()


def logits_of(model):
    with torch.inference_mode():
        return model(torch.arange(40)[None]).logits


@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_merged_model_answers_like_the_tuned_one(load_in_4bit, base, tmp_path):
    tuned = adapter(base, tmp_path / "adapter", load_in_4bit)
    result = merge(base, tmp_path / "adapter", tmp_path / "out", load_in_4bit)
    assert result["fp32"] < 1e-3
    assert result["dtype"] == "float16"
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    off = (logits_of(merged) - logits_of(tuned)).abs().max()
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert off < 0.05
    assert (logits_of(plain) - logits_of(tuned)).abs().max() > 1
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "out")("1 2")["input_ids"]
        == AutoTokenizer.from_pretrained(base)("1 2")["input_ids"]
    )
    assert json.loads((tmp_path / "out" / "ltf.json").read_text())["style"] == "compact"
    file = write_gguf(tmp_path / "out", tmp_path / "m.gguf", "f32")
    assert greedy_parity(tmp_path / "out", file, ["Use 5"], 20)["equal"] == 1


def test_base_stored_in_4_bits_is_merged_to_16(base, tmp_path):
    tuned = adapter(base, tmp_path / "adapter", True)
    tuned.unload().save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "base")
    check_exportable(tmp_path / "base")
    with pytest.raises(ExportError, match="4-bit"):
        write_gguf(tmp_path / "base", tmp_path / "m.gguf")
    result = merge(tmp_path / "base", tmp_path / "adapter", tmp_path / "out")
    assert result["fp32"] < 1e-3
    file = write_gguf(tmp_path / "out", tmp_path / "m.gguf", "f32")
    assert greedy_parity(tmp_path / "out", file, ["Use 5"], 20)["equal"] == 1


def test_merge_keeps_bfloat16_and_replaces_an_old_result(tmp_path):
    base = tiny_models.llama(tmp_path / "base", dtype=torch.bfloat16, num_hidden_layers=1)
    adapter(base, tmp_path / "adapter", False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("")
    assert merge(base, tmp_path / "adapter", tmp_path / "out")["dtype"] == "bfloat16"
    assert not (tmp_path / "out" / "old").exists()
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {w.dtype for w in weights.values()} == {torch.bfloat16}


@pytest.mark.parametrize("limit", ["TOLERANCE", "ROUNDING"])
def test_merge_that_moves_the_logits_too_far_is_refused(limit, base, tmp_path, monkeypatch):
    adapter(base, tmp_path / "adapter", False)
    monkeypatch.setattr(importlib.import_module("ltf_lite.export.merge"), limit, 0.0)
    with pytest.raises(ExportError, match="moved"):
        merge(base, tmp_path / "adapter", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_merge_refuses_a_folder_without_adapter(base, tmp_path):
    with pytest.raises(ExportError, match="adapter_config"):
        merge(base, tmp_path, tmp_path / "out")


# -- refusals ----------------------------------------------------------------------------------


def test_unknown_architecture_is_refused_by_name(copy, tmp_path):
    edit(copy, "config.json", architectures=["MambaForCausalLM"])
    with pytest.raises(ExportError, match="MambaForCausalLM"):
        check_exportable(copy)
    with pytest.raises(ExportError, match="MambaForCausalLM"):
        write_gguf(copy, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize(("change", "named"), [
    ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0,
                          "original_max_position_embeddings": 64}}, "yarn"),
    ({"hidden_act": "gelu"}, "gelu"),
])  # fmt: skip
def test_settings_the_file_cannot_say_are_refused(change, named, copy):
    edit(copy, "config.json", **change)
    with pytest.raises(ExportError, match=named):
        check_exportable(copy)


@pytest.mark.parametrize(("key", "value", "named"), [
    ("pre_tokenizer", {"type": "Whitespace"}, "Whitespace"),
    ("pre_tokenizer", None, "pre-tokenizer"),
    ("normalizer", {"type": "Lowercase"}, "Lowercase"),
])  # fmt: skip
def test_unknown_tokenizers_are_refused_by_name(key, value, named, copy, tmp_path):
    edit(copy, "tokenizer.json", **{key: value})
    with pytest.raises(ExportError, match=named):
        check_exportable(copy)
    with pytest.raises(ExportError, match=named):
        write_gguf(copy, tmp_path / "m.gguf")


def test_unmapped_and_missing_tensors_are_refused_by_name(copy):
    weights = load_file(copy / "model.safetensors")
    save_file(weights | {"model.extra.weight": torch.zeros(2)}, copy / "model.safetensors")
    with pytest.raises(ExportError, match=r"model\.extra\.weight"):
        check_exportable(copy)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(ExportError, match=r"lacks the tensor model\.layers\.1\.mlp\.up_proj"):
        check_exportable(copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_files_are_named_before_training(file, copy):
    (copy / file).unlink()
    with pytest.raises(ExportError, match=file.rsplit(".", 1)[1]):
        check_exportable(copy)


def test_values_beyond_16_bits_are_refused_and_leave_no_file(tmp_path):
    folder = tiny_models.llama(tmp_path / "model", dtype=torch.bfloat16, num_hidden_layers=1)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ExportError, match="write f32"):
        write_gguf(folder, tmp_path / "m.gguf", "f16")
    assert not list(tmp_path.glob("m.gguf*"))
    write_gguf(folder, tmp_path / "m.gguf", "f32")


def test_quantize_refuses_unknown_kinds_and_truncated_files(base, tmp_path):
    file = write_gguf(base, tmp_path / "f16.gguf")
    with pytest.raises(ExportError, match="q3_x"):
        quantize(file, tmp_path / "out.gguf", "q3_x")
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ExportError, match=r"f16\.gguf"):
        quantize(file, tmp_path / "out.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["f16.gguf"]


def test_norms_stay_in_32_bits(base, tmp_path):
    tensors = gguf.GGUFReader(write_gguf(base, tmp_path / "m.gguf", "f16")).tensors
    kinds = {t.name: t.tensor_type.name for t in tensors}
    assert kinds["output_norm.weight"] == "F32"
    assert kinds["blk.0.attn_q.weight"] == "F16"

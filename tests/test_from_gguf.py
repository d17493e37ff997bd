"""A GGUF file as a base: the folder that is made of it says what the file says."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import EngineError, base_ref, model_path, open_engine, resolve
from ltf_lite.engines.dialect import spoken, told
from ltf_lite.engines.from_gguf import at_hand, config_of, folder_of, weights_of
from ltf_lite.engines.from_gguf.rope import llama3, llama3_factors
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export import architecture
from ltf_lite.export.gguf.divergence import kl
from ltf_lite.export.gguf.parity import greedy_parity, token_parity
from ltf_lite.export.gguf.quantize import quantize
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.preflight import check_exportable
from ltf_lite.tuning.shapes import read_config, shape_of
from tests import tiny_gguf, tiny_models

HERE = Path(__file__).parent
WORDS = ["25", "+", "5", " = ", "left:", "\n", "  ", "'ll", "1000", "é", "日本", "🙂", "x²", "\t", "the"]


def texts(count: int = 300) -> list[str]:
    """Texts of every sort: words, digits, blanks, special tokens, other scripts."""
    rng = np.random.default_rng(0)
    drawn = ["".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(count)]
    return [*tiny_models.TEXTS, *drawn]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A random Llama as a file in 32 bits."""
    place = tmp_path_factory.mktemp("gguf")
    return write_gguf(tiny_models.llama(place / "model"), place / "m.gguf", "f32")


def sentence(path) -> str:
    with pytest.raises(EngineError) as refusal:
        folder_of(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# -- the folder says what the file says ----------------------------------------------------------


@pytest.mark.parametrize("kind", tiny_models.MODELS)
def test_a_file_in_32_bits_comes_back_as_it_was(kind, tmp_path):
    model = tiny_models.MODELS[kind](tmp_path / "model")
    file = write_gguf(model, tmp_path / "m.gguf", "f32")
    folder = Path(folder_of(file))
    ours, theirs = load_file(folder / "model.safetensors"), load_file(model / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    check_exportable(folder)
    again = write_gguf(folder, tmp_path / "again.gguf", "f32")
    assert greedy_parity(folder, file, tiny_models.PROMPTS, 40).equal == 5
    one, other = (gguf.GGUFReader(each) for each in (file, again))
    for key, field in one.fields.items():
        if key not in ("general.name", "tokenizer.ggml.token_type"):
            assert other.fields[key].contents() == field.contents(), key


@pytest.mark.parametrize("pre", tiny_models.PRE)
@pytest.mark.parametrize("add_bos", [True, False])
def test_tokens_are_llama_cpp_s_and_the_first_tokenizer_s(pre, add_bos, tmp_path):
    model = tiny_models.llama(tmp_path / "model", pre, add_bos, num_hidden_layers=1)
    file = write_gguf(model, tmp_path / "m.gguf")
    first, made = (AutoTokenizer.from_pretrained(f) for f in (model, folder_of(file)))
    for text in texts():
        assert made(text)["input_ids"] == first(text)["input_ids"], text
        assert made.decode(made(text)["input_ids"]) == first.decode(first(text)["input_ids"])
    with closing(LlamaCppEngine(file)) as engine:
        assert token_parity(made, engine, texts()).differing == 0


def test_the_embedded_base_goes_there_and_back(tmp_path):
    file = write_gguf(resolve("tiny-base").place, tmp_path / "base.gguf", "f16")
    folder = Path(folder_of(file))
    first, made = Path(resolve("tiny-base").place), load_file(folder / "model.safetensors")
    for name, weight in load_file(first / "model.safetensors").items():
        assert torch.equal(made[name].float(), weight.float()), name
    own, theirs = (AutoTokenizer.from_pretrained(each) for each in (folder, first))
    assert all(own(text)["input_ids"] == theirs(text)["input_ids"] for text in texts())
    assert own.special_tokens_map == theirs.special_tokens_map
    assert spoken(folder).name == spoken(first).name == told(file)
    engines = [open_engine(each) for each in (folder, first)]
    from ltf_lite.engines import Sampling

    answers = [engine.generate(["25 5 5 33 -> 27\n"], Sampling(max_tokens=30)) for engine in engines]
    assert answers[0][0][0].text == answers[1][0][0].text


@pytest.mark.parametrize(("kind", "limit"), [("q8_0", 1e-3), ("q4_k_m", 1e-3)])
def test_a_quantized_file_answers_as_llama_cpp_does(kind, limit, tmp_path):
    """KL(llama.cpp || folder), nats a token; llama.cpp rounds activations too."""
    model = tiny_models.llama(tmp_path / "model", hidden_size=256, intermediate_size=256)
    quantize(write_gguf(model, tmp_path / "f16.gguf"), tmp_path / "q.gguf", kind)
    folder = folder_of(tmp_path / "q.gguf")
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = []
    with closing(LlamaCppEngine(tmp_path / "q.gguf", exact=True)) as engine:
        for text in tiny_models.PROMPTS:
            ids = engine.encode(text)
            with torch.no_grad():
                ours = loaded(torch.tensor([ids])).logits[0, -1].numpy()
            engine._open.clear() if hasattr(engine._open, "clear") else None
            theirs = engine._open.decode(engine._open.begin(0, ids))[0]
            engine._open.drop(0)
            found.append(kl(theirs, ours))
    assert max(found) < limit, found


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16"])
def test_weights_are_what_the_format_says(kind, tmp_path):
    """Rows of each type, permuted ones too, against the package's own dequantization."""
    model = tiny_models.llama(tmp_path / "model", num_hidden_layers=1)
    file = rewritten(write_gguf(model, tmp_path / "f32.gguf", "f32"), tmp_path / "m.gguf", kind)
    made = load_file(Path(folder_of(file)) / "model.safetensors")
    config = architecture.read_config(model)
    for name, weight in load_file(model / "model.safetensors").items():
        wanted = weight.numpy()
        if wanted.ndim > 1:
            wanted = back_and_forth(wanted, kind)
        exact = kind in ("BF16", "F16") or wanted.ndim == 1
        np.testing.assert_allclose(
            made[name].float().numpy(), wanted, rtol=0 if exact else 2**-11, atol=1e-6, err_msg=name
        )
    assert weights_of(file)[kind] > 0.9
    assert config.hidden_size == shape_of(read_config(file)).hidden


def back_and_forth(weight: np.ndarray, kind: str) -> np.ndarray:
    type_ = gguf.GGMLQuantizationType[kind]
    if kind == "F16":
        return weight.astype(np.float16).astype(np.float32)
    return gguf.quants.dequantize(gguf.quants.quantize(weight, type_), type_)


def rewritten(old: Path, new: Path, kind: str | None = None, drop=(), **changes) -> Path:
    """The file again, its matrices in another type, keys changed (None leaves one out)."""
    reader = gguf.GGUFReader(old)
    writer = gguf.GGUFWriter(new, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or key in changes:
            continue
        inner = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], inner)
    for key, value in changes.items():
        tiny_gguf._add(writer, key, value)
    for tensor in reader.tensors:
        if tensor.name in drop:
            continue
        data = np.array(tensor.data)
        if kind and data.ndim > 1:
            type_ = gguf.GGMLQuantizationType[kind]
            if kind == "F16":
                writer.add_tensor(tensor.name, data.astype(np.float16))
            else:
                packed = gguf.quants.quantize(data, type_)
                writer.add_tensor(tensor.name, packed, raw_dtype=type_)
        else:
            writer.add_tensor(tensor.name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return new

"""A GGUF file as a base: the folder that is made of it says what the file says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import Sampling, base_ref, model_path, open_engine, resolve
from ltf_lite.engines.dialect import spoken, told
from ltf_lite.engines.from_gguf import folder_of, weights_of
from ltf_lite.engines.from_gguf.rope import llama3, llama3_factors
from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export import architecture
from ltf_lite.export.gguf.divergence import kl
from ltf_lite.export.gguf.parity import greedy_parity, token_parity
from ltf_lite.export.gguf.quantize import quantize
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.preflight import check_exportable
from ltf_lite.tuning.shapes import read_config, shape_of
from tests import tiny_models
from tests.gguf_bases import rewritten, texts


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A random Llama as a file in 32 bits."""
    place = tmp_path_factory.mktemp("gguf")
    return write_gguf(tiny_models.llama(place / "model"), place / "m.gguf", "f32")


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
        assert token_parity(made, engine, texts()).mismatches == 0


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
    answers = [
        engine.generate(["25 5 5 33 -> 27\n"], Sampling(max_tokens=30)) for engine in engines
    ]
    assert answers[0][0][0].text == answers[1][0][0].text


@pytest.mark.parametrize("kind", ["q8_0", "q4_k_m"])
def test_a_quantized_file_answers_as_llama_cpp_does(kind, tmp_path):
    """KL(llama.cpp || folder), nats a token.

    llama.cpp also rounds the activations that meet a quantized weight, which a random model feels.
    The same numbers in 32 bits leave nothing of it.
    """
    model = tiny_models.llama(tmp_path / "model", hidden_size=256, intermediate_size=256)
    quantize(write_gguf(model, tmp_path / "f16.gguf"), tmp_path / "q.gguf", kind)
    folder = folder_of(tmp_path / "q.gguf")
    write_gguf(folder, tmp_path / "f32.gguf", "f32")
    assert max(far(folder, tmp_path / "f32.gguf")) < 1e-8
    assert np.mean(far(folder, tmp_path / "q.gguf")) < 0.02


def far(folder: str, file: Path) -> list[float]:
    """KL(llama.cpp on the file || transformers on the folder) after each prompt, nats."""
    found, model = [], AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with closing(LlamaContext(file, None, None, True, 1)) as opened:
        for text in tiny_models.PROMPTS:
            ids = opened.encode(text, True)
            with torch.no_grad():
                ours = model(torch.tensor([ids])).logits[0, -1].numpy()
            (theirs,) = opened.decode(opened.begin(0, ids))
            opened.drop(0)
            found.append(kl(theirs, ours))
    return found


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


def test_a_base_may_be_a_file_and_is_not_converted_to_be_looked_at(file, cache):
    assert base_ref(file).kind == "gguf"
    assert shape_of(read_config(file)).layers == 2
    assert spoken(file).name == "few_shot"
    assert not cache.exists()
    assert model_path(file) == folder_of(file)


@pytest.mark.parametrize(
    ("theta", "width", "factor", "low", "high", "original"),
    [
        (500000.0, 128, 8.0, 1.0, 4.0, 8192),
        (500000.0, 64, 32.0, 1.0, 4.0, 8192),
        (500.0, 32, 8.0, 1.0, 4.0, 64),
        (10000.0, 64, 16.0, 1.0, 8.0, 2048),
        (10000.0, 64, 4.0, 2.0, 6.0, 4096),
        (1e6, 8, 8.0, 1.0, 4.0, 100),
    ],
)
def test_rotary_factors_tell_their_scaling(theta, width, factor, low, high, original):
    rope = {
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }
    factors = llama3_factors(rope, width).astype(np.float32)
    found = llama3(factors, theta)
    assert found is not None
    np.testing.assert_allclose(llama3_factors(found, width), factors, rtol=1e-5)
    if (low, high) == (1.0, 4.0) and width > 8:
        assert {**found, "rope_type": None} == {**rope, "rope_type": None}


def test_other_rotary_factors_are_refused():
    assert llama3(np.linspace(1, 8, 32).astype(np.float32), 10000.0) is None
    assert llama3(np.full(32, 0.5, np.float32), 10000.0) is None

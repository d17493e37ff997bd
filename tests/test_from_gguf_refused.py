"""What is no base is refused in one sentence, before anything is written."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest

from ltf_lite.engines import EngineError
from ltf_lite.engines.from_gguf import config_of
from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models
from tests.gguf_bases import rewritten, sentence


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A random Llama as a file in 32 bits."""
    place = tmp_path_factory.mktemp("gguf")
    return write_gguf(tiny_models.llama(place / "model"), place / "m.gguf", "f32")


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

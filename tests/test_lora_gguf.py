"""The adapter alone as a GGUF file: laid over the base by llama.cpp, it is the merged model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from llama_cpp import Llama

from ltf_lite.export import ExportError
from ltf_lite.export.gguf.lora import write_lora
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.merge.merge import merge
from tests import tiny_models
from tests.test_converter import CHECKOUT
from tests.test_merge import adapter, edit

KINDS = {
    "llama": (tiny_models.llama, {}),
    "llama, untied": (tiny_models.llama, {"tie_word_embeddings": False}),
    "qwen2": (tiny_models.qwen2, {}),
    "qwen3": (tiny_models.qwen3, {}),
}


def model(folder: Path, kind: str) -> Path:
    make, changes = KINDS[kind]
    made = make(folder, dtype=torch.float32, **changes)
    (made / "ltf.json").write_text(json.dumps({"dialect": "compact"}))
    return made


def logits(file: Path, prompt: str, lora: Path | None = None) -> np.ndarray:
    """Logits (length, vocabulary) of llama-cpp-python, in a 32-bit KV cache."""
    llama = Llama(
        str(file),
        n_ctx=tiny_models.CONTEXT,
        n_threads=1,
        logits_all=True,
        lora_path=lora and str(lora),
        type_k=0,
        type_v=0,
        verbose=False,
    )
    try:
        llama.eval(llama.tokenize(prompt.encode()))
        return np.array(llama.scores[: llama.n_tokens])
    finally:
        llama.close()


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_the_base_with_the_adapter_is_the_merged_model(kind, settings, tmp_path):
    base = model(tmp_path / "base", kind)
    adapter(base, tmp_path / "adapter", False, **settings)
    merge(base, tmp_path / "adapter", tmp_path / "merged", "compact")
    lora = write_lora(tmp_path / "merged", tmp_path / "adapter", tmp_path / "a.gguf", "a")
    plain, merged = (
        write_gguf(folder, tmp_path / f"{folder.name}.gguf", "f32")
        for folder in (base, tmp_path / "merged")
    )
    for prompt in tiny_models.PROMPTS[:3]:
        wanted, found = logits(merged, prompt), logits(plain, prompt, lora)
        assert np.abs(logits(plain, prompt) - wanted).max() > 0.5  # the adapter does something
        assert np.abs(found - wanted).max() < 0.05  # the merged weights were saved in 16 bits
        chosen = np.take_along_axis(wanted, found.argmax(1)[:, None], 1)[:, 0]
        assert (wanted.max(1) - chosen).max() < 0.1  # the likeliest token, or a tie with it


@pytest.mark.skipif(not CHECKOUT, reason="LTF_LLAMA_CPP names no llama.cpp checkout")
@pytest.mark.parametrize("kind", KINDS)
def test_the_file_equals_that_of_llama_cpp_s_own_converter(kind, tmp_path):
    base = model(tmp_path / "base", kind)
    adapter(base, tmp_path / "adapter", False)
    ours = write_lora(base, tmp_path / "adapter", tmp_path / "ours.gguf", "a")
    theirs, script = tmp_path / "theirs.gguf", Path(CHECKOUT) / "convert_lora_to_gguf.py"
    if not script.is_file():
        pytest.skip("the checkout has no convert_lora_to_gguf.py")
    command = [sys.executable, str(script), "--base", str(base), "--outfile", str(theirs)]
    done = subprocess.run(
        [*command, str(tmp_path / "adapter")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    mine, other = (gguf.GGUFReader(file) for file in (ours, theirs))
    wanted = {tensor.name: tensor.data for tensor in other.tensors}
    assert {tensor.name for tensor in mine.tensors} == set(wanted)
    for tensor in mine.tensors:
        np.testing.assert_array_equal(tensor.data, wanted[tensor.name])
    keys = ("general.type", "general.architecture", "adapter.type", "adapter.lora.alpha")
    assert [mine.fields[key].contents() for key in keys] == [
        other.fields[key].contents() for key in keys
    ]


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}])
def test_what_is_not_plain_lora_is_one_sentence(settings, tmp_path):
    base = model(tmp_path / "base", "llama, untied")
    adapter(base, tmp_path / "adapter", False)
    edit(tmp_path / "adapter", "adapter_config.json", **settings)
    with pytest.raises(ExportError, match=f"{next(iter(settings))}.*only plain LoRA"):
        write_lora(base, tmp_path / "adapter", tmp_path / "a.gguf", "a")
    assert not (tmp_path / "a.gguf").exists()

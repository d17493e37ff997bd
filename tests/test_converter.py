"""Our GGUF files against those of llama.cpp's own converter, tensor by tensor.

The converter is no part of llama-cpp-python's wheel; its source archive has it, in
vendor/llama.cpp, as has every checkout of llama.cpp.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models

CHECKOUT = os.environ.get("LTF_LLAMA_CPP", "")
CONVERTER = Path(CHECKOUT) / "convert_hf_to_gguf.py"

pytestmark = pytest.mark.skipif(
    not CHECKOUT or not CONVERTER.is_file(),
    reason="LTF_LLAMA_CPP names no llama.cpp checkout (a folder with convert_hf_to_gguf.py)",
)

# The converter knows a pre-tokenizer by the hash of a text's tokens, so it cannot know one that
# was trained for a test; and it wants sentencepiece only to find that there is no such tokenizer.
# One process converts everything: importing torch takes longer than the rest.
WRAPPER = """
import json, runpy, sys
folder = sys.argv[1]
sys.path[:0] = [folder, folder + "/gguf-py"]
from conversion.base import TextModel
def not_sentencepiece(self):
    raise FileNotFoundError
TextModel._set_vocab_sentencepiece = not_sentencepiece
for pre, *arguments in json.loads(sys.argv[2]):
    TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    sys.argv = ["convert_hf_to_gguf.py", *arguments]
    runpy.run_path(folder + "/convert_hf_to_gguf.py", run_name="__main__")
"""
MODELS = {
    "llama tied": (tiny_models.llama, {}),
    "llama untied": (tiny_models.llama, {"tie_word_embeddings": False}),
    "llama with everything": (tiny_models.llama_with_everything, {}),
    "qwen2 tied": (tiny_models.qwen2, {}),
    "qwen2 untied": (tiny_models.qwen2, {"tie_word_embeddings": False}),
    "qwen3 tied": (tiny_models.qwen3, {"tie_word_embeddings": True}),
    "qwen3 untied": (tiny_models.qwen3, {}),
}
# What llama.cpp derives from other keys where the converter leaves it out, and we say it.
OURS_ALONE = (
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "vocab_size",
)
VOCABULARY = ("model", "pre", "tokens", "token_type", "merges", "eos_token_id", "bos_token_id")


DTYPES = ("f32", "f16")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A folder with KIND (the model), KIND.f32.gguf and KIND.f16.gguf (the converter's) of each."""
    folder = tmp_path_factory.mktemp("converted")
    jobs = []
    for kind, (make, changes) in MODELS.items():
        make(folder / kind, **changes)
        pre = "llama-bpe" if kind.startswith("llama") else "qwen2"
        jobs += [
            [
                pre,
                str(folder / kind),
                "--outtype",
                dtype,
                "--outfile",
                str(folder / f"{kind}.{dtype}.gguf"),
            ]
            for dtype in DTYPES
        ]
    command = [sys.executable, "-c", WRAPPER, CHECKOUT, json.dumps(jobs)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return folder


def contents(file):
    return {key: field.contents() for key, field in gguf.GGUFReader(file).fields.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", MODELS)
def test_tensors_and_metadata_equal_the_converters(kind, dtype, converted, tmp_path):
    arch, theirs = kind.split()[0], converted / f"{kind}.{dtype}.gguf"
    ours = write_gguf(converted / kind, tmp_path / "ours.gguf", dtype)

    wanted = {tensor.name: tensor for tensor in gguf.GGUFReader(theirs).tensors}
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(ours).tensors}
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert tensor.tensor_type == wanted[name].tensor_type, name
        assert tensor.shape.tolist() == wanted[name].shape.tolist(), name
        if name == "rope_freqs.weight":  # the converter computes these in 32 bits, we in 64
            np.testing.assert_allclose(tensor.data, wanted[name].data, rtol=2.5e-7)
        else:
            assert tensor.data.tobytes() == wanted[name].data.tobytes(), name

    said, told = contents(ours), contents(theirs)
    keys = {key for key in {**said, **told} if key.startswith(f"{arch}.")}
    keys -= {f"{arch}.{key}" for key in OURS_ALONE if f"{arch}.{key}" not in told}
    keys |= {f"tokenizer.ggml.{key}" for key in VOCABULARY}
    keys |= {"general.architecture", "general.file_type"}
    assert len(keys) > 15
    assert {key: said.get(key) for key in keys} == {key: told.get(key) for key in keys}

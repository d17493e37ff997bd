"""Tiny random GGUF files of many architectures, written with the gguf package.

llama.cpp itself is asked which tensors an architecture wants, and in which shapes.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import llama_cpp as lc
import numpy as np

from ltf_lite.engines.llama.model import silence
from ltf_lite.export.gguf.vocabulary import token_list
from tests import tiny_models

TOKENS = 416
Shapes = dict[str, list[int]]

PLAIN = {
    "context_length": 512,
    "embedding_length": 64,
    "block_count": 2,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "attention.layer_norm_epsilon": 1e-5,
    "rope.freq_base": 10000.0,
}
STATE = {"ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16}
SECOND = STATE | {"ssm.time_step_rank": 8, "ssm.group_count": 1}  # as Mamba-2 has it
# layers without key heads are recurrent
MIXED = PLAIN | {"block_count": 4, "attention.head_count_kv": [0, 2, 0, 2]}
SCALED = {
    "logit_scale": 2.0,
    "residual_scale": 0.5,
    "embedding_scale": 2.0,
    "attention.scale": 0.25,
}
WINDOW = PLAIN | {
    "block_count": 4,
    "attention.sliding_window": 24,
    "attention.key_length": 16,
    "attention.value_length": 16,
}
EXPERTS = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32}
DELTA = WINDOW | {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 64,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 4,
    "ssm.group_count": 2,
    "rope.dimension_count": 8,
    "rope.dimension_sections": [2, 1, 1, 0],
    "full_attention_interval": 4,
}
RWKV = PLAIN | {
    "embedding_length": 128,
    "attention.head_count": 0,
    "wkv.head_size": 64,
    "token_shift_count": 2,
    "attention.decay_lora_rank": 8,
    "attention.iclr_lora_rank": 8,
    "attention.value_residual_mix_lora_rank": 8,
    "attention.gate_lora_rank": 8,
}

ATTENTION: dict[str, dict[str, Any]] = {
    "llama": PLAIN,
    "qwen2": PLAIN,
    "qwen3": PLAIN,
    "gemma": PLAIN,
    "gpt2": PLAIN,
    "falcon": PLAIN,
    "bloom": PLAIN,
    "olmo2": PLAIN,
    "smollm3": PLAIN,
    "granite": PLAIN | SCALED,
    "qwen3moe": PLAIN | EXPERTS,
}
SLIDING: dict[str, dict[str, Any]] = {
    "gemma2": WINDOW,
    "gemma3": WINDOW | {"block_count": 6},
    "cohere2": WINDOW | {"logit_scale": 0.5},
    "exaone4": WINDOW,
    "gpt-oss": WINDOW | EXPERTS,
}
RECURRENT: dict[str, dict[str, Any]] = {
    "mamba": PLAIN | STATE | {"ssm.time_step_rank": 4, "feed_forward_length": 0},
    "mamba2": PLAIN | SECOND | {"feed_forward_length": 0},
    "rwkv7": RWKV,
}
HYBRID: dict[str, dict[str, Any]] = {
    "jamba": MIXED | STATE | {"ssm.time_step_rank": 4},
    "lfm2": MIXED | {"shortconv.l_cache": 3},
    "falcon-h1": PLAIN | SECOND,
    "granitehybrid": MIXED | SECOND | SCALED,
    "nemotron_h": MIXED | SECOND | {"feed_forward_length": [0, 0, 0, 96]},
    "qwen35": DELTA,
    "qwen3next": DELTA | EXPERTS | {"expert_shared_feed_forward_length": 32},
}
# Models that no prompt can be put to.
OTHERS: dict[str, dict[str, Any]] = {
    "t5": PLAIN | {"attention.relative_buckets_count": 8},
    "t5encoder": PLAIN | {"attention.relative_buckets_count": 8},
    "bert": PLAIN | {"tokenizer.ggml.token_type_count": 2},
    "gemma-embedding": WINDOW | {"block_count": 6},
    "dream": PLAIN,
    # what llama.cpp takes for optional is not there, and it crashes
    "phi3": PLAIN,
    # llama.cpp fails where many sequences go on together
    "plamo2": MIXED | SECOND | {"ssm.group_count": 0},
}
KINDS = ATTENTION | SLIDING | RECURRENT | HYBRID
# What llama.cpp takes for optional, and crashes without.
WANTED = {
    "falcon-h1": {"ssm_conv1d.bias": [160]},
    "granitehybrid": {"ssm_conv1d.bias": [160], "ssm_norm.weight": [128, 1]},
    "nemotron_h": {"ssm_conv1d.bias": [160], "ssm_norm.weight": [128, 1]},
    "qwen35": {"attn_qkv.weight": [64, 128], "attn_gate.weight": [64, 64]},
    "qwen3next": {"attn_qkv.weight": [64, 128], "attn_gate.weight": [64, 64]},
}


def tiny(folder: Path, kind: str, **changes: Any) -> Path:
    """A random file of an architecture, its metadata changed in places (None leaves a key out)."""
    file = folder / f"{kind}.gguf"
    return write(file, kind, (KINDS | OTHERS)[kind], shapes(kind), changes)


@cache
def shapes(kind: str) -> Shapes:
    """Tensor name → shape as llama.cpp wants it, fastest first."""
    found: Shapes = {}
    while (asked := _asked(kind, found)) is not None:
        name, shape = asked
        like = re.sub(r"blk\.\d+\.", "", name)
        same = [s for other, s in found.items() if other.endswith(f".{like}")]
        found[name] = shape or (same or [[1]])[-1]
    for name in [name for name in found if name.endswith("ssm_conv1d.weight")]:
        for like, shape in WANTED.get(kind, {}).items():
            found[name.replace("ssm_conv1d.weight", like)] = shape
    return found


def _asked(kind: str, found: Shapes) -> tuple[str, list[int] | None] | None:
    """The tensor that llama.cpp misses, or whose shape it wants otherwise; None: it is content."""
    said: list[str] = []
    hear = lc.llama_log_callback(lambda level, text, data: said.append(text.decode()))
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder) / "asked.gguf", kind, (KINDS | OTHERS)[kind], found, {})
        lc.llama_log_set(hear, ctypes.c_void_p(0))
        model = lc.llama_model_load_from_file(os.fsencode(file), lc.llama_model_default_params())
        silence()
    if model:
        lc.llama_model_free(model)
        return None
    text = "".join(said)
    if missing := re.search(r"missing tensor '([^']+)'|tensor '([^']+)' not found", text):
        return missing[1] or missing[2], None
    wrong = re.search(r"tensor '([^']+)' has wrong shape; expected\s+([\d, ]+), got", text)
    assert wrong, text
    shape = [int(size) for size in wrong[2].split(",")]
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return wrong[1], shape


def write(
    file: Path, kind: str, told: Mapping[str, Any], found: Shapes, changes: Mapping[str, Any]
) -> Path:
    """A file with these metadata and random tensors of these shapes."""
    writer = gguf.GGUFWriter(file, kind)
    keys = {f"{kind}.{key}": value for key, value in told.items() if "ggml" not in key}
    keys |= {key: value for key, value in told.items() if "ggml" in key} | vocabulary()
    for key, value in (keys | {"general.architecture": None} | changes).items():
        _add(writer, key, value)
    rng = np.random.default_rng(0)
    for name, shape in found.items():
        writer.add_tensor(name, _drawn(rng, name, shape[::-1]).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _drawn(rng: np.random.Generator, name: str, shape: list[int]) -> np.ndarray:
    if "norm" in name and name.endswith("weight"):
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith("ssm_a"):
        return -rng.uniform(0.5, 4, shape)
    if "ssm_dt" in name and name.endswith("bias"):
        return rng.uniform(-3, 0, shape)
    return rng.normal(0, 0.4 if "conv" in name else 0.15, shape)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    kinds = {bool: "bool", int: "uint32", float: "float32", str: "string", list: "array"}
    if value is not None:
        getattr(writer, f"add_{kinds[type(value)]}")(key, value)


@cache
def vocabulary() -> dict[str, Any]:
    """A byte-level BPE tokenizer as a file's metadata."""
    tok = tiny_models.tokenizer("llama-bpe")
    state = json.loads(tok.backend_tokenizer.to_str())
    tokens, types = token_list(state, TOKENS)
    facts = {
        "model": "gpt2",
        "pre": "llama-bpe",
        "tokens": tokens,
        "token_type": types,
        "merges": [" ".join(pair) for pair in state["model"]["merges"]],
        "add_bos_token": True,
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in facts.items()}

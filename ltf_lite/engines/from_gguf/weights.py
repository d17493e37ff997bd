"""The tensors of a GGUF file, whole numbers again, as one safetensors file.

A tensor goes through the memory in pieces. Nothing that can be measured is lost: F32, F16 and BF16
keep their bytes, and what was quantized to 8 bits or fewer is kept in F16, whose rounding is a
hundred times finer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.from_gguf.config import PLAIN, kind_name, names
from ltf_lite.engines.from_gguf.header import Header, Tensor

PIECE = 2**22  # weights in memory at once
TURNED = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
BYTES = {"F32": 4, "F16": 2, "BF16": 2}

Advance = Callable[[int], object]


def check_shapes(header: Header, told: Mapping[str, Any]) -> None:
    """Refuse tensors that have not the shape the config gives them; raises EngineError."""
    wide = told["head_dim"]
    queries, keys = (told[key] * wide for key in TURNED.values())
    hidden, inner, rows = (told[k] for k in ("hidden_size", "intermediate_size", "vocab_size"))
    known = {
        "token_embd": (rows, hidden),
        "output": (rows, hidden),
        "attn_q": (queries, hidden),
        "attn_k": (keys, hidden),
        "attn_v": (keys, hidden),
        "attn_output": (hidden, queries),
        "attn_q_norm": (wide,),
        "attn_k_norm": (wide,),
        "ffn_gate": (inner, hidden),
        "ffn_up": (inner, hidden),
        "ffn_down": (hidden, inner),
    }
    for name in names(told).values():
        _check_rows(header, name)
        *_, part, kind = name.split(".")
        wanted = known.get(part, (hidden,))
        wanted = wanted[:1] if kind == "bias" else wanted
        if (found := header.tensors[name].shape) != wanted:
            raise EngineError(
                f"{header.path!r} cannot be a base: its tensor {name} has the shape {found}, by "
                f"its metadata it would be {wanted}"
            )


def _check_rows(header: Header, name: str) -> None:
    """Refuse rows that are no whole number of quantized blocks; raises EngineError."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    tensor = header.tensors[name]
    block, _ = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    if not tensor.values or tensor.shape[-1] % block:
        raise EngineError(f"{header.path!r} cannot be a base: its tensor {name} is damaged")


def size_of(header: Header, told: Mapping[str, Any]) -> int:
    """The bytes of the weights of the folder."""
    tensors = (header.tensors[name] for name in names(told).values())
    return sum(tensor.values * BYTES[_kept(tensor)] for tensor in tensors)


def write_weights(
    header: Header, told: Mapping[str, Any], file: Path, advance: Advance | None = None
) -> None:
    """The file's tensors under transformers' names; raises EngineError for NaN and infinity."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for ours, theirs in names(told).items():
        tensor = header.tensors[theirs]
        size = tensor.values * BYTES[_kept(tensor)]
        shape, span = list(tensor.shape), [at, at + size]
        table[ours] = {"dtype": _kept(tensor), "shape": shape, "data_offsets": span}
        at += size
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    with open(file, "wb") as out:
        out.write(len(head).to_bytes(8, "little") + head)
        for theirs in names(told).values():
            for piece in _pieces(header, theirs, told):
                out.write(piece.tobytes())
            if advance:
                advance(1)
        out.flush()
        os.fsync(out.fileno())


def array(header: Header, name: str) -> np.ndarray:
    """A small tensor as it is, in 32 bits."""
    return _numbers(_stored(header, header.tensors[name]), header.tensors[name])


def _kept(tensor: Tensor) -> str:
    """What a tensor is written in, in safetensors' words."""
    kind = kind_name(tensor.kind)
    return kind if kind in PLAIN else "F16"


def _stored(header: Header, tensor: Tensor) -> np.ndarray:
    """The bytes of a tensor, a row each, not read before they are looked at."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    block, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    columns = tensor.shape[-1] if len(tensor.shape) > 1 else block  # of a bias each value turns
    shape = (tensor.values // columns, columns // block * size)
    return np.memmap(header.path, np.uint8, "r", tensor.begin, shape)


def _numbers(stored: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Rows of stored bytes as they are kept: raw where they are, else dequantized."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    kind = kind_name(tensor.kind)
    plain = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}.get(kind)
    if plain:
        return stored.reshape(-1).view(plain)
    return dequantize(stored, GGMLQuantizationType(tensor.kind)).reshape(-1)


def _pieces(header: Header, name: str, told: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """The values of a tensor in transformers' order, as they are kept; raises EngineError."""
    tensor = header.tensors[name]
    stored = _stored(header, tensor)
    order = np.arange(len(stored))
    part = name.split(".")[-2]
    if told["model_type"] == "llama" and part in TURNED:
        order = halves(order, told[TURNED[part]])
    step = max(1, PIECE * len(stored) // tensor.values)
    for begin in range(0, len(order), step):
        piece = _numbers(np.asarray(stored[order[begin : begin + step]]), tensor)
        whole = piece if piece.dtype.kind == "f" else (piece.astype(np.uint32) << 16).view("<f4")
        if not np.isfinite(whole).all():
            raise EngineError(
                f"{header.path!r} cannot be a base: its tensor {name} holds NaN or infinity, so "
                "the file is damaged"
            )
        if kind_name(tensor.kind) not in PLAIN:
            if np.abs(piece).max(initial=0) > np.finfo(np.float16).max:
                raise EngineError(
                    f"{header.path!r} cannot be a base: its tensor {name} does not fit into 16 bits"
                )
            piece = piece.astype("<f2")
        yield piece


def halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows from neighbouring pairs of each head, as llama.cpp turns them, to the head's halves."""
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)

"""GGUF files that are to be bases, and what they say, for several tests."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from ltf_lite.engines import EngineError
from ltf_lite.engines.from_gguf import folder_of
from tests import tiny_gguf, tiny_models

WORDS = ("25", "+", "5", " = ", "left:", "\n", "  ", "'ll", "1000", "é", "日本", "🙂", "x²", "the")


def texts(count: int = 300) -> list[str]:
    """Texts of every sort: words, digits, blanks, special tokens, other scripts."""
    rng = np.random.default_rng(0)
    drawn = ["".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(count)]
    return [*tiny_models.TEXTS, *drawn]


def sentence(path) -> str:
    with pytest.raises(EngineError) as refusal:
        folder_of(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


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

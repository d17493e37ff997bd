"""Write a LoRA adapter as a GGUF file that llama.cpp lays over the GGUF file of its base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from ltf_lite.core.files import whole
from ltf_lite.engines.from_gguf.names import expected_names
from ltf_lite.export.architecture import architecture, heads_of, permute, read_config
from ltf_lite.export.merge.adapter import Adapter, check_adapter, read_adapter


def write_lora(base_dir: str | Path, adapter_dir: str | Path, out_path: Path, name: str) -> Path:
    """The adapter in fp32, its tensors called as llama.cpp's convert_lora_to_gguf.py calls them.

    `base_dir` is the model folder that it was trained on, of which only the config is read. The
    file appears under its name only when it is whole. Raises ExportError for what is no plain LoRA
    of that base.
    """
    config, adapter = read_config(base_dir), read_adapter(Path(adapter_dir))
    check_adapter(adapter, config)
    with whole(out_path) as half:
        writer = gguf.GGUFWriter(half, architecture(config))
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_name(name)
        # llama.cpp scales by alpha over the rank that it sees
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.scaling * _rank(adapter))
        for own, array in _tensors(config, adapter):
            writer.add_tensor(own, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return out_path


def _rank(adapter: Adapter) -> int:
    first, _ = next(iter(adapter.factors.values()))
    return int(first.shape[0])


def _tensors(config: Any, adapter: Adapter) -> Iterator[tuple[str, np.ndarray]]:
    """Both factors of each layer; where llama.cpp has a weight's rows in another order, B's too."""
    for name, theirs in expected_names(config).items():
        factors = adapter.factors.get(name.removesuffix(".weight"))
        if factors is None:
            continue
        a, b = (factor.contiguous().numpy() for factor in factors)
        heads = heads_of(name, config)
        yield f"{theirs}.lora_a", a
        yield f"{theirs}.lora_b", b if heads is None else permute(b, heads)

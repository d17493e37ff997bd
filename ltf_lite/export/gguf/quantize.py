"""Make a GGUF file smaller, with llama.cpp's own quantizer."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from pathlib import Path

import gguf
import llama_cpp as lc

from ltf_lite.core.threads import threads
from ltf_lite.engines import EngineError
from ltf_lite.engines.llama.check import check_gguf
from ltf_lite.engines.llama.model import silence
from ltf_lite.export.errors import ExportError

KINDS = {
    "q8_0": lc.LLAMA_FTYPE_MOSTLY_Q8_0,
    "q6_k": lc.LLAMA_FTYPE_MOSTLY_Q6_K,
    "q5_k_m": lc.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "q4_k_m": lc.LLAMA_FTYPE_MOSTLY_Q4_K_M,
}


def quantize(f16_path: str | Path, out_path: str | Path, kind: str = "q8_0") -> Path:
    """A quantized copy of a 16- or 32-bit GGUF file, under its name only when it is whole.

    Where a row is no multiple of 256, llama.cpp takes a wider type instead of a `k` one:
    `tensor_types` tells. Raises ExportError.
    """
    if kind not in KINDS:
        raise ExportError(f"cannot quantize to {kind!r} (known: {', '.join(KINDS)})")
    try:
        check_gguf(f16_path)
    except EngineError as error:
        raise ExportError(str(error)) from error
    silence()
    wanted = lc.llama_model_quantize_default_params()
    wanted.ftype = KINDS[kind]
    wanted.nthread = threads()
    out_path = Path(out_path)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    partial = out_path.with_name(out_path.name + ".partial")
    try:
        code = lc.llama_model_quantize(
            os.fsencode(f16_path), os.fsencode(partial), ctypes.byref(wanted)
        )
        if code:
            raise ExportError(f"llama.cpp cannot quantize {str(f16_path)!r} to {kind}")
        os.replace(partial, out_path)
    finally:
        partial.unlink(missing_ok=True)
    return out_path


def tensor_types(path: str | Path) -> dict[str, float]:
    """Which share of a GGUF file's weights is stored in which type, the largest first."""
    counts: Counter[str] = Counter()
    for tensor in gguf.GGUFReader(path).tensors:
        counts[tensor.tensor_type.name] += int(tensor.n_elements)
    total = sum(counts.values())
    return {name: count / total for name, count in counts.most_common()}

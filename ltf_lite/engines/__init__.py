"""Engines: how text is generated and scored."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ltf_lite.engines.base import Completion, Engine, EngineError, Sampling, Usage, cut

TINY_BASE = "tiny-base"


def model_path(model: str | Path) -> str:
    """Where a model is: `tiny-base` is the embedded one, anything else names itself."""
    return str(files("ltf_lite") / "tiny" / "weights") if str(model) == TINY_BASE else str(model)


def open_engine(model: str | Path, exact: bool = False) -> Engine:
    """The engine of a GGUF file, a model directory, a hub name or `tiny-base`.

    `exact` asks llama.cpp for a 32-bit KV cache. Raises EngineError with a sentence for the user.
    """
    path = model_path(model)
    if path.endswith(".gguf"):
        from ltf_lite.engines.llamacpp import LlamaCppEngine

        return LlamaCppEngine(path, exact=exact)
    from ltf_lite.engines.torch_engine import TorchEngine

    return TorchEngine.open(path, name=str(model))


__all__ = [
    "TINY_BASE", "Completion", "Engine", "EngineError", "Sampling", "Usage", "cut", "model_path",
    "open_engine",
]  # fmt: skip

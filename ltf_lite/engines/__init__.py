"""Engines: how text is generated and scored."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ltf_lite.engines.base import (
    Completion,
    Engine,
    EngineError,
    Listener,
    Sampling,
    Score,
    Stopped,
    Usage,
    cut,
    used,
)

TINY_BASE = "tiny-base"


def model_path(model: str | Path) -> str:
    """Where a model is: `tiny-base` is the embedded one, anything else names itself."""
    return str(files("ltf_lite") / "tiny" / "weights") if str(model) == TINY_BASE else str(model)


def open_engine(
    model: str | Path, exact: bool = False, style: str | None = None, load_in_4bit: bool = False,
    adapter: str | Path | None = None,
) -> Engine:  # fmt: skip
    """The engine of a GGUF file, a model directory, a hub name, `tiny-base` or a server's address.

    A server is `http://host:port/v1`, with the model's name after `#` where it has several. `exact`
    asks llama.cpp for a 32-bit KV cache; `style` is the text style to ask in where it is not the
    model's own. `load_in_4bit` (NF4) and `adapter`, the directory of a LoRA adapter, are of a
    directory or hub name. Raises EngineError with a sentence for the user.
    """
    engine = _open(str(model), exact, load_in_4bit, adapter)
    engine.style = style or engine.style
    return engine


def _open(model: str, exact: bool, load_in_4bit: bool, adapter: str | Path | None) -> Engine:
    plain = not load_in_4bit and adapter is None
    if model.startswith(("http://", "https://")) and plain:
        from ltf_lite.engines.server import ServerEngine

        url, _, name = model.partition("#")
        return ServerEngine(url, name or None)
    path = model_path(model)
    if path.endswith(".gguf") and plain:
        from ltf_lite.engines.llamacpp import LlamaCppEngine

        return LlamaCppEngine(path, exact=exact)
    from ltf_lite.engines.torch_engine import TorchEngine

    return TorchEngine.open(path, model, load_in_4bit, adapter)


__all__ = [
    "TINY_BASE", "Completion", "Engine", "EngineError", "Listener", "Sampling", "Score", "Stopped",
    "Usage", "cut", "model_path", "open_engine", "used",
]  # fmt: skip

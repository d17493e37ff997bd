"""Engines: how text is generated and scored.

Nothing here imports torch, llama.cpp or the client of a server before a model is opened.
"""

from __future__ import annotations

from pathlib import Path

from ltf_lite.core.prompt import Prompt
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
from ltf_lite.engines.dialect import AUTO, CHAT, KEY, TEMPLATE_KEY, Dialect, automatic
from ltf_lite.engines.plugin import ENGINES, EnginePlugin, engine_for
from ltf_lite.engines.refs import (
    TINY_BASE,
    TINY_TUNED,
    ModelRef,
    asked_first,
    base_ref,
    bases,
    gguf_files,
    loadable,
    meant,
    model_path,
    resolve,
)


def open_engine(
    model: str | Path | ModelRef,
    dialect: Dialect | None = None,
    exact: bool = False,
    load_in_4bit: bool = False,
    adapter: str | Path | None = None,
) -> Engine:
    """The engine of a model reference.

    `dialect` is what to ask it in where that is not the model's own; `exact` asks llama.cpp for a
    32-bit KV cache; `load_in_4bit` (NF4) and `adapter`, the folder of a LoRA adapter, are of a
    model folder or hub name. Raises EngineError.
    """
    ref = model if isinstance(model, ModelRef) else resolve(model)
    if ref.kind == "hub":
        _check_at_hand(ref)
    if dialect is not None and dialect.name == AUTO:
        dialect = _automatic(ref)
    return engine_for(ref).open(ref, dialect, exact, load_in_4bit, adapter)


def _check_at_hand(ref: ModelRef) -> None:
    """Refuse a name that is not here while the Hub does not answer; raises EngineError."""
    from ltf_lite.engines.hub import at_hand

    if not at_hand(ref.place):
        raise EngineError(
            f"the model {ref.given!r} is not on this machine, and the Hugging Face Hub cannot be "
            f"reached: give a model folder or a GGUF file, or go online{meant(ref.given)}"
        )


def _automatic(ref: ModelRef) -> Dialect | None:
    """What `auto` is for a model; None for its own, which is few-shot where it says nothing."""
    if Path(ref.place).is_file():
        from ltf_lite.engines.llama.check import metadata

        chats = bool(not metadata(ref.place, KEY) and metadata(ref.place, TEMPLATE_KEY))
    else:
        chats = ref.kind in ("folder", "hub") and automatic(ref.place) == CHAT
    return Dialect(CHAT) if chats else None


__all__ = [
    "ENGINES",
    "TINY_BASE",
    "TINY_TUNED",
    "Completion",
    "Dialect",
    "Engine",
    "EngineError",
    "EnginePlugin",
    "Listener",
    "ModelRef",
    "Prompt",
    "Sampling",
    "Score",
    "Stopped",
    "Usage",
    "asked_first",
    "base_ref",
    "bases",
    "cut",
    "gguf_files",
    "loadable",
    "model_path",
    "open_engine",
    "resolve",
    "used",
]

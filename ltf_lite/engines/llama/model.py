"""A GGUF file loaded with llama.cpp, and refused where it holds no model that answers a prompt."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import llama_cpp as lc

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.llama.check import check_gguf

ERROR = 4  # ggml's log level

_errors: list[str] = []  # what llama.cpp complained of while it loaded a file


@lc.llama_log_callback
def _quiet(level: int, text: bytes, _data: Any) -> None:
    """llama.cpp's log, kept to its errors; the module holds the reference that C code needs."""
    if level == ERROR and len(_errors) < 100:
        _errors.append(text.decode("utf-8", "replace").strip())


def silence() -> None:
    """Keep llama.cpp's log off the screen."""
    lc.llama_log_set(_quiet, ctypes.c_void_p(0))
    _errors.clear()


def load(path: str | Path) -> Any:
    """llama.cpp's model of a GGUF file; raises EngineError with one sentence that names it."""
    check_gguf(path)
    silence()
    lc.llama_backend_init()
    model = lc.llama_model_load_from_file(os.fsencode(path), lc.llama_model_default_params())
    if not model:
        said = [e.split("error loading model: ")[1] for e in _errors if "error loading model" in e]
        reason = f": {said[0]}" if said else ""
        raise EngineError(f"llama.cpp cannot load the GGUF file {str(path)!r}{reason}")
    return model


def metadata(model: Any, key: str) -> str | None:
    """A model's metadata under a key, as text; None where it has none."""
    room: Any = ctypes.create_string_buffer(4096)
    size = lc.llama_model_meta_val_str(model, key.encode(), room, len(room))
    return room.value.decode("utf-8", "replace") if size >= 0 else None


def recurs(model: Any) -> bool:
    """Whether a layer of the model keeps a state of all tokens so far, and not each token's own."""
    return bool(lc.llama_model_is_recurrent(model) or lc.llama_model_is_hybrid(model))

"""A GGUF file loaded with llama.cpp, and refused where it holds no model that answers a prompt."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp as lc

from ltf_lite.core.errors import LONGEST
from ltf_lite.core.progress import say
from ltf_lite.engines.base import EngineError
from ltf_lite.engines.llama.check import check_gguf
from ltf_lite.engines.llama.trial import survive

ERROR = 4  # ggml's log level
LOADING = "error loading model: "
PRE = "tokenizer.ggml.pre"
EMBEDS = re.compile("bert|embed")  # in the names of architectures that look both ways

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
    wanted = lc.llama_model_default_params()
    wanted.use_extra_bufts = not survive(path)
    silence()
    lc.llama_backend_init()
    model = lc.llama_model_load_from_file(os.fsencode(path), wanted)
    if not model:
        raise EngineError(f"llama.cpp cannot load the GGUF file {str(path)!r}{_reason()}")
    if why := _unfit(model):
        lc.llama_model_free(model)
        raise EngineError(
            f"the GGUF file {str(path)!r} {why}: give one of a model that goes on with a text"
        )
    if metadata(model, "tokenizer.ggml.model") == "gpt2" and not metadata(model, PRE):
        say(
            f"the GGUF file {str(path)!r} does not name its pre-tokenizer ({PRE}): llama.cpp takes "
            "its default, and other tokens than the model learnt are likely; convert it again"
        )
    return model


@contextmanager
def opened_safely(path: str | Path) -> Iterator[None]:
    """Meanwhile llama-cpp-python's own `Llama` opens a file as `load` does; raises EngineError.

    It has no setting for that, and asks for the usual ones in one place.
    """
    plainly, usual = survive(path), lc.llama_cpp.llama_model_default_params

    def wanted() -> Any:
        found = usual()
        found.use_extra_bufts = not plainly
        return found

    lc.llama_cpp.llama_model_default_params = wanted
    try:
        yield
    finally:
        lc.llama_cpp.llama_model_default_params = usual


def _reason() -> str:
    """What llama.cpp said last of a file that it could not load, as the end of a sentence."""
    told = [each for each in _errors if LOADING in each or each.startswith("gguf_init")]
    if not told:
        return ""
    # of a broken header it says more before
    said = told[0].partition(": ")[2].removeprefix(LOADING)
    return f": {' '.join(said.split())[:LONGEST].rstrip('.')}"


def _unfit(model: Any) -> str | None:
    """Why no prompt can be put to a model; None where one can."""
    kind = metadata(model, "general.architecture") or ""
    if lc.llama_model_has_encoder(model) or not lc.llama_model_has_decoder(model):
        return "holds a model with an encoder"
    if lc.llama_model_is_diffusion(model):
        return "holds a diffusion model"
    pooled = metadata(model, f"{kind}.pooling_type") not in (None, str(lc.LLAMA_POOLING_TYPE_NONE))
    both_ways = metadata(model, f"{kind}.attention.causal") == "false"
    if pooled or both_ways or EMBEDS.search(kind):
        return "holds a model that makes embeddings"
    if lc.llama_vocab_type(lc.llama_model_get_vocab(model)) == lc.LLAMA_VOCAB_TYPE_NONE:
        return "has no vocabulary"
    return None


def metadata(model: Any, key: str) -> str | None:
    """A model's metadata under a key, as text; None where it has none."""
    room: Any = ctypes.create_string_buffer(4096)
    size = lc.llama_model_meta_val_str(model, key.encode(), room, len(room))
    return room.value.decode("utf-8", "replace") if size >= 0 else None


def recurs(model: Any) -> bool:
    """Whether a layer of the model keeps a state of all tokens so far, and not each token's own."""
    return bool(lc.llama_model_is_recurrent(model) or lc.llama_model_is_hybrid(model))

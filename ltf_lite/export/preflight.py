"""Everything export will need, checked before the hours of search and training it follows."""

from __future__ import annotations

import importlib
from pathlib import Path

from huggingface_hub import snapshot_download

from ltf_lite.export.architecture import (
    architecture,
    check_names,
    read_config,
    rows,
    tensor_files,
)  # fmt: skip
from ltf_lite.export.errors import ExportError
from ltf_lite.export.vocabulary import read_vocabulary

NEEDED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")


def check_exportable(model_dir: str | Path) -> None:
    """Refuse a base whose tuned copy could not be exported; no weights are loaded.

    A name on the Hub is downloaded first, to where loading it looks. Raises ExportError with one
    sentence.
    """
    try:
        importlib.import_module("llama_cpp")
    except (ImportError, OSError) as error:
        raise ExportError(f"llama-cpp-python cannot be imported: {error}") from error
    folder = local(model_dir)
    config = read_config(folder)
    architecture(config)
    files = tensor_files(folder)
    check_names(config, files, quantized_too=True)
    embeddings = "model.embed_tokens.weight"
    read_vocabulary(folder, rows(files[embeddings], embeddings))


def local(model_dir: str | Path) -> Path:
    """The directory of a model that is one, or is a name on the Hub; raises ExportError."""
    if Path(model_dir).is_dir():
        return Path(model_dir)
    try:
        return Path(snapshot_download(str(model_dir), allow_patterns=list(NEEDED)))
    except Exception as error:  # the network's and the Hub's errors have no common type
        raise ExportError(
            f"there is no model directory {str(model_dir)!r}, and the Hub has none of that name or "
            "cannot be reached"
        ) from error

"""Everything export will need, checked before the hours of search and training it follows."""

from __future__ import annotations

import importlib
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from ltf_lite.engines.hub import reachable
from ltf_lite.engines.refs import meant
from ltf_lite.export.architecture import (
    INDEX,
    architecture,
    check_names,
    check_shapes,
    indexed,
    read_config,
    rows,
    tensor_files,
)
from ltf_lite.export.errors import ExportError
from ltf_lite.export.gguf.vocabulary import read_vocabulary

WHOLE = ("config.json", "tokenizer.json", "model*.safetensors")  # a model on the Hub
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
    check_shapes(config, files)
    embeddings = "model.embed_tokens.weight"
    read_vocabulary(folder, rows(files[embeddings], embeddings))


def local(model_dir: str | Path) -> Path:
    """The directory of a model that is one, or is a name on the Hub; raises ExportError.

    Where the Hub cannot be reached, its cache on this machine must hold the whole model.
    """
    if Path(model_dir).is_dir():
        return Path(model_dir)
    name = str(model_dir)
    try:
        here = not reachable()
        folder = Path(snapshot_download(name, allow_patterns=list(NEEDED), local_files_only=here))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise ExportError(
            f"there is no model directory {name!r}, and the Hub gives out no model of that name "
            f"(a gated one it does after `hf auth login`){meant(name)}"
        ) from error
    except Exception as error:  # the network's errors and the Hub's have no common type
        begun = getattr(error, "snapshot_path", None)
        if begun is None:
            raise ExportError(unreachable(name, list(WHOLE))) from error
        folder = Path(begun)
    if missing := missing_files(folder):
        raise ExportError(unreachable(name, missing))
    return folder


def missing_files(folder: Path) -> list[str]:
    """The files without which a snapshot of the Hub cannot be loaded."""
    wanted = ["config.json", "tokenizer.json"]
    if (folder / INDEX).is_file():
        wanted += indexed(folder / INDEX)
    else:
        wanted.append("model.safetensors")
    return [name for name in wanted if not (folder / name).is_file()]


def unreachable(name: str, missing: list[str]) -> str:
    """Which files of a model on the Hub are not here, and how to bring them, in one sentence."""
    cached = f"models--{name.replace('/', '--')}"
    return (
        f"there is no model directory {name!r}, and the Hub's cache here lacks its "
        f"{', '.join(missing)} while the Hub cannot be reached or has no such file: run "
        f"`hf download {name} --local-dir DIR` where there is a network, bring DIR here and say "
        f"model: {{base: DIR}} in the preset, or bring the cache's folder hub/{cached} into "
        f"{constants.HF_HUB_CACHE}{meant(name)}"
    )

"""What transformers loads of a model: with classes of its own, and from safetensors alone.

A model may bring Python files, and weights that are pickles run code as they are read. Neither is
ever run here, and nobody is asked on standard input whether it may.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.hub import reachable

FOREIGN = "custom code"  # in what transformers says where it would need a model's own Python


class ForeignCode(EngineError):
    """A model that cannot be loaded without running Python of its own."""


def config(name: str | Path) -> Any:
    """The configuration of a folder or hub name; raises ForeignCode, and what transformers does."""
    from transformers import AutoConfig

    return _loaded(AutoConfig, name)


def tokenizer(name: str | Path, **options: Any) -> Any:
    """The tokenizer of a folder or hub name; raises like `config`."""
    from transformers import AutoTokenizer

    return _loaded(AutoTokenizer, name, **options)


def model(name: str | Path, **options: Any) -> Any:
    """The causal language model of a folder or hub name; raises like `config`."""
    from transformers import AutoModelForCausalLM

    return _loaded(AutoModelForCausalLM, name, use_safetensors=True, **options)


def adapted(base: Any, adapter: str | Path, **options: Any) -> Any:
    """The model with a folder's LoRA adapter beside its weights; raises EngineError for pickles."""
    from peft import PeftModel  # slow to import, and only an adapter needs it

    if not (Path(adapter) / "adapter_model.safetensors").is_file():
        raise EngineError(
            f"the adapter {str(adapter)!r} has no adapter_model.safetensors, which alone is read"
        )
    return PeftModel.from_pretrained(base, str(adapter), **options)


def _loaded(kind: Any, name: str | Path, **options: Any) -> Any:
    if not Path(name).is_dir() and not reachable():
        options["local_files_only"] = True
    try:
        return kind.from_pretrained(name, trust_remote_code=False, **options)
    except ValueError as error:
        if FOREIGN not in str(error):
            raise
        raise ForeignCode(
            f"{str(name)!r} needs Python code of its own, which is never run here: use a model "
            "that transformers knows by itself"
        ) from error

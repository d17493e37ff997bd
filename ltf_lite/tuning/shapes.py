"""What a base looks like, from its config.json alone; no weights, and no torch until asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ltf_lite.engines import EngineError, resolve
from ltf_lite.engines.from_gguf import config_of as config_of_gguf
from ltf_lite.engines.hub import reachable
from ltf_lite.engines.refs import meant
from ltf_lite.tuning.settings import TuningError

QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "dtype": "bfloat16",
}
# The bases of the presets, so that a dry run needs neither their weights nor a network.
KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-Math-1.5B": QWEN2
    | {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 8960,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
    },
    "Qwen/Qwen2.5-Math-7B": QWEN2
    | {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
    },
    "Qwen/Qwen3-4B": QWEN2
    | {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "head_dim": 128,
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 9728,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 40960,
        "eos_token_id": 151645,
    },
}


class Shape(NamedTuple):
    """Sizes of a decoder; `queries` and `keys` are widths over all `heads`."""

    hidden: int
    layers: int
    queries: int
    keys: int
    intermediate: int
    vocabulary: int
    tied: bool
    head_norms: bool
    heads: int

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of a layer's linear layers."""
        return {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a config.json tells; raises TuningError where it does not tell one."""
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        width = int(config.get("head_dim") or hidden // heads)
        return Shape(
            hidden=hidden,
            layers=int(config["num_hidden_layers"]),
            queries=heads * width,
            keys=int(config.get("num_key_value_heads") or heads) * width,
            intermediate=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            head_norms=config.get("model_type") == "qwen3",
            heads=heads,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise TuningError(f"the base's config.json does not tell its shape ({error!r})") from error


def read_config(name: str | Path, online: bool = True) -> dict[str, Any]:
    """The config.json of a model directory, of `tiny-base`, a GGUF file, or a name on the Hub.

    A name is looked up in the Hub's cache here, then among the presets' bases, then, if `online`,
    on the Hub. Raises TuningError if there is none.
    """
    try:
        ref = resolve(name)
        if ref.kind == "gguf":  # not turned into a folder: a dry run asks too
            return config_of_gguf(ref.place)
    except EngineError as error:
        raise TuningError(str(error)) from error
    if ref.kind == "folder":
        return _read(Path(ref.place) / "config.json")
    if ref.kind != "hub":
        raise TuningError(f"{ref.given!r} cannot be tuned: name a model folder or a hub name")
    found = _cached(str(name))
    if found is not None:
        return _read(found)
    if str(name) in KNOWN:
        return dict(KNOWN[str(name)])
    if online:
        return _read(_downloaded(str(name)))
    raise TuningError(f"the shape of {str(name)!r} is not known here: its config.json is missing")


def config_of(name: str | Path) -> Any:
    """transformers' configuration of a base, found as `read_config` finds it."""
    from transformers import AutoConfig

    told = read_config(name)
    try:
        return AutoConfig.for_model(told.pop("model_type"), **told)
    except (KeyError, ValueError) as error:
        raise TuningError(f"transformers knows no model like {str(name)!r} ({error!r})") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TuningError(f"cannot read the base's configuration {file}: {error}") from error
    if not isinstance(told, dict):
        raise TuningError(f"{file} is no configuration: it must be a JSON object")
    return told


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json")
    except ValueError:  # no name that the Hub could have
        return None
    return Path(found) if isinstance(found, str) else None


def _downloaded(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json", local_files_only=not reachable()))
    except Exception as error:  # the network's and the Hub's errors have no common type
        raise TuningError(
            f"there is no model directory {name!r}, and the Hub has none of that name or cannot be "
            f"reached: give a directory with the model's files{meant(name)}"
        ) from error

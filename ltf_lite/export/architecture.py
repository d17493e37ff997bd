"""The architectures export knows: what their tensors are called here and in a GGUF file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from ltf_lite.engines import pretrained
from ltf_lite.engines.from_gguf.names import ARCHITECTURES, expected_names
from ltf_lite.export.errors import ExportError

INDEX = "model.safetensors.index.json"
QUANTIZED = re.compile(r"\.weight\.((nested_)?(absmax|quant_map)|quant_state\..*)$")  # bitsandbytes


def read_config(model_dir: str | Path) -> Any:
    """The transformers config of a model directory; raises ExportError."""
    file = Path(model_dir) / "config.json"
    if not file.is_file():
        raise ExportError(f"{str(model_dir)!r} is no model directory: it has no config.json")
    told = read_object(file)
    for key in ("model_type", "architectures"):
        if not told.get(key):
            raise ExportError(f"{str(file)!r} does not name the model's {key}")
    try:
        return pretrained.config(model_dir)
    except pretrained.ForeignCode as error:
        raise ExportError(str(error)) from error
    except Exception as error:  # a wrong value fails in transformers in many ways
        raise ExportError(f"cannot read {str(file)!r}: {in_one_line(error)}") from error


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ExportError."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{str(file)!r} is no JSON: {in_one_line(error)}") from error
    if not isinstance(told, dict):
        raise ExportError(f"{str(file)!r} holds no JSON object")
    return told


def in_one_line(error: BaseException) -> str:
    """What another library's exception says, as a part of a sentence."""
    return " ".join(str(error).split())[:200].rstrip(".:") or type(error).__name__


def empty_model(config: Any) -> Any:
    """The model of a config in fp32, without memory for its weights; raises ExportError."""
    from accelerate import init_empty_weights  # slow to import

    try:
        with init_empty_weights(include_buffers=False):
            return AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, trust_remote_code=False
            ).eval()
    except Exception as error:  # a wrong value fails in transformers in many ways
        raise ExportError(f"config.json describes no model: {in_one_line(error)}") from error


def architecture(config: Any) -> str:
    """The GGUF name of a config's architecture; raises ExportError where it is not known."""
    name = config.architectures[0]
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ExportError(f"cannot export the architecture {name} (known: {known})")
    if config.hidden_act != "silu":
        raise ExportError(f"cannot export {name} with the activation {config.hidden_act!r}")
    if getattr(config, "use_sliding_window", False):
        raise ExportError(f"cannot export {name} with sliding-window attention")
    rope_factors(config)
    return ARCHITECTURES[name]


def check_names(config: Any, found: Iterable[str], quantized_too: bool = False) -> None:
    """Refuse tensors that are missing or have no place in the file; raises ExportError.

    `quantized_too` lets the parts of 4-bit weights pass, which merging turns into whole ones.
    """
    names = set(found)
    parts = {name for name in names if QUANTIZED.search(name)}
    if parts and not quantized_too:
        raise ExportError("the model's weights are 4-bit: merge them to 16 bits before exporting")
    names -= parts
    names = {name for name in names if not name.endswith("rotary_emb.inv_freq")}
    expected = expected_names(config)
    if config.tie_word_embeddings:
        names.discard("lm_head.weight")
    if unknown := sorted(names - expected.keys()):
        raise ExportError(f"cannot export the tensor {unknown[0]}: no GGUF tensor stands for it")
    if missing := sorted(expected.keys() - names):
        raise ExportError(f"the model lacks the tensor {missing[0]}")


def tensor_files(model_dir: str | Path) -> dict[str, Path]:
    """Tensor name → the safetensors file that has it; only headers are read. Raises ExportError."""
    places: dict[str, Path] = {}
    for file in weight_files(Path(model_dir)):
        try:
            with safe_open(file, framework="pt") as tensors:
                places |= dict.fromkeys(tensors.keys(), file)
        except Exception as error:  # safetensors' own error type has no public home
            raise ExportError(
                f"cannot read the weights {str(file)!r}: {in_one_line(error)}; the file is damaged "
                "or cut short, so bring it here once more"
            ) from error
    return places


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers would load of a directory; raises ExportError."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if (folder / INDEX).is_file():
        names = indexed(folder / INDEX)
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ExportError(
                f"{str(folder)!r} lacks {', '.join(missing)}, which its {INDEX} names: copy or "
                "download what is missing"
            )
        return [folder / name for name in names]
    if others := sorted(path.name for path in folder.glob("*.bin")):
        raise ExportError(
            f"{str(folder)!r} has its weights as {others[0]} and not as safetensors: load it once "
            "with transformers and save it with save_pretrained, which writes model.safetensors"
        )
    raise ExportError(f"{str(folder)!r} has no model.safetensors and no {INDEX}")


def indexed(index: Path) -> list[str]:
    """The names of the files that an index of weights names; raises ExportError."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ExportError(f"{str(index)!r} has no weight_map")
    return sorted(set(map(str, places.values())))


def check_shapes(config: Any, files: Mapping[str, Path]) -> None:
    """Refuse tensors that have not the shape the config gives them; raises ExportError."""
    found = shapes(files)
    for name, weight in empty_model(config).state_dict().items():
        if name in files and found[name] != tuple(weight.shape):
            raise ExportError(
                f"the tensor {name} has the shape {found[name]}, by config.json it would be "
                f"{tuple(weight.shape)}: the weights and the config are not of one model"
            )


def shapes(files: Mapping[str, Path]) -> dict[str, tuple[int, ...]]:
    """Tensor name → shape, from the headers; of 4-bit weights the shape before quantization."""
    found: dict[str, tuple[int, ...]] = {}
    whole: dict[str, tuple[int, ...]] = {}
    for file in sorted(set(files.values())):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                found[name] = tuple(tensors.get_slice(name).get_shape())
                weight, state, _ = name.partition(".quant_state.")
                if state:
                    whole[weight] = tuple(json.loads(bytes(tensors.get_tensor(name)))["shape"])
    return found | whole


def rows(file: Path, name: str) -> int:
    """How many rows a tensor has, from the file's header."""
    with safe_open(file, framework="pt") as tensors:
        return int(tensors.get_slice(name).get_shape()[0])


def head_dim(config: Any) -> int:
    told = getattr(config, "head_dim", None)
    return int(told or config.hidden_size // config.num_attention_heads)


def heads_of(name: str, config: Any) -> int | None:
    """How many heads a tensor's rows are to be permuted in; None where they stay as they are.

    llama.cpp turns neighbouring pairs of a Llama head, transformers its halves; for the Qwens both
    turn halves.
    """
    if config.architectures[0] != "LlamaForCausalLM":
        return None
    if "self_attn.q_proj." in name:
        return int(config.num_attention_heads)
    return int(config.num_key_value_heads) if "self_attn.k_proj." in name else None


def permute(tensor: np.ndarray, heads: int) -> np.ndarray:
    """Rows (heads · 2 · half, …) from halves of each head to neighbouring pairs."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(tensor.shape)


def rope_factors(config: Any) -> np.ndarray | None:
    """What llama.cpp divides each rotary frequency by, (head_dim / 2,); None for plain rotary.

    Llama 3's scaling: long waves by `factor`, short ones by 1, smoothly in between. Raises
    ExportError for any other scaling, and where the architecture has no tensor for it.
    """
    rope = config.rope_parameters or {}
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    if kind != "llama3" or config.architectures[0] != "LlamaForCausalLM":
        raise ExportError(f"cannot export {config.architectures[0]} with rope scaling {kind!r}")
    width = head_dim(config)
    wave = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, width, 2) / width)
    turns = rope["original_max_position_embeddings"] / wave
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)

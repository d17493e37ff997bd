"""A LoRA adapter as peft saves it, read from its files; what a merge does not know is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from ltf_lite.export.architecture import (
    empty_model,
    expected_names,
    in_one_line,
    read_object,
)
from ltf_lite.export.errors import ExportError

# Settings that say where an adapter came from and how it was trained, not what it computes.
HISTORY = {
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_dropout",
    "peft_version",
    "revision",
    "target_modules",
    "task_type",
}
READ = {"lora_alpha", "peft_type", "r", "use_rslora"}
FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


class Adapter(NamedTuple):
    """W' = W + scaling · B A; `factors` has (A, B) of each linear layer, (r, in) and (out, r)."""

    scaling: float
    factors: dict[str, tuple[torch.Tensor, torch.Tensor]]


def read_adapter(folder: Path) -> Adapter:
    """The adapter of a directory, its factors in fp32; raises ExportError."""
    if not (folder / "adapter_config.json").is_file():
        raise ExportError(f"{str(folder)!r} is no adapter: it has no adapter_config.json")
    told = read_object(folder / "adapter_config.json")
    if changed := sorted(unknown_settings(told)):
        raise ExportError(
            f"cannot merge the adapter {str(folder)!r}: its setting {changed[0]} is "
            f"{told[changed[0]]!r}, and only plain LoRA can be merged"
        )
    try:
        tensors = load_file(folder / "adapter_model.safetensors")
    except Exception as error:  # safetensors' own error type has no public home
        raise ExportError(
            f"cannot read adapter_model.safetensors of {str(folder)!r}: {in_one_line(error)}"
        ) from error
    root = math.sqrt(told["r"]) if told.get("use_rslora") else told["r"]
    return Adapter(told["lora_alpha"] / root, paired(tensors))


def unknown_settings(told: dict[str, Any]) -> set[str]:
    """The settings of an adapter_config.json that make it more, or other, than plain LoRA."""
    from peft import LoraConfig  # slow to import, and noisy

    plain = LoraConfig().to_dict()
    found = {
        name
        for name, value in told.items()
        if name not in HISTORY | READ and value and value != plain.get(name)
    }
    # some initial values (PiSSA, OLoRA) take their part of the base's weights away
    if told.get("init_lora_weights") in (True, False, "gaussian"):
        found.discard("init_lora_weights")
    return found | ({"peft_type"} if told.get("peft_type") != "LORA" else set())


def paired(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Module name → its (A, B) in fp32, from the tensors of a file; raises ExportError."""
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        match = FACTOR.fullmatch(name)
        if match is None:
            raise ExportError(f"cannot merge the adapter's tensor {name}: it is no factor of LoRA")
        halves.setdefault(match[1], {})[match[2]] = tensor.float()
    if odd := [module for module, both in halves.items() if len(both) != 2]:
        raise ExportError(f"the adapter has only one of the two factors of {odd[0]}")
    if not halves:
        raise ExportError("the adapter has no tensors")
    return {module: (both["A"], both["B"]) for module, both in halves.items()}


def check_adapter(adapter: Adapter, config: Any) -> None:
    """Refuse an adapter that is not of this base; raises ExportError."""
    weights = empty_model(config).state_dict()
    for module, (a, b) in adapter.factors.items():
        name = f"{module}.weight"
        if name not in expected_names(config):
            raise ExportError(f"the adapter changes {name}, which the base does not have")
        if (b.shape[0], a.shape[1]) != weights[name].shape or a.shape[0] != b.shape[1]:
            raise ExportError(
                f"the adapter is of another base: its factors of {name} are {tuple(a.shape)} and "
                f"{tuple(b.shape)}, the weight is {tuple(weights[name].shape)}"
            )

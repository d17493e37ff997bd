"""Models of any size from their configuration alone: random weights, nothing downloaded."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from tests import tiny_models

WIDTH = 0.02  # standard deviation of the weights, as transformers initialises them


def build(config: Any, folder: Path, seed: int = 0) -> Path:
    """A model directory of this configuration in bf16, unless it is there; and a tokenizer.

    A layer at a time, so that no memory holds the model. The tokenizer knows some hundred tokens;
    what is trained on is drawn from all ids of the vocabulary.
    """
    if (folder / "config.json").is_file():
        return folder
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    config.dtype = torch.bfloat16
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    layers: dict[str, list[tuple[str, torch.Size]]] = defaultdict(list)
    for name, weight in model.state_dict().items():
        if name not in tied:
            layers[layer_of(name)].append((name, weight.shape))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(seed)
    places: dict[str, str] = {}
    for layer, weights in layers.items():
        file = f"model-{layer}.safetensors"
        drawn = {name: drawn_weight(name, shape, generator).cpu() for name, shape in weights}
        save_file(drawn, partial / file, metadata={"format": "pt"})
        places |= dict.fromkeys(drawn, file)
    index = {"metadata": {}, "weight_map": places}
    (partial / "model.safetensors.index.json").write_text(json.dumps(index))
    tiny_models.qwen_tokenizer().save_pretrained(partial)
    config.save_pretrained(partial)
    os.replace(partial, folder)
    return folder


def layer_of(name: str) -> str:
    """`5` of `model.layers.5.mlp.up_proj.weight`; embeddings, last norm and head by their names."""
    parts = name.split(".")
    return parts[2] if parts[1] == "layers" else parts[-2]


def drawn_weight(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if "norm" in name:
        return torch.ones(shape, dtype=torch.bfloat16)
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.bfloat16)
    return drawn * WIDTH

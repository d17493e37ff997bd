"""A model and its tokenizer for the in-process engine: 16 bits or NF4, with an adapter or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from ltf_lite.core.device import Device, device
from ltf_lite.engines import pretrained
from ltf_lite.engines.base import EngineError
from ltf_lite.engines.refs import meant
from ltf_lite.engines.torch.precision import fastest


def load(
    model: str | Path, load_in_4bit: bool = False, adapter: str | Path | None = None
) -> tuple[Any, Any]:
    """Model and tokenizer of a directory or hub name, on the best device; raises EngineError.

    It computes in the precision that is fastest there.
    `load_in_4bit` keeps the linear layers in NF4 as tuning does; `adapter` is the directory of a
    LoRA adapter, which stays beside the weights: what was tuned and validated, unmerged.
    """
    at = device()
    transformers_logging.disable_progress_bar()
    try:
        dtype = fastest(pretrained.config(model), load_in_4bit)
        options: dict[str, Any] = {"dtype": dtype}
        if load_in_4bit:
            # Placed while it is loaded: 4-bit weights are not moved between devices.
            options |= {"quantization_config": four_bit(dtype), "device_map": place(at)}
        tokenizer = pretrained.tokenizer(model, padding_side="left")
        options["output_loading_info"] = True
        pair: Any = pretrained.model(model, **options)
        loaded, found = pair
    except (torch.OutOfMemoryError, pretrained.ForeignCode):
        raise
    except Exception as error:  # broken files fail in transformers in many ways
        raise EngineError(
            f"cannot load the model {str(model)!r}: {first_line(error)} (give a model directory, a "
            f"GGUF file, or a hub name on a machine that is online){meant(model)}"
        ) from error
    check(loaded, tokenizer, found["missing_keys"], str(model))
    loaded = keep_layout(loaded) if load_in_4bit else loaded.to(at)
    return (loaded if adapter is None else with_adapter(loaded, adapter)).eval(), tokenizer


def check(model: Any, tokenizer: Any, missing: set[str], name: str) -> None:
    """Refuse what loads, and would answer nonsense; raises EngineError."""
    if missing:
        raise EngineError(
            f"the model {name!r} lacks the tensor {min(missing)}, which transformers would draw at "
            "random: copy or download its weights again"
        )
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise EngineError(
            f"the tokenizer of {name!r} has a token {highest}, the model only {rows} embeddings: "
            "they are not of one model"
        )


def four_bit(compute: torch.dtype) -> Any:
    """NF4 with double quantization, computing in that dtype (QLoRA, arXiv 2305.14314)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def place(at: Device) -> dict[str, int | str]:
    """The device map of a model that is whole on one device."""
    return {"": 0 if at == "cuda" else at}


def keep_layout(model: Any) -> Any:
    """The model, its 4-bit weights kept as they are.

    Else a forward pass on an AVX512-BF16 CPU repacks them, rounding their scales to bf16, and
    fails where a row is no multiple of 64.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def with_adapter(model: Any, adapter: str | Path) -> Any:
    """The model with a LoRA adapter beside its weights; raises EngineError."""
    folder = Path(adapter)
    if not (folder / "adapter_config.json").is_file():  # peft would ask the Hub for it
        raise EngineError(f"{str(folder)!r} is no adapter: it has no adapter_config.json")
    try:
        return pretrained.adapted(model, folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EngineError(
            f"the adapter {str(folder)!r} does not fit its base: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """What another library's exception says, as a part of a sentence."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)

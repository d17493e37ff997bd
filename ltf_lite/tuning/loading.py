"""A base model with a fresh adapter: by unsloth where there is CUDA, else by transformers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ltf_lite.tuning.settings import Lora, TuningError


def load_for_tuning(
    name: str | Path, lora: Lora, load_in_4bit: bool, max_length: int = 512, seed: int = 0
) -> tuple[Any, Any]:
    """(model, tokenizer): the base frozen, its adapter trainable in fp32.

    `name` is a model directory or a name on the Hub; `load_in_4bit` keeps the base in NF4 with
    double quantization (QLoRA, arXiv 2305.14314). Raises TuningError if there is no such model or
    its output head is one the losses do not know.
    """
    torch.manual_seed(seed)  # the adapter's first weights come from here
    cuda = torch.cuda.is_available()
    fast = cuda and find_spec("unsloth") is not None
    try:
        if fast:
            model, tokenizer = with_unsloth(str(name), lora, load_in_4bit, max_length, seed)
        else:
            model, tokenizer = with_transformers(str(name), lora, load_in_4bit, cuda)
    except (OSError, ValueError) as error:
        raise TuningError(
            f"no model could be loaded from {str(name)!r}: it is neither a model folder here nor a "
            f"name that the Hugging Face Hub gives out ({str(error).splitlines()[0]})"
        ) from error
    for key in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(model.config, key, None) not in (None, 1, 1.0):
            raise TuningError(f"{name} rescales its logits ({key}), which tuning does not support")
    return model, tokenizer


def four_bit(compute: torch.dtype) -> Any:
    """NF4 with double quantization, computing in that dtype (QLoRA, arXiv 2305.14314)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def keep_layout(model: Any) -> Any:
    """The model, its 4-bit weights kept as they are.

    Else a forward pass on an AVX512-BF16 CPU repacks them, rounding their scales to bf16, and
    fails where a row is no multiple of 64.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def with_transformers(name: str, lora: Lora, load_in_4bit: bool, cuda: bool) -> tuple[Any, Any]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if cuda else torch.float32
    options: dict[str, Any] = {"dtype": dtype}
    if load_in_4bit:
        options["quantization_config"] = four_bit(dtype)
    if cuda:
        options["device_map"] = {"": 0}
    base = keep_layout(AutoModelForCausalLM.from_pretrained(name, **options))
    base.requires_grad_(False)
    if cuda:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    adapter = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, adapter), AutoTokenizer.from_pretrained(name)


def with_unsloth(
    name: str, lora: Lora, load_in_4bit: bool, max_length: int, seed: int
) -> tuple[Any, Any]:
    from unsloth import FastLanguageModel

    base, tokenizer = FastLanguageModel.from_pretrained(
        model_name=name,
        max_seq_length=max_length,
        dtype=None,
        load_in_4bit=load_in_4bit,
        use_exact_model_name=True,  # the merge dequantizes this very base
    )
    model = FastLanguageModel.get_peft_model(
        base,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        bias="none",
        use_gradient_checkpointing="unsloth",
        random_state=seed,
        max_seq_length=max_length,
    )
    return model, tokenizer


def set_threads(threads: int) -> None:
    """Give torch that many threads; 0 leaves its own choice."""
    if threads:
        torch.set_num_threads(threads)

"""A base model with a fresh adapter: by unsloth where there is CUDA, else by transformers."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ltf_lite.core import places
from ltf_lite.core.device import Device, device
from ltf_lite.core.files import read_json
from ltf_lite.engines import pretrained
from ltf_lite.engines.torch.loading import first_line, four_bit, keep_layout, place
from ltf_lite.engines.torch.precision import fastest
from ltf_lite.tuning.checkpoints import SETTINGS
from ltf_lite.tuning.settings import Tuning, TuningError


def load_for_tuning(
    name: str | Path, tuning: Tuning, load_in_4bit: bool = False
) -> tuple[Any, Any]:
    """(model, tokenizer): the base frozen, its adapter trainable in fp32.

    Of `tuning` the adapter's settings, `start`, `max_length` and `seed` count. `name` is a model
    directory or a name on the Hub; `load_in_4bit` keeps the base in NF4 with double quantization
    (QLoRA, arXiv 2305.14314). Raises TuningError if there is no such model, its tokenizer knows
    more tokens than it has embeddings, its output head is one the losses do not know, or `start`
    is no adapter of the same settings.
    """
    torch.manual_seed(tuning.seed or 0)  # the adapter's first weights come from here
    at = device()
    try:
        if at == "cuda" and unsloth_serves():
            model, tokenizer = with_unsloth(str(name), tuning, load_in_4bit)
        else:
            model, tokenizer = with_transformers(str(name), tuning, load_in_4bit, at)
    except torch.OutOfMemoryError as error:
        raise TuningError(f"the device has no room for the weights of {str(name)!r}") from error
    except pretrained.ForeignCode as error:
        raise TuningError(str(error)) from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise TuningError(unloadable(str(name), error)) from error
    check(model, tokenizer, str(name))
    if tuning.start:
        go_on(model, places.place(tuning.start), tuning)
    return model, tokenizer


def go_on(model: Any, folder: Path, tuning: Tuning) -> None:
    """Give the model's fresh adapter the weights of an earlier one's folder."""
    from peft import set_peft_model_state_dict

    try:
        told = read_json(folder / SETTINGS)
        weights = load_file(folder / "adapter_model.safetensors")
        was = (told["r"], told["lora_alpha"], *sorted(told["target_modules"]))
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
        raise TuningError(f"no adapter to go on from in {folder}: {first_line(error)}") from error
    if was != (tuning.rank, tuning.lora_alpha, *sorted(tuning.targets)):
        raise TuningError(
            f"the adapter in {folder} has rank {was[0]}, lora_alpha {was[1]} and targets "
            f"{', '.join(was[2:])}: tuning.rank, lora_alpha and targets must be the same to go on "
            "from it"
        )
    try:
        left: Any = set_peft_model_state_dict(model, weights)
    except RuntimeError as error:
        left = error
    if getattr(left, "unexpected_keys", True):
        raise TuningError(f"the adapter in {folder} is of another base than this one")


def unsloth_serves() -> bool:
    """Whether unsloth is installed, and the card computes in bf16 as the trainer does.

    On older ones unsloth takes fp16 instead, which does not go with it.
    """
    return find_spec("unsloth") is not None and torch.cuda.is_bf16_supported(
        including_emulation=False
    )


def unloadable(name: str, error: BaseException) -> str:
    """What is the matter with a base that cannot be loaded, and the way out."""
    reason = first_line(error).rstrip(".:")
    if Path(name).is_dir():
        return (
            f"no model could be loaded from the folder {name!r} ({reason}): it needs config.json, "
            "tokenizer.json and whole weights, *.safetensors"
        )
    return (
        f"no model could be loaded from {name!r}: it is neither a model folder here nor a name "
        f"that the Hugging Face Hub gives out to this machine ({reason}); where there is a "
        f"network, `hf download {name} --local-dir DIR` brings its files, and then DIR can be the "
        "base"
    )


def check(model: Any, tokenizer: Any, name: str) -> None:
    """Refuse what would train, and train something else; raises TuningError."""
    for key in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(model.config, key, None) not in (None, 1, 1.0):
            raise TuningError(f"{name} rescales its logits ({key}), which tuning does not support")
    rows, ids = model.get_input_embeddings().weight.shape[0], tokenizer.get_vocab()
    if not ids.keys() - set(tokenizer.all_special_tokens):  # so is made what has no file
        raise TuningError(f"{name} has no tokenizer: its tokenizer.json is missing or empty")
    highest = max(ids.values())
    if highest >= rows:
        raise TuningError(
            f"the tokenizer of {name} has a token {highest}, and the model only {rows} embeddings, "
            f"0 to {rows - 1}: they do not belong together"
        )


def with_transformers(name: str, tuning: Tuning, load_in_4bit: bool, at: Device) -> tuple[Any, Any]:
    """A base and its adapter by transformers and peft, on the card or the CPU."""
    from peft import LoraConfig, get_peft_model

    dtype = fastest(pretrained.config(name), load_in_4bit)
    options: dict[str, Any] = {"dtype": dtype, "device_map": place(at)}
    if load_in_4bit:
        options["quantization_config"] = four_bit(dtype)
    base = keep_layout(pretrained.model(name, **options))
    base.requires_grad_(False)
    if at == "cuda":
        # Not reentrant: its backward pass reaches the adapters although no input has a gradient.
        base.gradient_checkpointing_enable({"use_reentrant": False})
    adapter = LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=tuning.dropout,
        target_modules=list(tuning.targets),
        task_type="CAUSAL_LM",
    )
    # peft keeps the adapter in fp32 beside 16-bit and 4-bit weights; autocast computes in 16 bits.
    return get_peft_model(base, adapter), pretrained.tokenizer(name)


def with_unsloth(name: str, tuning: Tuning, load_in_4bit: bool) -> tuple[Any, Any]:
    """As `with_transformers`, on a CUDA device, with unsloth's kernels in the model's place."""
    with quiet_unsloth():
        from unsloth import FastLanguageModel

        base, _ = FastLanguageModel.from_pretrained(
            model_name=name,
            max_seq_length=tuning.max_length,
            dtype=torch.bfloat16,
            load_in_4bit=load_in_4bit,
            device_map=place("cuda"),  # whole: else it may be spread over several cards
            use_exact_model_name=True,  # the merge dequantizes this very base
            trust_remote_code=False,
            offload_embedding=False,  # the engine that validates expects one device
        )
        model = FastLanguageModel.get_peft_model(
            base,
            r=tuning.rank,
            lora_alpha=tuning.lora_alpha,
            lora_dropout=tuning.dropout,
            target_modules=list(tuning.targets),
            bias="none",
            # keeps hidden states in host memory from 512 tokens on, below that on the card
            use_gradient_checkpointing="unsloth",
            random_state=tuning.seed or 0,
        )
    # It cuts off what is longer, without an error: no row is, but a prompt to validate may be.
    base.model.max_seq_length = base.config.max_position_embeddings
    # Not unsloth's tokenizer: where pad is the end token, or missing, it gets a pad token of its
    # own, and both loaders shall read the same text as the same tokens.
    return model, pretrained.tokenizer(name)


@contextmanager
def quiet_unsloth() -> Iterator[None]:
    """Keep unsloth from writing a folder here, from calling home, and from printing banners.

    On import it writes generated code to `unsloth_compiled_cache` in the working directory, and
    with every model it loads it fetches a file from the Hub to count its users. It warns when
    transformers is there before it: what it replaces afterwards it replaces in the classes, where
    our trainer, a subclass, finds it too.
    """
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(places.cache() / "unsloth"))
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.filterwarnings("ignore", message=".*Unsloth should be imported before")
        yield


def set_threads(threads: int) -> None:
    """Give torch that many threads; 0 leaves its own choice."""
    if threads:
        torch.set_num_threads(threads)

"""Merge a LoRA adapter into its base, and measure that nothing but rounding changed.

Everything runs tensor by tensor over the base's files, on the CPU: a person whose card holds a
7B model in 4 bits need not have the 30 GB that it takes in fp32.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from ltf_lite.core.errors import naming
from ltf_lite.core.files import keep_broken
from ltf_lite.engines import pretrained
from ltf_lite.engines.dialect import Dialect, searches, tell
from ltf_lite.engines.torch.loading import four_bit, keep_layout
from ltf_lite.export.architecture import empty_model, read_config, read_object, tensor_files
from ltf_lite.export.errors import ExportError
from ltf_lite.export.merge.adapter import Adapter, check_adapter, read_adapter
from ltf_lite.export.merge.weights import merged_tensors, read, save_tensors
from ltf_lite.export.preflight import local

TOLERANCE = 1e-3  # of a layer's outputs, fp32: beyond this the merge itself is wrong
ROUNDING = 1.0  # logits: 16-bit weights move them by hundredths, a lost tensor by whole nats
DEFAULT_TEXTS = ("1 2 3 4", "(25 + 5) * 3 = 90", "Use the numbers 5, 33, 30 to make 60.")


@dataclass(frozen=True)
class MergeResult:
    """How far a merge moved a model, the largest differences.

    `fp32` is of a layer's outputs by merging: absolute, and relative where they exceed 1. `saved`
    is of the logits by all of it, as the directory lies on disk in `dtype`.
    """

    fp32: float
    saved: float
    dtype: str


def merge(
    base_dir: str | Path,
    adapter_dir: str | Path,
    out_dir: str | Path,
    learn: str,
    load_in_4bit: bool = False,
    tokens: Sequence[Sequence[int]] | None = None,
    system: str = "",
) -> MergeResult:
    """16-bit weights and tokenizer of base + adapter in `out_dir`.

    The directory says that it speaks the dialect `learn`, a chat with its `system` text. An adapter
    trained against 4-bit weights is merged into those, dequantized. `tokens` are the ids to compare
    on. Raises ExportError.
    """
    base_dir, out_dir = local(base_dir), Path(out_dir)
    config, adapter = read_config(base_dir), read_adapter(Path(adapter_dir))
    check_adapter(adapter, config)
    tokenizer = pretrained.tokenizer(base_dir)
    rows = tokens or [tokenizer(text)["input_ids"] for text in DEFAULT_TEXTS]
    wanted = logits(unmerged(base_dir, str(adapter_dir), adapter, load_in_4bit), rows)
    gc.collect()  # 4-bit layers and their weights refer to each other: they would stay in memory
    partial = out_dir.with_name(out_dir.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with naming(out_dir):
            moved, dtype = write_weights(base_dir, adapter, load_in_4bit, partial)
            write_rest(base_dir, tokenizer, dtype, partial)
            tell(partial, learn, system, searches(base_dir))
            end_as_learnt(partial, Dialect(learn, system=system).of(tokenizer), tokenizer)
        rounded = difference(logits(streamed(partial), rows), wanted)
        if not rounded <= ROUNDING:  # true for NaN too
            raise ExportError(f"saving the merged model in 16 bits moved logits by {rounded:.3g}")
        keep_broken(out_dir, partial)
        shutil.rmtree(out_dir, ignore_errors=True)
        os.replace(partial, out_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return MergeResult(moved, rounded, dtype)


def write_weights(
    base_dir: Path, adapter: Adapter, load_in_4bit: bool, folder: Path
) -> tuple[float, str]:
    """Write the merged weights; (how far merging moved a layer at most, the weights' dtype)."""
    files = tensor_files(base_dir)
    # the embeddings' own dtype: they are never in 4 bits, and a config need not name any
    stored = read(files, "model.embed_tokens.weight").dtype
    dtype = torch.bfloat16 if stored == torch.bfloat16 else torch.float16
    moved = [0.0]

    def rounded() -> Iterator[tuple[str, torch.Tensor]]:
        for name, weight, off in merged_tensors(
            read_config(base_dir), files, adapter, load_in_4bit
        ):
            if not off <= TOLERANCE:  # true for NaN too
                raise ExportError(f"merging moved the outputs of {name} by {off:.3g}")
            moved.append(off)
            yield name, in_16_bits(name, weight, dtype)

    save_tensors(rounded(), folder)
    return max(moved), str(dtype).removeprefix("torch.")


def in_16_bits(name: str, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The weight rounded to 16 bits; raises ExportError where it does not fit."""
    small = weight.to(dtype)
    if not small.isfinite().all():
        raise ExportError(f"the merged tensor {name} has values that do not fit into {dtype}")
    return small


def write_rest(base_dir: Path, tokenizer: Any, dtype: str, folder: Path) -> None:
    """Config, end tokens and tokenizer of the base, beside the merged weights."""
    told = read_object(base_dir / "config.json")
    told.pop("quantization_config", None)
    told["torch_dtype" if "torch_dtype" in told else "dtype"] = dtype
    (folder / "config.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
    if (base_dir / "generation_config.json").is_file():
        shutil.copy(base_dir / "generation_config.json", folder)
    else:  # as transformers loads the base
        GenerationConfig.from_model_config(read_config(base_dir)).save_pretrained(folder)


def end_as_learnt(folder: Path, dialect: Dialect, tokenizer: Any) -> None:
    """Have the token that ends a reply of a chat among those that end a generation."""
    file, end = folder / "generation_config.json", dialect.end(tokenizer)
    if dialect.frame is None or end is None:
        return
    told = read_object(file)
    known = told.get("eos_token_id")
    ends = [known] if isinstance(known, int) else list(known or [])
    if end not in ends:
        told["eos_token_id"] = [*ends, end]
        file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def unmerged(base_dir: Path, adapter_dir: str, adapter: Adapter, load_in_4bit: bool) -> Any:
    """The tuned model as peft has it, its base in memory in 4 bits or else streamed."""
    if load_in_4bit or getattr(read_config(base_dir), "quantization_config", None):
        return pretrained.adapted(load(base_dir, load_in_4bit), adapter_dir).eval()
    model = pretrained.adapted(streamed(base_dir), adapter_dir, low_cpu_mem_usage=True)
    # peft puts an adapter where the base's weights are: a streamed base has them nowhere
    factors = {
        f"base_model.model.{module}.lora_{letter}.default.weight": factor
        for module, both in adapter.factors.items()
        for letter, factor in zip("AB", both, strict=True)
    }
    model.load_state_dict(factors, strict=False, assign=True)
    return model.eval()


def load(model_dir: Path, load_in_4bit: bool) -> Any:
    """The model on the CPU in fp32, or in the 4 bits of tuning (NF4, doubly quantized)."""
    options: dict[str, Any] = {"device_map": {"": "cpu"}}
    if load_in_4bit:
        options["quantization_config"] = four_bit(torch.float32)
    model = pretrained.model(model_dir, dtype=torch.float32, **options).eval()
    return keep_layout(model)


def streamed(model_dir: Path) -> Any:
    """The model in fp32, each weight read from its file only while its layer computes."""
    from accelerate.hooks import attach_align_device_hook
    from accelerate.utils import OffloadedWeightsLoader

    config = read_config(model_dir)
    index = {
        name: {"safetensors_file": str(file), "weight_name": name, "dtype": "float32"}
        for name, file in tensor_files(model_dir).items()
    }
    if config.tie_word_embeddings:
        index["lm_head.weight"] = index["model.embed_tokens.weight"]
    model = empty_model(config)
    attach_align_device_hook(
        model, torch.device("cpu"), offload=True, weights_map=OffloadedWeightsLoader(index=index)
    )
    return model


@torch.inference_mode()
def logits(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The logits (length, vocabulary) of each row of ids, fp32; all in one pass over the weights.

    Rows are filled up on the right: what follows a token does not change what is said of it.
    """
    longest = max(map(len, rows))
    batch = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    said = model(batch).logits
    return [said[k, : len(row)] for k, row in enumerate(rows)]


def difference(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """The largest absolute difference of two lists of logits."""
    largest = [(a - b).abs().max() for a, b in zip(some, others, strict=True)]
    return float(torch.stack(largest).max())  # NaN if anything is; Python's max might drop it

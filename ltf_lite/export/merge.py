"""Merge a LoRA adapter into its base, and measure that nothing but rounding changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from ltf_lite.export.errors import ExportError

TOLERANCE = 1e-3  # logits, fp32: beyond this the merge itself is wrong
ROUNDING = 1.0  # logits: 16-bit weights move them by hundredths, a lost tensor by whole nats
DEFAULT_TEXTS = ("1 2 3 4", "(25 + 5) * 3 = 90", "Use the numbers 5, 33, 30 to make 60.")


def merge(
    base_dir: str | Path, adapter_dir: str | Path, out_dir: str | Path,
    load_in_4bit: bool = False, tokens: Sequence[Sequence[int]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """16-bit weights and tokenizer of base + adapter in `out_dir`, and how far its logits moved.

    An adapter trained against 4-bit weights is merged into those, dequantized. `tokens` are the
    ids to compare on. Returns the largest logit differences: "fp32" of merging, "saved" of the
    directory as it lies on disk, and its "dtype". Raises ExportError.
    """
    from peft import PeftModel  # slow to import, and noisy

    base_dir, out_dir = str(base_dir), Path(out_dir)
    if not (Path(adapter_dir) / "adapter_config.json").is_file():
        raise ExportError(f"{str(adapter_dir)!r} is no adapter: it has no adapter_config.json")
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    rows = tokens or [tokenizer(text)["input_ids"] for text in DEFAULT_TEXTS]
    base = load(base_dir, load_in_4bit)
    dtype = torch.bfloat16 if stored_dtype(base_dir) == "bfloat16" else torch.float16
    unmerged = PeftModel.from_pretrained(base, str(adapter_dir)).eval()
    wanted = logits(unmerged, rows)
    base = unmerged.unload()
    if load_in_4bit:
        base = base.dequantize()
    merged = PeftModel.from_pretrained(base, str(adapter_dir)).merge_and_unload().eval()
    moved = difference(logits(merged, rows), wanted)
    if not moved <= TOLERANCE:  # a NaN is no success either
        raise ExportError(f"merging {str(adapter_dir)!r} moved the logits by {moved:.3g}")
    partial = out_dir.with_name(out_dir.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    merged.to(dtype).save_pretrained(partial)
    del merged, base, unmerged
    tokenizer.save_pretrained(partial)
    if (Path(base_dir) / "ltf.json").is_file():
        shutil.copy(Path(base_dir) / "ltf.json", partial)
    rounded = difference(logits(load(partial, False), rows), wanted)
    if not rounded <= ROUNDING:
        raise ExportError(f"saving the merged model in 16 bits moved its logits by {rounded:.3g}")
    shutil.rmtree(out_dir, ignore_errors=True)
    os.replace(partial, out_dir)
    return {"fp32": moved, "saved": rounded, "dtype": str(dtype).removeprefix("torch.")}


def load(model_dir: str | Path, load_in_4bit: bool) -> Any:
    """The model in fp32, or in the 4 bits that tuning loads it in (NF4, doubly quantized)."""
    options: dict[str, Any] = {}
    if load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
        if torch.cuda.is_available():
            options["device_map"] = {"": 0}
    return AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, **options).eval()


def stored_dtype(model_dir: str) -> str | None:
    """What the base's config says its weights are."""
    file = Path(model_dir) / "config.json"
    if not file.is_file():
        return str(AutoConfig.from_pretrained(model_dir).dtype).removeprefix("torch.")
    config = json.loads(file.read_text())
    return config.get("dtype") or config.get("torch_dtype")


@torch.inference_mode()
def logits(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The logits (length, vocabulary) of each row of ids, fp32, on the CPU."""
    batches = [torch.tensor([list(row)], device=model.device) for row in rows]
    return [model(batch).logits[0].float().cpu() for batch in batches]


def difference(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """The largest absolute difference of two lists of logits."""
    return max(float((a - b).abs().max()) for a, b in zip(some, others, strict=True))

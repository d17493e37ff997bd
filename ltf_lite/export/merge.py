"""Merge a LoRA adapter into its base, and measure that nothing but rounding changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ltf_lite.export.errors import ExportError
from ltf_lite.tuning.loading import four_bit, keep_layout

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
    unmerged = PeftModel.from_pretrained(load(base_dir, load_in_4bit), str(adapter_dir)).eval()
    wanted = logits(unmerged, rows)
    base = unmerged.unload()
    if getattr(base, "is_quantized", False):  # also where the base was stored in 4 bits
        base = base.dequantize(dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, str(adapter_dir)).merge_and_unload().eval()
    moved = difference(logits(merged, rows), wanted)
    if not moved <= TOLERANCE:  # a NaN is no success either
        raise ExportError(f"merging {str(adapter_dir)!r} moved the logits by {moved:.3g}")
    stored = AutoConfig.from_pretrained(base_dir).dtype
    dtype = torch.bfloat16 if stored == torch.bfloat16 else torch.float16
    partial = out_dir.with_name(out_dir.name + ".partial")
    try:
        save(merged.to(dtype), tokenizer, Path(base_dir), partial)
        del merged, base, unmerged
        rounded = difference(logits(load(partial, False), rows), wanted)
        if not rounded <= ROUNDING:
            raise ExportError(f"saving the merged model in 16 bits moved logits by {rounded:.3g}")
        shutil.rmtree(out_dir, ignore_errors=True)
        os.replace(partial, out_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {"fp32": moved, "saved": rounded, "dtype": str(dtype).removeprefix("torch.")}


def save(model: Any, tokenizer: Any, base_dir: Path, folder: Path) -> None:
    """Model, tokenizer, and the text style of the base, in an emptied folder."""
    shutil.rmtree(folder, ignore_errors=True)
    # the "original format" of a base that was stored in 4 bits cannot be written
    model.save_pretrained(folder, save_original_format=False)
    tokenizer.save_pretrained(folder)
    if (base_dir / "ltf.json").is_file():
        shutil.copy(base_dir / "ltf.json", folder)


def load(model_dir: str | Path, load_in_4bit: bool) -> Any:
    """The model on the CPU in fp32, or in the 4 bits of tuning (NF4, doubly quantized).

    On the CPU because a card that holds the 4-bit model need not hold the merged one.
    """
    options: dict[str, Any] = {}
    if load_in_4bit:
        options["quantization_config"] = four_bit(torch.float32)
        options["device_map"] = {"": "cpu"}
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, **options).eval()
    return keep_layout(model)


@torch.inference_mode()
def logits(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The logits (length, vocabulary) of each row of ids, fp32."""
    batches = [torch.tensor([list(row)]) for row in rows]
    return [model(batch).logits[0] for batch in batches]


def difference(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """The largest absolute difference of two lists of logits."""
    largest = [(a - b).abs().max() for a, b in zip(some, others, strict=True)]
    return float(torch.stack(largest).max())  # NaN if anything is; Python's max might drop it

"""Each preset on a card of its size, and both loaders beside each other."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ltf_lite import presets
from ltf_lite.export.merge.adapter import read_adapter
from ltf_lite.pipeline.needs import estimates_of
from ltf_lite.tuning.memory import CONTEXT
from tests.gpu.measure import LOADERS, apart
from tests.gpu.table import card_of, cards

with_unsloth = pytest.mark.skipif(find_spec("unsloth") is None, reason="unsloth is not installed")
loaders = [pytest.param(name, marks=with_unsloth if name == "unsloth" else ()) for name in LOADERS]
SMALLEST = "qwen2.5-math-1.5b-8gb"


@pytest.mark.parametrize("loader", loaders)
@pytest.mark.parametrize("name", cards())
def test_a_preset_trains_on_its_card(name, loader, model_of):
    card = card_of(name)
    if torch.cuda.get_device_properties(0).total_memory < 0.9 * card * 2**30:
        pytest.skip(f"the device has less than {card} GB")
    preset = presets.load(name)
    found = apart(name, model_of(preset.model.base), loader, "--card", card)
    expected = next(e for e in estimates_of(preset, cuda=True) if e.pieces == found["pieces"])
    peak = (found["peak"] + CONTEXT) / 2**30
    print(
        f"\n{name}, {loader}: {found['tokens_per_second']:,.0f} tokens/s, peak {peak:.1f} GiB "
        f"(estimate {expected.total / 2**30:.1f}) in {found['pieces']} pieces"
    )
    assert all(math.isfinite(value) for step in found["losses"] for value in step)
    assert peak < card
    assert peak < 1.25 * expected.total / 2**30  # unsloth is to need less
    if loader == "plain":
        assert peak > 0.5 * expected.total / 2**30


@with_unsloth
def test_both_loaders_train_the_same_model_to_the_same_adapter(model_of, tmp_path):
    folder = model_of(presets.load(SMALLEST).model.base)
    plain, fast = (
        apart(SMALLEST, folder, loader, "--save", tmp_path / loader) for loader in LOADERS
    )
    for key in ("tokens_per_second", "peak"):
        print(f"\n{key}: plain {plain[key]:,.0f}, unsloth {fast[key]:,.0f}")
    for ours, theirs in zip(plain["losses"], fast["losses"], strict=True):
        # 16-bit arithmetic in another order; the last is the gradient's norm
        assert theirs[:2] == pytest.approx(ours[:2], rel=0.02)
        assert theirs[2] == pytest.approx(ours[2], rel=0.1)
    assert same_files(tmp_path / "plain", tmp_path / "unsloth")


def same_files(one: Path, other: Path) -> bool:
    """Whether two adapters have the same files, tensors, shapes and types, and the same meaning."""
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (one, other)]
    told = [json.loads((folder / "adapter_config.json").read_text()) for folder in (one, other)]
    for each in told:
        each.pop("auto_mapping", None)  # unsloth says which class it was; nothing reads it
        each["target_modules"] = sorted(each["target_modules"])
    shapes = [{name: (w.shape, w.dtype) for name, w in each.items()} for each in weights]
    scales = [read_adapter(folder).scaling for folder in (one, other)]
    return told[0] == told[1] and shapes[0] == shapes[1] and scales[0] == scales[1]

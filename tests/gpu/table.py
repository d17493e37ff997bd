"""The table of measured presets for docs/cards.md: python -m tests.gpu.table [--models FOLDER]

Each preset for a card, under a cap of that card's size, by both loaders; one line each.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import torch

from ltf_lite import presets
from ltf_lite.pipeline.needs import estimates_of
from ltf_lite.tuning.memory import CONTEXT
from ltf_lite.tuning.shapes import config_of
from tests.gpu.measure import LOADERS, apart
from tests.gpu.models import build

STEPS = 6


def cards() -> list[str]:
    """The presets that are named for a card."""
    return sorted(name for name in presets.available() if re.search(r"-\d+gb$", name))


def card_of(name: str) -> int:
    """12 of `qwen3-4b-12gb`, GB."""
    return int(name.rpartition("-")[2].removesuffix("gb"))


def line(name: str, loader: str, folder: Path) -> str:
    """A row of the table; one that failed says with what."""
    card, preset = card_of(name), presets.load(name)
    estimate = estimates_of(preset, cuda=True)[0].total / 2**30
    start = f"| {name} | {card} GB | {loader} |"
    try:
        found = apart(name, folder, loader, "--card", card, "--steps", STEPS)
    except RuntimeError as error:
        return f"{start} failed: {str(error).strip().splitlines()[-1]} | | {estimate:.1f} GiB | |"
    peak = (found["peak"] + CONTEXT) / 2**30
    speed = f"{found['tokens_per_second']:,.0f}"
    return f"{start} {speed} | {peak:.1f} GiB | {estimate:.1f} GiB | {found['pieces']} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="where random models are kept (15 GB for 7B)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a CUDA device, and torch sees none")
    loaders = [name for name in LOADERS if name == "plain" or find_spec("unsloth")]
    print(f"{time.strftime('%Y-%m-%d')}, {torch.cuda.get_device_name()}, random weights, rows of")
    print("the preset's longest length; the peak counts CUDA's context as the estimate does.\n")
    print("| preset | cap | loader | tokens/s | peak | estimated peak | pieces |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        kept = args.models or Path(temporary)
        for name in cards():
            base = presets.load(name).model.base
            folder = build(config_of(base), kept / base.replace("/", "--"))
            for loader in loaders:
                print(line(name, loader, folder), flush=True)


if __name__ == "__main__":
    main()

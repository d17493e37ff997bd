"""The device that torch computes on: chosen here, and in no other place.

`cuda` is a card of NVIDIA, or one of AMD through ROCm, which torch calls by the same name. Apple's
GPU (`mps`) was never tested, and is used only where LTF_DEVICE asks for it.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Literal, get_args

from ltf_lite.core.errors import UsageError

Device = Literal["cuda", "mps", "cpu"]
VARIABLE = "LTF_DEVICE"
AMD = Path("/dev/kfd")  # the driver of AMD's cards


def device() -> Device:
    """What LTF_DEVICE says, else a card where torch can use one, else the CPU.

    Raises UsageError for a device that torch does not find here.
    """
    import torch

    asked = os.environ.get(VARIABLE, "").strip().lower()
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if not asked:
        return "cuda" if there["cuda"] else "cpu"
    for one in get_args(Device):
        if asked == one and there[one]:
            return one
    found = ", ".join(one for one in there if there[one])
    raise UsageError(
        f"{VARIABLE}={asked}: torch finds {found} here; set it to one of them, or not at all"
    )


def cuda() -> bool:
    """Whether torch computes on a card."""
    return device() == "cuda"


def untested() -> list[str]:
    """What this machine may compute on besides the CPU and NVIDIA's cards, a sentence each."""
    said, asked = [], os.environ.get(VARIABLE)
    if asked:
        said.append(f"{VARIABLE}={asked}: torch is told to compute there.")
    elif sys.platform == "darwin" and platform.machine() == "arm64":
        said.append(f"Apple's GPU is not used: nobody tested it. {VARIABLE}=mps tries it.")
    if AMD.exists():
        said.append(
            "A card of AMD is there. torch's own build for ROCm uses it; nobody tested ltf with it."
        )
    return said

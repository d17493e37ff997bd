"""The precision in which a model computes here: 16 bits where they are faster, else 32."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ltf_lite.core.device import device
from ltf_lite.core.files import hand_over
from ltf_lite.core.places import cache

CPUINFO = Path("/proc/cpuinfo")
FILE = "precision.json"  # in the cache: what was measured on this machine
NARROW = 256  # a model less wide spends its time between multiplications: 32 bits without asking
ROWS = 256  # of the multiplication that is timed
TURNS = 7  # of each kind, by turns; the fastest counts, so that other work here does not
WORTH = 1.25  # times as fast, before 16 bits are taken: between multiplications they gain nothing


def precision_of(model: Any) -> str:
    """What the model's weights are in, for a person."""
    if getattr(model, "is_loaded_in_4bit", False):
        return "4 bits"
    return str(model.dtype).removeprefix("torch.")


def fastest(config: Any, load_in_4bit: bool = False) -> torch.dtype:
    """The dtype in which a model of this transformers configuration computes fastest here.

    On a card bfloat16, on Apple's GPU 32 bits. On a CPU what a multiplication of the model's width
    shows; measured once on a machine and kept in the user's cache, so that all that is compared
    runs in one precision.
    """
    at = device()
    if at != "cpu":
        return torch.bfloat16 if at == "cuda" else torch.float32
    told = config.get_text_config()
    hidden, inner = told.hidden_size, getattr(told, "intermediate_size", None)
    if load_in_4bit or hidden < NARROW:  # 4 bits are there for cards; a CPU gains nothing by them
        return torch.float32
    return torch.bfloat16 if _gain(hidden, inner or 4 * hidden) > WORTH else torch.float32


@lru_cache(maxsize=64)
def _gain(hidden: int, inner: int) -> float:
    """How many times as fast as in 32 bits this machine multiplies in 16, as it was first found."""
    file = cache() / FILE
    key = f"{processor()}, torch {torch.__version__}, {hidden} x {inner}"
    known = _known(file)
    if not isinstance(known.get(key), float):
        known[key] = round(measured(hidden, inner), 2)
        with suppress(OSError):  # a home that can't be written to: the next process measures again
            hand_over(file, json.dumps(known, indent=1) + "\n")
    return known[key]


def _known(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def processor() -> str:
    """This processor: its name, and a hash of what it can do."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {name.strip(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    name = told.get("model name") or platform.processor() or platform.machine()
    able = told.get("flags") or told.get("Features") or ""
    return f"{name} {hashlib.sha256(able.encode()).hexdigest()[:8]}"


def measured(hidden: int, inner: int) -> float:
    """Seconds of a multiplication (256, hidden) by (hidden, inner) in fp32 over those in bf16."""
    took: dict[torch.dtype, float] = {}
    pairs = {
        kind: (torch.ones(ROWS, hidden, dtype=kind), torch.ones(inner, hidden, dtype=kind))
        for kind in (torch.float32, torch.bfloat16)
    }
    with torch.inference_mode():
        for _ in range(TURNS + 1):
            for kind, (x, weight) in pairs.items():
                began = time.perf_counter()
                torch.nn.functional.linear(x, weight)
                seconds = time.perf_counter() - began
                took[kind] = min(took.get(kind, seconds), seconds)
    return took[torch.float32] / took[torch.bfloat16]

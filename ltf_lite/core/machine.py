"""`ltf doctor`: what this machine has and what it can run.

torch is imported only to ask a card how much of its memory is free, where there is a driver.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ltf_lite.core.device import cuda, untested
from ltf_lite.core.manifest import Card
from ltf_lite.core.threads import cores

PACKAGES = (
    "ltf-lite",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "bitsandbytes",
    "datasets",
    "llama-cpp-python",
    "gguf",
    "numpy",
    "gradio",
    "unsloth",
)
OPTIONAL = ("unsloth",)
OLDEST, NEWEST = (3, 10), (3, 14)  # Python
GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """Python, system, cores, memory (bytes), cards, package versions; None for what is missing."""

    python: str
    system: str
    cores: int | None
    memory: int | None
    cards: tuple[Card, ...]
    packages: dict[str, str | None]


@dataclass(frozen=True)
class Facts(Machine):
    """The machine, the free bytes where this process works, and whether it can write there."""

    disk_free: int
    writable: bool


def machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=cores(),
        memory=_memory(),
        cards=tuple(_cards()),
        packages={name: _version(name) for name in PACKAGES},
    )


def facts() -> Facts:
    """The machine, and whether this folder has room and can be written."""
    found, here = machine(), Path.cwd()
    return Facts(
        **{**asdict(found), "cards": found.cards},
        disk_free=shutil.disk_usage(here).free,
        writable=os.access(here, os.W_OK),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _cards() -> list[Card]:
    """Every NVIDIA card the driver lists."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return []
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(query, capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    cards = []
    for line in out.decode("utf-8", "replace").splitlines():
        name, _, size = line.rpartition(",")
        if size.strip().isdigit():
            cards.append(Card(name.strip(), int(size) * 2**20))
    return cards


def free_memory() -> tuple[str | None, int | None]:
    """(the card that a model would be put on, its free bytes), or (None, RAM's free bytes)."""
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        import torch

        if cuda():
            return torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0]
    return None, free_ram()


def free_ram() -> int | None:
    """What could be had without swapping; all of it where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return _memory()
    return kib * 1024


def advice(found: Facts) -> list[str]:
    """What these facts mean, one sentence each; what a CPU can tune is said elsewhere."""
    missing = [n for n, v in found.packages.items() if v is None and n not in OPTIONAL]
    lines = []
    if missing:
        lines.append(f"Not installed: {', '.join(missing)}. `pip install -e .` brings them.")
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        oldest, newest = (".".join(map(str, each)) for each in (OLDEST, NEWEST))
        lines.append(f"Python {oldest} to {newest} is needed.")
    lines.append("The embedded base: `ltf train tiny` and `ltf solve` run on this machine's CPU.")
    if found.cards and found.packages["unsloth"] is None:
        lines.append('A card is there: `pip install -e ".[gpu]"` brings unsloth for QLoRA on it.')
    lines += untested()
    if not found.writable:
        lines.append("This folder can't be written: start in another, or give --out.")
    return lines


def table(found: Facts, lines: Sequence[str]) -> str:
    """The facts for a person, the advice below them."""
    cards = ", ".join(f"{card.name} {card.memory / GIB:.0f} GiB" for card in found.cards)
    rows = {
        "python": found.python,
        "system": found.system,
        "cores": found.cores,
        "memory": f"{found.memory / GIB:.1f} GiB" if found.memory else "unknown",
        "disk free": f"{found.disk_free / GIB:.1f} GiB",
        "cards": cards or "none",
        **{name: number or "not installed" for name, number in found.packages.items()},
    }
    width = max(map(len, rows))
    return "\n".join([*(f"{k:<{width}}  {v}" for k, v in rows.items()), "", *lines])

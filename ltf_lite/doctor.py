"""`ltf doctor`: what this machine has and what it can run.

torch is imported only to ask a card how much of its memory is free, where there is a driver.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "ltf-lite", "torch", "transformers", "tokenizers", "peft", "bitsandbytes", "datasets",
    "llama-cpp-python", "gguf", "numpy", "gradio", "unsloth",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Python, system, cores, memory (bytes), cards, package versions; None for what is missing."""
    packages: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "memory": _memory(),
        "cards": _cards(),
        "packages": packages,
    }


def facts() -> dict[str, Any]:
    """The machine, and whether this folder has room (bytes) and can be written."""
    room = shutil.disk_usage(Path.cwd()).free
    return {**machine(), "disk_free": room, "writable": os.access(Path.cwd(), os.W_OK)}


def cores() -> int | None:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _cards() -> list[dict[str, Any]]:
    """Name and memory (bytes) of every NVIDIA card the driver lists."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return []
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    cards = []
    for line in out.splitlines():
        name, _, size = line.rpartition(",")
        if size.strip().isdigit():
            cards.append({"name": name.strip(), "memory": int(size) * 2**20})
    return cards


def free_memory() -> tuple[str | None, int | None]:
    """(the card that a model would be put on, its free bytes), or (None, RAM's free bytes)."""
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0]
    return None, free_ram()


def free_ram() -> int | None:
    """What could be had without swapping; all of it where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return (
            next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
        )
    except (OSError, StopIteration):
        return _memory()


def advice(found: dict[str, Any]) -> list[str]:
    """What these facts mean, one sentence each."""
    missing = [n for n, v in found["packages"].items() if v is None and n != "unsloth"]
    lines = []
    if missing:
        lines.append(f"Not installed: {', '.join(missing)}. `pip install -e .` brings them.")
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        lines.append("Python 3.10 to 3.12 is needed.")
    lines.append("The embedded base: `ltf train tiny` and `ltf solve` run on this machine's CPU.")
    if not found["cards"]:
        lines.append("No NVIDIA card was found: larger models can be asked as GGUF, not tuned.")
    elif found["packages"]["unsloth"] is None:
        lines.append('A card is there: `pip install -e ".[gpu]"` brings unsloth for QLoRA on it.')
    if not found["writable"]:
        lines.append("This folder can't be written: start in another, or give --out.")
    return lines


def table(found: dict[str, Any]) -> str:
    gib = 2**30
    memory = f"{found['memory'] / gib:.1f} GiB" if found["memory"] else "unknown"
    cards = ", ".join(f"{c['name']} {c['memory'] / gib:.0f} GiB" for c in found["cards"]) or "none"
    rows = {
        "python": found["python"],
        "system": found["system"],
        "cores": found["cores"],
        "memory": memory,
        "disk free": f"{found['disk_free'] / gib:.1f} GiB",
        "cards": cards,
        **{name: number or "not installed" for name, number in found["packages"].items()},
    }
    width = max(map(len, rows))
    return "\n".join([*(f"{k:<{width}}  {v}" for k, v in rows.items()), "", *advice(found)])

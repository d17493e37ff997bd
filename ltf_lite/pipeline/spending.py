"""What a stage's process spends, told once a second, so that a kill loses no more than that.

The file in the run's folder has the sums over all parts of a stage that was resumed. Whoever goes
on with the run takes them over into the manifest, as often as it likes: they are the same sums.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ltf_lite.engines import used
from ltf_lite.pipeline.energy import Meter, counters
from ltf_lite.progress import replace_quietly

EVERY = 1.0  # seconds
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
# Of a stage's entry: what adds up over its parts, and of what the largest counts.
SUMS = ("seconds", "tokens_in", "tokens_out", "engine_calls", "engine_seconds", "joules")
PEAKS = ("peak_bytes", "peak_device_bytes")
DIGITS = {"seconds": 2, "engine_seconds": 2, "joules": 1}


@contextmanager
def telling(file: Path, stage: str, entry: Mapping[str, Any], began: float) -> Iterator[None]:
    """Write to a file what this process spends, once a second and at the end.

    `entry` is the stage's as it stands, on which the sums go on; `began` is when this part of its
    work began, by time.monotonic. `joules` are only there where a device counts them, and
    `metered` then names those devices.
    """
    meter, over, lock = Meter(counters()), threading.Event(), threading.Lock()

    def tell() -> None:
        with lock:
            spent = added(entry, _spent(meter, time.monotonic() - began))
            replace_quietly(file, {"stage": stage, "input": entry["input"], "spent": spent})

    def keep_telling() -> None:
        while not over.wait(EVERY):
            tell()

    threading.Thread(target=keep_telling, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        tell()


def spent(file: Path, stage: str, wanted: str) -> dict[str, Any]:
    """What is told of a stage with this input; nothing where it is of another, or not whole."""
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        if (found["stage"], found["input"]) == (stage, wanted):
            return found["spent"]
    return {}


def added(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What both have spent together."""
    both = dict(now)
    both |= {k: round(earlier.get(k, 0) + now[k], DIGITS.get(k)) for k in SUMS if k in now}
    both |= {k: max(earlier.get(k, 0), now[k]) for k in PEAKS if k in now}
    return both


def _spent(meter: Meter, seconds: float) -> dict[str, Any]:
    """What this process has spent so far."""
    usage, joules = used(), meter.look()
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    found = {
        "seconds": seconds,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "engine_calls": usage.calls,
        "engine_seconds": usage.seconds,
        "peak_bytes": max(resource.getrusage(who).ru_maxrss for who in whose) * MEMORY_UNIT,
        **({} if joules is None else {"joules": joules, "metered": meter.devices}),
    }
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
        found["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    return found

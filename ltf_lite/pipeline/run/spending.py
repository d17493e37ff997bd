"""What a stage's process spends, told before each of its files has its name, and once a second.

So a kill loses nothing that was spent on what is on the disk, and of what was spent on the rest no
more than a second. The file in the run's folder has the sums over all parts of a stage that was
resumed. Whoever goes on with the run takes them over into the manifest, as often as it likes: they
are the same sums.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core.files import before_naming, hash_of
from ltf_lite.core.manifest import Spent, StageEntry
from ltf_lite.core.progress import replace_quietly
from ltf_lite.engines import used
from ltf_lite.pipeline.run.energy import Meter, counters

EVERY = 1.0  # seconds
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes


@dataclass(frozen=True)
class Told:
    """What a stage has spent on an input so far, as it lies in the run's folder.

    `content` is a hash of the rest, None where another program wrote it.
    """

    stage: str
    input: str
    spent: Spent
    content: str | None = None

    @property
    def hash(self) -> str:
        return hash_of([self.stage, self.input, asdict(self.spent)])


@contextmanager
def telling(file: Path, stage: str, entry: StageEntry, began: float) -> Iterator[None]:
    """Write to a file what this process spends, once a second and at the end.

    `entry` is the stage's as it stands, on which the sums go on; `began` is when this part of its
    work began, by time.monotonic.
    """
    meter, over, lock = Meter(counters()), threading.Event(), threading.Lock()

    def tell() -> None:
        with lock:
            spent = added(entry, here(meter, time.monotonic() - began))
            for other in others():
                spent = added(spent, other)
            told = Told(stage, entry.input, spent)
            replace_quietly(file, asdict(replace(told, content=told.hash)))

    def keep_telling() -> None:
        while not over.wait(EVERY):
            tell()

    threading.Thread(target=keep_telling, daemon=True).start()
    before_naming(tell)
    try:
        yield
    finally:
        before_naming(None)
        over.set()
        tell()


_elsewhere: dict[str, Spent] = {}


def elsewhere(worker: str, spent: Spent) -> None:
    """Take over what a worker on another machine has spent so far; its seconds are no wall time.

    It is told with what this process spends, also once the worker is gone.
    """
    _elsewhere[worker] = replace(spent, seconds=0.0)


def others() -> list[Spent]:
    """What each worker on another machine has spent so far."""
    return [*_elsewhere.values()]


def spent(file: Path, stage: str, wanted: str) -> Spent | None:
    """What is told of a stage with this input; None where it is of another, or not whole."""
    try:
        found = TypeAdapter(Told).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    whole = found.content in (None, found.hash)
    return found.spent if whole and (found.stage, found.input) == (stage, wanted) else None


def take_over(entry: StageEntry, file: Path, stage: str) -> None:
    """Put what is told of a stage with the entry's input into its entry."""
    found = spent(file, stage, entry.input)
    for each in fields(Spent) if found else ():
        setattr(entry, each.name, getattr(found, each.name))


def added(earlier: Spent, now: Spent) -> Spent:
    """What both have spent together."""
    joules = _both(earlier.joules, now.joules, sum)
    cpu = _both(earlier.cpu_seconds, now.cpu_seconds, sum)
    return Spent(
        seconds=round(earlier.seconds + now.seconds, 2),
        tokens_in=earlier.tokens_in + now.tokens_in,
        tokens_out=earlier.tokens_out + now.tokens_out,
        engine_calls=earlier.engine_calls + now.engine_calls,
        engine_seconds=round(earlier.engine_seconds + now.engine_seconds, 2),
        cpu_seconds=None if cpu is None else round(cpu, 2),
        joules=None if joules is None else round(joules, 1),
        metered=now.metered or earlier.metered,
        peak_bytes=_both(earlier.peak_bytes, now.peak_bytes, max),
        peak_device_bytes=_both(earlier.peak_device_bytes, now.peak_device_bytes, max),
    )


def _both(earlier: Any, now: Any, put_together: Callable[[list[Any]], Any]) -> Any:
    """Two numbers put together, where either may not be known."""
    known = [each for each in (earlier, now) if each is not None]
    return put_together(known) if known else None


def here(meter: Meter, seconds: float = 0.0) -> Spent:
    """What this process has spent so far."""
    usage, joules = used(), meter.look()
    return Spent(
        seconds=seconds,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        engine_calls=usage.calls,
        engine_seconds=usage.seconds,
        cpu_seconds=_on_cpu(),
        joules=joules,
        metered=() if joules is None else tuple(meter.devices),
        peak_bytes=_peak(),
        peak_device_bytes=_device_peak(),
    )


def _on_cpu() -> float:
    """Seconds that this process and its ended children had a CPU, all cores together."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _peak() -> int | None:
    """The most memory that this process or one of its children held; None if nobody tells."""
    try:
        import resource
    except ImportError:
        return _peak_of_psutil()
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) * MEMORY_UNIT


def _peak_of_psutil() -> int | None:
    """The same on Windows, of this process alone and where psutil is installed."""
    try:
        from psutil import Process
    except ImportError:
        return None
    return getattr(Process().memory_info(), "peak_wset", None)


def _device_peak() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return None
    return torch.cuda.max_memory_allocated()

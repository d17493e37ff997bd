"""The energy that this machine's devices count themselves: CPU packages by RAPL, cards by NVML."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

POWERCAP = Path("/sys/class/powercap")
PACKAGES = "intel-rapl:*"  # the kernel's name for AMD's packages too


class Counter(NamedTuple):
    """A device's running count of joules; `span` is where it turns over to 0, None for never."""

    name: str
    read: Callable[[], float]
    span: float | None = None


class Meter:
    """Joules since it was made, of the whole devices, whatever else ran on them.

    Look at least once in each turn of a counter: a CPU package's may take half an hour.
    """

    def __init__(self, counters: list[Counter]) -> None:
        self.joules = 0.0
        self._last = [(counter, counter.read()) for counter in counters]

    @property
    def devices(self) -> list[str]:
        return [counter.name for counter, _ in self._last]

    def look(self) -> float | None:
        """The joules so far, or None where no device counts."""
        for at, (counter, then) in enumerate(self._last):
            with suppress(OSError, ValueError):  # a card that was lost counts no further
                value = counter.read()
                turned = value < then
                self.joules += value - then + (counter.span or then if turned else 0.0)
                self._last[at] = counter, value
        return self.joules if self._last else None


def counters(powercap: Path = POWERCAP) -> list[Counter]:
    """Those of this machine's devices that count, and let this process read it."""
    return [*_packages(powercap), *cards()]


def _packages(powercap: Path) -> Iterator[Counter]:
    """Each CPU package once: not its parts (`intel-rapl:0:1`), nor the platform (`psys`) around."""
    for folder in sorted(powercap.glob(PACKAGES)):
        try:
            name = (folder / "name").read_text().strip()
            if folder.name.count(":") > 1 or not name.startswith("package"):
                continue
            span = 1e-6 * int((folder / "max_energy_range_uj").read_text())
            counter = Counter(name, _reader(folder / "energy_uj"), span)
            counter.read()
        except (OSError, ValueError):  # since 2020, most kernels let only root read it
            continue
        yield counter


def _reader(file: Path) -> Callable[[], float]:
    return lambda: 1e-6 * int(file.read_text())


def cards() -> Iterator[Counter]:
    """The NVIDIA cards that this process may use; some count nothing."""
    if not (shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists()):
        return
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [_card(pynvml, name) for name in _visible(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return
    for handle in handles:
        with suppress(OSError, pynvml.NVMLError):
            counter = Counter(pynvml.nvmlDeviceGetName(handle), _card_reader(pynvml, handle))
            counter.read()
            yield counter


def _card_reader(pynvml: Any, handle: Any) -> Callable[[], float]:
    def read() -> float:
        try:
            return 1e-3 * pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return read


def _visible(count: int) -> list[str]:
    """Numbers or ids of the cards that CUDA_VISIBLE_DEVICES leaves, or of all."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    return list(map(str, range(count))) if told is None else [n for n in told.split(",") if n]


def _card(pynvml: Any, name: str) -> Any:
    if name.strip().isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    return pynvml.nvmlDeviceGetHandleByUUID(name.strip())

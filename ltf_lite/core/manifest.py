"""The manifest of a run: what was asked for, on which machine, and where each stage stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ltf_lite.core.files import read_as, write_as
from ltf_lite.core.folder import RunFolder

Status = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Card:
    """A graphics card and its memory, bytes."""

    name: str
    memory: int


@dataclass
class Spent:
    """What work has cost.

    `seconds` are of wall time, `engine_seconds` those inside a model, `cpu_seconds` those that the
    process and its children had a CPU, all cores together; None where nobody counted them. The
    peaks are in bytes.
    `joules` is None where no device counts them; `metered` names the devices that did. A peak is
    None where the system does not tell it.
    """

    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    engine_calls: int = 0
    engine_seconds: float = 0.0
    cpu_seconds: float | None = None
    joules: float | None = None
    metered: tuple[str, ...] = ()
    peak_bytes: int | None = None
    peak_device_bytes: int | None = None


@dataclass
class StageEntry(Spent):
    """Where a stage stands.

    `input` is a hash of what it was run on, `output` of what later stages read of it, and `files`
    has a hash of each of its files. `facts` are what the stage says of its own work.
    """

    status: Status = "waiting"
    input: str = ""
    output: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Manifest:
    """What `manifest.json` holds: the preset as JSON, every stage that was begun, the machine."""

    preset: dict[str, Any]
    stages: dict[str, StageEntry]
    python: str = ""
    system: str = ""
    cores: int | None = None
    memory: int | None = None
    cards: tuple[Card, ...] = ()
    packages: dict[str, str | None] = field(default_factory=dict)


def read_manifest(folder: RunFolder | Path) -> Manifest:
    """The manifest of a run; raises FileNotFoundError, and BrokenFile where it is no manifest."""
    at = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    return read_as(at.manifest, Manifest)


def write_manifest(folder: RunFolder | Path, manifest: Manifest) -> None:
    at = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    write_as(at.manifest, manifest)


def quiet_share(manifest: Manifest, stages: Iterable[str]) -> float | None:
    """CPU seconds over wall seconds of these stages; None where not counted, or with a card.

    Below 1 the processes waited for a CPU. Work on several cores may hide that they did.
    """
    found = [manifest.stages[name] for name in stages if name in manifest.stages]
    wall = sum(each.seconds for each in found)
    if manifest.cards or not wall or any(each.cpu_seconds is None for each in found):
        return None
    return sum(each.cpu_seconds or 0.0 for each in found) / wall

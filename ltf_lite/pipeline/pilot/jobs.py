"""A pilot as a process of its own: started, watched and stopped from elsewhere, one at a time."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from ltf_lite.core.errors import DONE
from ltf_lite.core.files import write_json
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.progress import Progress, forget, recorded
from ltf_lite.pipeline.pilot.measure import PROBLEMS, Pilot
from ltf_lite.pipeline.pilot.preset import name_of
from ltf_lite.pipeline.run.folder import RunError
from ltf_lite.pipeline.run.jobs import BEGIN, spawn, stop, until
from ltf_lite.pipeline.run.lock import make_writable, working
from ltf_lite.pipeline.run.state import log_lines
from ltf_lite.tasks import Task

WORK = "ltf_lite.pipeline.pilot.work"  # the module that such a process runs
SAID = "ltf: "  # before the sentence of a pilot that failed
T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """What a pilot is to ask: a task's settings, a model, and the model to be tuned after it."""

    task: dict[str, Any]
    model: str
    base: str
    problems: int = PROBLEMS
    seed: int = 0
    dialect: str | None = None


@dataclass(frozen=True)
class PilotState:
    """Where a pilot stands; `ended` says why it has found nothing, "" where it was stopped."""

    order: Order | None
    working: bool
    progress: Progress | None
    found: Pilot | None
    ended: str


def order_file(folder: Path) -> Path:
    return folder / "order.json"


def result_file(folder: Path) -> Path:
    return folder / "pilot.json"


def settings_of_task(task: Task) -> dict[str, Any]:
    """The settings of a task as plain data, its name among them."""
    return {**task.model_dump(mode="json", exclude_defaults=True), "name": task.name}


def folder_of(root: Path, task: Task) -> Path:
    """Where the pilot of a task is: other settings, or another content, are another pilot."""
    told = json.dumps([settings_of_task(task), task.content], sort_keys=True)
    return root / f"{name_of(task)[:40]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def start(order: Order, root: Path, folder: Path) -> None:
    """Start a pilot in a folder of `root`, to outlive this process; what was found there goes.

    Returns when its process works, or has ended well. Raises RunError where another one works, or
    it fails at once.
    """
    make_writable(root)
    try:
        with FileLock(RunFolder(root).starting, timeout=2 * BEGIN):
            busy = next((each for each in root.iterdir() if working(each) is not None), None)
            if busy is not None:
                raise RunError(f"the pilot {busy.name} is under way: stop it, or wait for its end")
            _begin(order, folder)
    except Timeout:
        raise RunError("another pilot is being started") from None


def _begin(order: Order, folder: Path) -> None:
    make_writable(folder)
    for old in (result_file(folder), RunFolder(folder).log):
        old.unlink(missing_ok=True)
    forget(RunFolder(folder).progress)
    write_json(order_file(folder), asdict(order))
    process = spawn([sys.executable, "-m", WORK, str(folder)], folder)
    until(lambda: working(folder) == process.pid or process.poll() is not None, BEGIN)
    if process.poll() not in (None, DONE):
        raise RunError(said(folder) or f"the pilot ended with the code {process.poll()}")


def said(folder: Path) -> str:
    """The sentence with which a pilot failed; "" for none."""
    last = next(reversed(log_lines(folder)), "")
    return last.removeprefix(SAID) if last.startswith(SAID) else ""


def state(folder: Path) -> PilotState:
    """Where the pilot of a folder stands; never raises."""
    alive = working(folder) is not None  # before its result: what ends in between is not lost
    return PilotState(
        order=_read(order_file(folder), Order),
        working=alive,
        progress=recorded(RunFolder(folder).progress) if alive else None,
        found=None if alive else _read(result_file(folder), Pilot),
        ended="" if alive else said(folder),
    )


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return TypeAdapter(kind).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


__all__ = ["Order", "PilotState", "folder_of", "settings_of_task", "start", "state", "stop"]

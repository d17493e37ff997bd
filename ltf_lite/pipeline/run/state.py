"""Where a run stands, read from its folder alone, while it is worked on or not; never raises."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltf_lite.core.errors import LtfError
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest, StageEntry
from ltf_lite.core.progress import Progress, recorded
from ltf_lite.pipeline.graph import STAGES, Stage
from ltf_lite.pipeline.run.folder import Run, manifest_of
from ltf_lite.pipeline.run.lock import working
from ltf_lite.tuning.types import LogLine, read_log

LINES, WIDTH, TAIL = 40, 400, 1 << 16  # of the log: lines shown, characters of one, bytes read
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Where = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class StageState:
    """Where a stage stands, the seconds it took so far and the most memory it held, bytes."""

    name: str
    title: str
    status: Where
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class RunState:
    """Where a run stands, for whoever watches it.

    `preset` is its name, None where the manifest can't be read. `working` says whether a process
    trains it; `progress` is of the stage that runs; `log` has the last lines; `ended` says why
    nothing goes on, None where it was simply stopped or is done.
    """

    run: str
    preset: str | None
    working: bool
    stages: tuple[StageState, ...]
    progress: Progress | None
    log: tuple[str, ...]
    ended: str | None


def state(folder: Path) -> RunState:
    """Where a run stands; never raises."""
    alive = working(folder) is not None  # before the manifest: what ends in between is not lost
    manifest, trouble = _manifest(folder)
    stages = _stages(folder, manifest, alive)
    running = any(stage.status == "running" for stage in stages)
    name = manifest.preset.get("name")
    return RunState(
        run=str(folder),
        preset=name if isinstance(name, str) else None,
        working=alive,
        stages=tuple(stages),
        progress=recorded(RunFolder(folder).progress) if running else None,
        log=tuple(log_lines(folder)),
        ended=None if alive else _why(folder, manifest, stages, trouble),
    )


def _manifest(folder: Path) -> tuple[Manifest, str | None]:
    """The manifest, or an empty one and a sentence."""
    try:
        return manifest_of(folder), None
    except LtfError as error:
        return Manifest({}, {}), str(error)
    except OSError:
        return Manifest({}, {}), f"the manifest.json of {folder} can't be read"


def _stages(folder: Path, manifest: Manifest, alive: bool) -> list[StageState]:
    """Every stage and where it stands, those not begun too."""
    wanted = _inputs(folder, manifest)
    since = time.time() - _written(RunFolder(folder).manifest)
    rows: list[StageState] = []
    for stage in STAGES:
        entry = manifest.stages.get(stage.name, StageEntry())
        # Stages run one after another: of two that say so, a kill left the later one behind.
        works = alive and all(row.status != "running" for row in rows)
        where = _where(stage, entry, wanted, alive, works)
        seconds = entry.seconds + (max(0.0, since) if where == "running" else 0.0)
        rows.append(StageState(stage.name, stage.title, where, round(seconds, 2), entry.peak_bytes))
    return rows


def _where(
    stage: Stage, entry: StageEntry, wanted: Mapping[str, str], alive: bool, works: bool
) -> Where:
    if entry.status == "running":
        return "running" if works else "stopped"
    if entry.status == "failed":
        return "waiting" if alive else "failed"  # it is tried once more
    if entry.status == "done" and entry.input == wanted.get(stage.name, entry.input):
        return "done"
    return "waiting"  # not begun, or done with other settings than the run's now


def _inputs(folder: Path, manifest: Manifest) -> dict[str, str]:
    """What each stage must have been run on to count as done; empty where that can't be said."""
    try:
        run = Run(folder, manifest)
    except LtfError:
        return {}
    return {stage.name: run.input_hash(stage.parts, stage.upstream) for stage in STAGES}


def _why(
    folder: Path, manifest: Manifest, stages: Sequence[StageState], trouble: str | None
) -> str | None:
    """Why nobody works on a run that is not done, as far as it was not simply stopped."""
    words = last_words(folder)
    if trouble:
        return words or trouble
    failed = next((stage for stage in stages if stage.status == "failed"), None)
    if failed:
        return manifest.stages[failed.name].error or words
    found = {stage.status for stage in stages}
    if found == {"done"} or "stopped" in found:
        return None
    at = RunFolder(folder)
    return words if _written(at.log) >= _written(at.manifest) else None


def log_lines(folder: Path, begun: int = 0) -> list[str]:
    """The last lines of a run's log, as a terminal would show them; from byte `begun` on."""
    try:
        with open(RunFolder(folder).log, "rb") as file:
            start = max(begun, file.seek(0, os.SEEK_END) - TAIL)
            file.seek(start)
            text = file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.split("\n")
    if start > begun:
        del lines[0]  # cut in the middle
    shown = (_ESCAPE.sub("", line).rstrip("\r").rpartition("\r")[2] for line in lines)
    return [_CONTROL.sub("", line)[:WIDTH] for line in shown if line.strip()][-LINES:]


def last_words(folder: Path, begun: int = 0) -> str | None:
    """The last line of a run's log, which is the sentence of a command that failed."""
    lines = log_lines(folder, begun)
    return lines[-1].removeprefix("ltf: ") if lines else None


def curves(folder: Path) -> list[LogLine]:
    """What tuning wrote down at every validation so far; half a line is left out."""
    try:
        return read_log(RunFolder(folder).tuning_log)
    except (OSError, ValueError):
        return []


def runs_in(root: Path) -> list[Path]:
    """The runs directly in a folder, the newest first; no link that leads out of it."""
    try:
        real, entries = root.resolve(), list(root.iterdir())
    except OSError:
        return []
    found = []
    for folder in entries:
        file = RunFolder(folder).manifest
        if file.is_file() and file.resolve().is_relative_to(real):
            found.append((_written(file), folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def _written(file: Path) -> float:
    """When a file was last written, seconds of the epoch; 0 if it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0

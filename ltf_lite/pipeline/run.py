"""A run directory: its lock, its manifest, and which stages still have to run."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from ltf_lite import doctor
from ltf_lite.files import (
    BROKEN,
    PASSING,
    BrokenFile,
    hash_file,
    hash_files,
    hash_of,
    read_json,
    set_aside,
    write_json,
)
from ltf_lite.presets import Preset, parse
from ltf_lite.progress import say

MANIFEST = "manifest.json"
LOCK, WORK, STARTING, PID = ".lock", ".work", ".starting", ".pid"
LOG, PROGRESS, SPENT = "train.log", "progress.json", "spent.json"
# What lies in a run's folder and belongs to whoever works on it, not to the run.
AROUND = (LOCK, WORK, STARTING, PID, f"{PID}.tmp", LOG, PROGRESS, f"{PROGRESS}.tmp", SPENT,
          f"{SPENT}.tmp")  # fmt: skip


CHECKPOINTS = "checkpoints"  # only a stage that is not done has any use for them


class Stage(NamedTuple):
    """What a stage reads of the preset and builds on, its folder, and what of it others read."""

    name: str
    title: str
    parts: tuple[str, ...]
    upstream: tuple[str, ...]
    folder: str
    outputs: tuple[str, ...]


class RunError(RuntimeError):
    """A run that cannot start or go on, with a sentence for the user."""


class Run:
    """The directory of one run, locked by `locked`; the manifest is written at every change."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.preset: Preset = parse(manifest["preset"], str(folder / "manifest.json"))

    @classmethod
    def load(cls, folder: Path) -> Run:
        """The run in a folder; raises RunError if it holds none, BrokenFile if it can't be read."""
        return cls(folder, read_manifest(folder))

    @classmethod
    def prepare(cls, folder: Path, preset: Preset, force_new: bool) -> Run:
        """A new run, or the one that is there if it is this preset's; raises RunError.

        A manifest that can't be read is set aside, and all that it told of moved out of the way.
        """
        manifest = _new_manifest(preset)
        if (folder / MANIFEST).is_file():
            manifest["stages"] = _old_stages(folder, preset.name, force_new)
        elif any(not _around(path) for path in folder.iterdir()):
            raise RunError(f"{folder} is not empty and is no run: name another folder with --out")
        run = cls(folder, manifest)
        run.save()
        return run

    def save(self) -> None:
        write_json(self.folder / "manifest.json", self.manifest)

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        return self.manifest["stages"]

    def input_hash(self, parts: tuple[str, ...], upstream: tuple[str, ...]) -> str:
        """What a stage depends on: parts of the preset, and the outputs of earlier stages."""
        preset = self.manifest["preset"]
        told = {part: _part(preset, part) for part in ("seed", *parts)}
        if "evaluation" in parts:  # it makes records: those of another schema it makes again
            from ltf_lite.evaluation.success import SCHEMA  # scipy's import takes a second

            told["schema"] = SCHEMA
        return hash_of(
            [told,
             [self.stages.get(name, {}).get("output") for name in upstream]]
        )  # fmt: skip

    def finished(self, stage: Stage, wanted: str) -> bool:
        """Whether a stage ran on this very input and its files are still there, unchanged."""
        return self.changes(stage, wanted) == {}

    def changes(self, stage: Stage, wanted: str) -> dict[str, str] | None:
        """Every file that is `changed`, `missing` or `new` since the stage ran on this very input.

        None if it did not. Reads all files of the stage.
        """
        entry = self.stages.get(stage.name, {})
        if entry.get("status") != "done" or entry.get("input") != wanted:
            return None
        if "files" not in entry:  # of an earlier version
            if entry["output"] != self._output_of_old(stage):
                return None
            entry["files"] = self.files(stage)
            return {}
        known, now = entry["files"], self.files(stage)
        found = {name: "changed" for name in known if name in now and known[name] != now[name]}
        found |= {name: "missing" for name in known if name not in now}
        return found | {name: "new" for name in now if name not in known}

    def files(self, stage: Stage) -> dict[str, str]:
        """Path within the run → short hash of every file of a stage, but for its checkpoints."""
        return {
            path.relative_to(self.folder).as_posix(): hash_file(path)
            for path in sorted((self.folder / stage.folder).rglob("*"))
            if path.suffix not in PASSING and path.is_file()
            and CHECKPOINTS not in path.relative_to(self.folder).parts
        }  # fmt: skip

    def record(self, stage: Stage) -> None:
        """Put what a stage has written into its entry: each file, and what others build on."""
        entry = self.stages[stage.name]
        entry["files"] = self.files(stage)
        entry["output"] = hash_of(
            {name: content for name, content in entry["files"].items() if _is_of(name, stage)}
        )

    def _output_of_old(self, stage: Stage) -> str | None:
        paths = [self.folder / name for name in stage.outputs]
        return hash_files(paths) if all(path.exists() for path in paths) else None


def _is_of(name: str, stage: Stage) -> bool:
    return any(name == output or name.startswith(f"{output}/") for output in stage.outputs)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run; raises RunError if there is none, BrokenFile if it can't be read."""
    file = folder / MANIFEST
    try:
        found = read_json(file)
    except FileNotFoundError:
        raise RunError(f"{folder} is no run: it has no manifest.json") from None
    whole = isinstance(found, dict) and all(
        isinstance(found.get(part), dict) for part in ("preset", "stages")
    )
    if not whole:
        raise BrokenFile(file)
    return found


def _old_stages(folder: Path, name: str, force_new: bool) -> dict[str, Any]:
    """The stages of the run in a folder; none if it is set aside. Raises RunError."""
    if force_new:
        _set_aside(folder)
        return {}
    try:
        old = read_manifest(folder)
    except BrokenFile:
        aside = _set_aside(folder, spared=MANIFEST)
        broken = set_aside(folder / MANIFEST)  # last: until then it is known to be a run
        say(
            f"{folder / MANIFEST} is truncated or damaged: set aside as {broken.name}, "
            f"the rest of the run as {aside}; the run starts anew"
        )
        return {}
    if old["preset"].get("name") != name:
        raise RunError(
            f"{folder} holds a run of the preset {old['preset'].get('name')!r}, not {name!r}: name "
            "another folder with --out, or give --force-new to set the old run aside and start anew"
        )
    return old["stages"]


def _part(preset: dict[str, Any], name: str) -> Any:
    """A section of the preset, or with a dot one setting of it."""
    section, _, setting = name.partition(".")
    found = preset.get(section)
    return (found or {}).get(setting) if setting else found


def _new_manifest(preset: Preset) -> dict[str, Any]:
    return {"preset": preset.model_dump(mode="json"), **doctor.machine(), "stages": {}}


def _around(path: Path) -> bool:
    """Whether a file in a run's folder is no part of the run."""
    return path.name in AROUND or (path.name.startswith(MANIFEST) and path.suffix == BROKEN)


def _set_aside(folder: Path, spared: str = "") -> Path:
    """Move the old run to a folder beside this one, so that nothing is lost; returns that."""
    aside = folder.with_name(f"{folder.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    aside.mkdir()
    for path in folder.iterdir():
        if not _around(path) and path.name != spared:
            shutil.move(str(path), str(aside / path.name))
    return aside


def make_writable(folder: Path) -> None:
    """Make the folder of a run; raises RunError if it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run directory; raises RunError if it can't be written or another process holds it."""
    make_writable(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        raise RunError(
            f"another process is working on {folder}: wait for it, or name another with --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def signed(folder: Path) -> Iterator[None]:
    """Say in the folder that this process works on it; only whoever holds its lock may.

    The file is locked and written before it gets its name: its number is that of a living process
    exactly while it is locked, whatever a kill left behind.
    """
    half = folder / f"{PID}.tmp"
    with open(half, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")
        file.flush()
        os.replace(half, folder / PID)
        try:
            yield
        finally:
            (folder / PID).unlink(missing_ok=True)


def working(folder: Path) -> int | None:
    """The id of the process that trains in this folder, wherever it was started, or None."""
    try:
        with open(folder / PID, encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except (OSError, ValueError):
        pass
    return None

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
from typing import Any

from filelock import FileLock, Timeout

from ltf_lite import doctor
from ltf_lite.files import hash_files, hash_of, read_json, write_json
from ltf_lite.presets import Preset, parse

LOCK, WORK, STARTING, PID = ".lock", ".work", ".starting", ".pid"
LOG, PROGRESS = "train.log", "progress.json"
# What lies in a run's folder and belongs to whoever works on it, not to the run.
AROUND = (LOCK, WORK, STARTING, PID, f"{PID}.tmp", LOG, PROGRESS, f"{PROGRESS}.tmp")


class RunError(RuntimeError):
    """A run that cannot start or go on, with a sentence for the user."""


class Run:
    """The directory of one run, locked by `locked`; the manifest is written at every change."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.preset: Preset = parse(manifest["preset"], str(folder / "manifest.json"))

    @classmethod
    def load(cls, folder: Path) -> Run:
        """The run in a folder; raises RunError if it holds none."""
        if not (folder / "manifest.json").is_file():
            raise RunError(f"{folder} is no run: it has no manifest.json")
        return cls(folder, read_json(folder / "manifest.json"))

    @classmethod
    def prepare(cls, folder: Path, preset: Preset, force_new: bool) -> Run:
        """A new run, or the one that is there if it is this preset's; raises RunError."""
        manifest = _new_manifest(preset)
        if (folder / "manifest.json").is_file():
            old = cls.load(folder)
            if force_new:
                _set_aside(folder)
            elif old.preset.name != preset.name:
                raise RunError(
                    f"{folder} holds a run of the preset {old.preset.name!r}, not "
                    f"{preset.name!r}: name another folder with --out, or give --force-new to set "
                    "the old run aside and start anew"
                )
            else:
                manifest["stages"] = old.manifest["stages"]
        elif any(p.name not in AROUND for p in folder.iterdir()):
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
        return hash_of(
            [{part: preset.get(part) for part in ("seed", *parts)},
             [self.stages.get(name, {}).get("output") for name in upstream]]
        )  # fmt: skip

    def finished(self, stage: str, wanted: str, outputs: tuple[str, ...]) -> bool:
        """Whether a stage ran on this very input and its outputs are still there, unchanged."""
        entry = self.stages.get(stage, {})
        return (
            entry.get("status") == "done"
            and entry.get("input") == wanted
            and all((self.folder / name).exists() for name in outputs)
            and entry.get("output") == self.output_hash(outputs)
        )

    def output_hash(self, outputs: tuple[str, ...]) -> str:
        return hash_files(self.folder / name for name in outputs)


def _new_manifest(preset: Preset) -> dict[str, Any]:
    return {"preset": preset.model_dump(mode="json"), **doctor.machine(), "stages": {}}


def _set_aside(folder: Path) -> None:
    """Move the old run to a folder beside this one, so that nothing is lost."""
    aside = folder.with_name(f"{folder.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    aside.mkdir()
    for path in folder.iterdir():
        if path.name not in AROUND:
            shutil.move(str(path), str(aside / path.name))


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

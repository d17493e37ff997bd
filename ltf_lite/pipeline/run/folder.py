"""A run in its folder: its manifest, what changed of its files, and how one is begun."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from ltf_lite.core import machine
from ltf_lite.core.errors import LtfError
from ltf_lite.core.files import (
    BROKEN,
    CHANGED,
    HALF,
    PASSING,
    BrokenFile,
    hash_file,
    hash_of,
    set_aside,
)
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest, StageEntry, read_manifest, write_manifest
from ltf_lite.core.places import place
from ltf_lite.core.progress import say
from ltf_lite.core.seals import HASHES, unchanged
from ltf_lite.pipeline.graph import PREVIOUS, Stage
from ltf_lite.pipeline.run.redone import part, redone
from ltf_lite.presets import Preset, parse
from ltf_lite.tasks import MISSING

READ = (".json", ".jsonl", ".parquet")  # suffixes of what is read to show a run
TEXTS = ("harvest.replay", "retention.heldout")  # files that a preset names: what they hold counts
NO_RUN = "is no run: it has no manifest.json"


class RunError(LtfError, RuntimeError):
    """A run that cannot start or go on."""


class Run:
    """One run, locked by `locked`; `at` knows its paths. Whoever changes the manifest saves it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.at, self.manifest = folder, RunFolder(folder), manifest
        self.preset: Preset = parse(manifest.preset, str(self.at.manifest))

    @classmethod
    def load(cls, folder: Path) -> Run:
        """The run in a folder; raises RunError if it holds none, BrokenFile if it can't be read."""
        return cls(folder, manifest_of(folder))

    @classmethod
    def prepare(cls, folder: Path, preset: Preset, force_new: bool) -> Run:
        """A new run, or the one that is there if it is this preset's; raises RunError.

        A manifest that can't be read is set aside, and all that it told of moved out of the way.
        """
        manifest = new_manifest(preset)
        if RunFolder(folder).manifest.is_file():
            manifest.stages = _old_stages(folder, manifest.preset, force_new)
        elif any(not _around(path) for path in folder.iterdir()):
            raise RunError(f"{folder} is not empty and is no run: name another folder with --out")
        run = cls(folder, manifest)
        run.save()
        return run

    def save(self) -> None:
        write_manifest(self.at, self.manifest)

    @property
    def stages(self) -> dict[str, StageEntry]:
        return self.manifest.stages

    def entry(self, name: str) -> StageEntry:
        """Where a stage stands, begun or not; a new entry is not put into the manifest."""
        return self.stages.get(name, StageEntry())

    def input_hash(self, parts: Sequence[str], upstream: Sequence[str]) -> str:
        """What a stage depends on: parts of the preset, and the outputs of earlier stages."""
        own = [part for part in parts if part != PREVIOUS]
        told = {each: part(self.manifest.preset, each) for each in ("seed", *own)}
        if PREVIOUS in parts and self.preset.previous:
            told |= {PREVIOUS: _found_and_learnt(place(self.preset.previous))}
        if "task" in parts and (content := self.preset.task.content):
            told |= {"content": content}
        for name in TEXTS:
            file = part(self.manifest.preset, name)
            if file is not None and {name, name.partition(".")[0]} & set(parts):
                told |= {f"content of {name}": _content(file)}
        if "evaluation" in parts:  # it makes records: those of another schema it makes again
            from ltf_lite.evaluation import types

            told |= {"schema": types.SCHEMA}
        return hash_of([told, [self.entry(name).output for name in upstream]])

    def finished(self, stage: Stage, wanted: str) -> bool:
        """Whether a stage ran on this very input and its files are still there, unchanged."""
        return self.changes(stage, wanted) == {}

    def changes(self, stage: Stage, wanted: str) -> dict[str, str] | None:
        """Every file that is `changed`, `missing` or `new` since the stage ran on this very input.

        None if it did not. Reads all files of the stage.
        """
        entry = self.entry(stage.name)
        if entry.status != "done" or entry.input != wanted:
            return None
        known, now = entry.files, self.files(stage)
        found = {name: "changed" for name in known if name in now and known[name] != now[name]}
        found |= {name: "missing" for name in known if name not in now}
        return found | {name: "new" for name in now if name not in known}

    def files(self, stage: Stage) -> dict[str, str]:
        """Path within the run → short hash of every file of a stage, no checkpoints, no trackers.

        Only a stage that is not done has any use for checkpoints, and trackers are others'.
        """
        return {
            path.relative_to(self.folder).as_posix(): hash_file(path)
            for path in sorted((self.folder / stage.folder).rglob("*"))
            if path.suffix not in PASSING
            and path.name != HASHES
            and path.is_file()
            and not path.is_relative_to(self.at.checkpoints)
            and not path.is_relative_to(self.at.tracker)
        }

    def check(self, *names: str) -> None:
        """Raises BrokenFile where a file of these stages is not what it was when they were done.

        Without names, of every stage. Of what is read to show a run, not of weights.
        """
        for stage in names or tuple(self.stages):
            entry = self.entry(stage)
            for name, known in entry.files.items() if entry.status == "done" else ():
                file = self.folder / name
                if file.suffix in READ and file.is_file() and _hash_now(file) != known:
                    raise BrokenFile(file, CHANGED)

    def record(self, stage: Stage) -> None:
        """Put what a stage has written into its entry: each file, and what others build on.

        Raises RunError where a file is not what the stage wrote.
        """
        entry, files = self.stages[stage.name], self.files(stage)
        for name, content in files.items():
            if not unchanged(self.folder / name, content):
                raise RunError(str(BrokenFile(self.folder / name, CHANGED)))
        entry.files = files
        entry.output = hash_of(
            {name: content for name, content in entry.files.items() if _is_of(name, stage)}
        )


def _is_of(name: str, stage: Stage) -> bool:
    return any(Path(name).is_relative_to(output) for output in stage.outputs)


def _hash_now(file: Path) -> str:
    about = file.stat()
    return _hash_of(file, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)
def _hash_of(file: Path, changed: int, size: int) -> str:
    """A file's hash, worked out once as long as nobody writes it: a page asks again and again."""
    return hash_file(file)


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a run; raises RunError if there is none, BrokenFile if it can't be read."""
    try:
        return read_manifest(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} {NO_RUN}") from None


def new_manifest(preset: Preset) -> Manifest:
    """The manifest of a run that begins on this machine."""
    found = machine.machine()
    told = {**asdict(found), "cards": found.cards}
    return Manifest(preset=preset.model_dump(mode="json"), stages={}, **told)


def _old_stages(folder: Path, preset: dict[str, Any], force_new: bool) -> dict[str, StageEntry]:
    """The stages of the run in a folder; none if it is set aside. Raises RunError.

    Where the `preset` that goes on in it has other settings, it is said what is done again.
    """
    if force_new:
        _set_aside(folder)
        return {}
    file = RunFolder(folder).manifest
    try:
        old = manifest_of(folder)
    except BrokenFile:
        aside = _set_aside(folder, spared=file.name)
        broken = set_aside(file)  # last: until then it is known to be a run
        say(
            f"{file} is truncated or damaged: set aside as {broken.name}, "
            f"the rest of the run as {aside}; the run starts anew"
        )
        return {}
    if old.preset.get("name") != preset["name"]:
        raise RunError(
            f"{folder} holds a run of the preset {old.preset.get('name')!r}, not "
            f"{preset['name']!r}: name another folder with --out, or give --force-new to set the "
            "old run aside and start anew"
        )
    if again := redone(old.preset, preset, old.stages):
        say(f"{folder}: {again}. Ctrl-C, then --out with another folder keeps it.")
    return old.stages


def _found_and_learnt(folder: Path) -> list[str | None]:
    """What a run's harvest and its adapter are."""
    stages = manifest_of(folder).stages
    return [stages.get(name, StageEntry()).output for name in ("search", "tune")]


def _content(file: str) -> str:
    """A hash of what a file holds that a preset names."""
    path = place(file)
    return hash_file(path) if path.is_file() else MISSING


def around(folder: Path) -> set[str]:
    """Names in a run's folder that belong to whoever works on it, not to the run."""
    at = RunFolder(folder)
    rewritten = (at.pid, at.progress, at.spent)
    halves = {f"{file.name}{HALF}" for file in (*rewritten, at.manifest)}  # of a kill
    own = (*rewritten, at.lock, at.work, at.starting, at.log, at / HASHES)
    return halves | {file.name for file in own}


def _around(path: Path) -> bool:
    """Whether a file in a run's folder is no part of the run."""
    manifest = RunFolder(path.parent).manifest.name
    aside = path.name.startswith(manifest) and path.suffix == BROKEN
    return aside or path.name in around(path.parent)


def _set_aside(folder: Path, spared: str = "") -> Path:
    """Move the old run to a folder beside this one, so that nothing is lost; returns that."""
    aside = folder.with_name(f"{folder.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    aside.mkdir()
    for path in folder.iterdir():
        if not _around(path) and path.name != spared:
            shutil.move(str(path), str(aside / path.name))
    return aside

"""Which models and runs the app may touch: what lies in its folder of runs, and what it was given.

Everything is found by looking and then chosen by the name under which it was found. A name from
outside is only compared with those names and never made into a path, so that `..`, an absolute path
or a link that leads out can't name anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from ltf_lite import presets
from ltf_lite.app.answer.demo import PRESET
from ltf_lite.core.errors import LtfError, UsageError
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.places import place
from ltf_lite.engines import (
    TINY_BASE,
    TINY_TUNED,
    EngineError,
    asked_first,
    bases,
    gguf_files,
    resolve,
)
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.run import jobs
from ltf_lite.tasks import Task

T = TypeVar("T")
REPORT = ("index.html", "results.csv")  # files of a run's report that a browser may have


@dataclass(frozen=True)
class Model:
    """A model that may be chosen.

    `name` is how it is chosen, `opens` what `open_engine` takes, `task` what it was tuned on, with
    the settings of its run, where that is known. `folder` is that of its run.
    """

    name: str
    opens: str
    tuned: bool = False
    task: Task | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Shelf:
    """The folder of runs, and models named when the app was started: files, folders, addresses."""

    runs: Path
    given: tuple[str, ...] = ()

    def run_folders(self) -> dict[str, Path]:
        """Name → folder of every run directly in the folder of runs, the latest first."""
        return {folder.name: folder for folder in jobs.runs_in(self.runs)}

    def newest(self, stage: str) -> str:
        """The latest run that has come through a stage, else the latest; there must be a run."""
        folders = self.run_folders()
        return next((name for name in folders if _done(folders[name], stage)), next(iter(folders)))

    def run(self, name: str) -> Path:
        """The folder of a run; raises UsageError if there is no such run."""
        return _choose(self.run_folders(), name, "run")

    def models(self) -> dict[str, Model]:
        """Name → model: tuned ones first, those of the latest run before others, then bases.

        Before these stands the copy that comes with ltf_lite, tuned before.
        """
        found = [model for folder in self.run_folders().values() for model in self._of_run(folder)]
        found += self.named()
        found.sort(key=lambda model: not model.tuned)
        found += [*_shipped(), *(Model(name, name) for name in bases() if name != TINY_TUNED)]
        return {model.name: model for model in found}

    def first(self) -> tuple[Model, Model]:
        """What is chosen before anybody chooses: a tuned model, and what it was tuned from."""
        first = next(iter(self.models().values()))
        return first, self.before(first)

    def of_run(self, run: object) -> Model | None:
        """The model of a run that is asked first; None where there is none."""
        folder = self.run_folders().get(run) if isinstance(run, str) else None
        return next(self._of_run(folder), None) if folder else None

    def before(self, model: Model) -> Model:
        """The base that a model was tuned from; where it can't be chosen here, the first base."""
        models = self.models()
        base = models.get(self.base_of(model))
        if base is not None and not base.tuned:
            return base
        return next(each for each in models.values() if not each.tuned)

    def named(self) -> list[Model]:
        """What was named when the app was started; every model of a run or of a folder of files."""
        found: list[Model] = []
        for given in self.given:
            folder = place(given)
            if RunFolder(folder).manifest.is_file():
                found += self._of_run(folder)
            elif files := _ggufs_of(folder):  # of a folder that was named, links are followed
                found += [Model(str(file), str(file)) for file in files]
            else:
                found.append(Model(given, given))
        return found

    def model(self, name: str) -> Model:
        """The model of that name; raises UsageError if there is none."""
        return _choose(self.models(), name, "model")

    def tasks(self) -> dict[str, Task]:
        """Name of a run → its task, the latest run first; those of named runs come last."""
        named = (place(given) for given in self.given)
        folders = [*self.run_folders().values(), *named]
        found = {folder.name: _task_of(folder) for folder in reversed(folders)}
        return {name: task for name, task in reversed(found.items()) if task is not None}

    def base_of(self, model: Model) -> str:
        """What would be tuned where a model was asked: of a run's GGUF file, the run's base."""
        if model.opens == TINY_TUNED:
            return TINY_BASE
        if model.folder is None or not model.opens.endswith(".gguf"):
            return model.opens
        try:
            return str(Run.load(model.folder).preset.model.base)
        except Exception:  # whatever is wrong with its files, the pilot can still be made
            return model.opens

    def ggufs(self, run: str) -> dict[str, Path]:
        """Name → GGUF file of a run; raises UsageError if there is no such run."""
        folder = self.run(run)
        return {file.name: file for file in _inside(folder, RunFolder(folder).gguf, "*.gguf")}

    def gguf(self, run: str, name: str) -> Path:
        """A GGUF file of a run; raises UsageError if there is none."""
        return _choose(self.ggufs(run), name, "GGUF file")

    def reports(self, run: str) -> dict[str, Path]:
        """Name → file of a run's report; raises UsageError if there is no such run."""
        folder = self.run(run)
        report = RunFolder(folder).report
        found = [file for name in REPORT for file in _inside(folder, report, name)]
        return {file.name: file for file in found}

    def report(self, run: str, name: str) -> Path:
        """A file of a run's report; raises UsageError if there is none."""
        return _choose(self.reports(run), name, "report")

    def _of_run(self, folder: Path) -> Iterator[Model]:
        """The GGUF files of a run, the one to ask first, then its merged model."""
        run, task = RunFolder(folder), _task_of(folder)
        if task is None:
            return
        files = sorted(_inside(folder, run.gguf, "*.gguf"), key=asked_first)
        for file in files:
            yield Model(f"{folder.name}/{file.name}", str(file), True, task, folder)
        for config in _inside(folder, run.model, "config.json"):
            name = f"{folder.name}/{run.model.name}"
            yield Model(name, str(config.parent), True, task, folder)


def _shipped() -> list[Model]:
    """The copy of the embedded base that was tuned before, and what it was tuned on."""
    try:
        return [Model(TINY_TUNED, resolve(TINY_TUNED).given, True, presets.load(PRESET).task)]
    except LtfError:  # one's own preset of that name is broken
        return []


def _task_of(folder: Path) -> Task | None:
    """The task of a run; None if the folder has none."""
    manifest = RunFolder(folder).manifest
    return _tuned_on(folder, manifest.stat().st_mtime_ns) if manifest.is_file() else None


@lru_cache(maxsize=256)
def _tuned_on(folder: Path, changed: int) -> Task | None:
    """The task of a run, read once as long as its manifest stays the same; None if it has none."""
    try:
        return Run.load(folder).preset.task
    except Exception:  # whatever is wrong with its files, the other runs are there
        return None


def _done(folder: Path, stage: str) -> bool:
    try:
        return Run.load(folder).entry(stage).status == "done"
    except Exception:  # whatever is wrong with its files, the other runs are there
        return False


def _inside(root: Path, folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern that really lie in `root`, whatever links say."""
    real = root.resolve()
    return [
        file
        for file in sorted(folder.glob(pattern))
        if file.resolve().is_relative_to(real) and file.is_file()
    ]


def _ggufs_of(folder: Path) -> list[Path]:
    """The GGUF files of a folder that is no model folder."""
    if not folder.is_dir() or (folder / "config.json").is_file():
        return []
    try:
        return gguf_files(folder)
    except OSError:
        return []


def _choose(found: dict[str, T], name: object, what: str) -> T:
    if isinstance(name, str) and name in found:
        return found[name]
    shown = repr(name[:80]) if isinstance(name, str) else "that"
    raise UsageError(f"there is no {what} {shown} here: choose one of the list")


def missing(given: Sequence[str]) -> str | None:
    """What is wrong with the first model given at start that can't be one; None if all can."""
    for name in given:
        folder = place(name)
        if RunFolder(folder).manifest.is_file() or _ggufs_of(folder):
            continue  # the run may still be trained; of several files one is chosen in the app
        try:
            resolve(name)
        except EngineError as error:
            return str(error)
    return None

"""What a tuning run keeps on disk, written so that a kill at any instant leaves it whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltf_lite.core import seals
from ltf_lite.core.errors import naming
from ltf_lite.core.files import (
    BROKEN,
    hash_of,
    keep_broken,
    read_as,
    read_json,
    set_aside,
    write_as,
    write_json,
)
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.progress import say
from ltf_lite.engines import Dialect
from ltf_lite.tuning.settings import BESIDE, Tuning, TuningError

if TYPE_CHECKING:
    from ltf_lite.harvest.example import Example

PARTIAL = "partial"  # where a checkpoint is written before it gets its name
TALLY = "tally.json"  # a checkpoint's last file
BEST = "best.json"  # inside the kept adapter: which step it is and how it did
SETTINGS = "adapter_config.json"  # peft's name
KEPT = 2

_RUN = RunFolder(Path())  # it names the files


@dataclass(frozen=True)
class TuningFolder:
    """Where everything of a tuning run lies."""

    path: Path

    @property
    def adapter(self) -> Path:
        return self.path / _RUN.adapter.name

    @property
    def checkpoints(self) -> Path:
        return self.path / _RUN.checkpoints.name

    @property
    def tracker(self) -> Path:
        return self.path / _RUN.tracker.name

    @property
    def log(self) -> Path:
        return self.path / _RUN.tuning_log.name

    @property
    def result(self) -> Path:
        return self.path / _RUN.tuning_result.name

    @property
    def run(self) -> Path:
        return self.path / _RUN.tuning_run.name

    @property
    def best(self) -> Path:
        return self.adapter / BEST


@dataclass(frozen=True)
class Claim:
    """Whose work lies in a folder: a hash of all that decides it, and the method."""

    content: str
    method: str


def claim(
    folder: TuningFolder,
    model: str,
    examples: Iterable[Example],
    tuning: Tuning,
    load_in_4bit: bool,
    dialect: Dialect,
) -> None:
    """Mark the folder as this run's; TuningError if another run's work is in it."""
    told = tuning.model_dump(mode="json", exclude=set(BESIDE))
    asked = [dialect.name, dialect.begins, *([dialect.system] if dialect.system else [])]
    content = hashlib.sha256(hash_of([Path(model).name, told, load_in_4bit, *asked]).encode())
    for example in examples:
        content.update(repr(example).encode())
    mine = Claim(content.hexdigest(), tuning.method)
    folder.path.mkdir(parents=True, exist_ok=True)
    if folder.run.exists() and read_as(folder.run, Claim) != mine:
        raise TuningError(
            f"{folder.path} holds a tuning run of another model, other examples or other "
            "settings; delete it or choose another directory"
        )
    write_as(folder.run, mine)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; whatever is not complete, nor set aside, is deleted.

    One that is not what was written is set aside.
    """
    complete = [path for path in named(folder) if (path / TALLY).exists()]
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir() and path not in complete and path.suffix != BROKEN:
            shutil.rmtree(path)
    while complete and (damaged := seals.damaged(complete[-1])):
        broken = complete.pop()
        aside = set_aside(broken)
        say(f"  {broken / damaged[0]} is damaged: its checkpoint is set aside as {aside.name}")
    return complete[-1] if complete else None


def named(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest last."""
    found = {path.name.partition("-")[2]: path for path in folder.glob("checkpoint-*")}
    return [found[step] for step in sorted(filter(str.isdigit, found), key=int)]


def newest_step(folder: Path) -> int:
    """The step of the newest complete checkpoint, from which tuning goes on; 0 without one."""
    steps = [path.name.partition("-")[2] for path in named(folder) if (path / TALLY).exists()]
    return int(steps[-1]) if steps else 0


def save_adapter(model: Any, folder: Path) -> None:
    """Write a model's adapter as peft does, its settings always in the same order."""
    # The embeddings are the base's; asked to decide, peft looks the base up on the Hub.
    model.save_pretrained(folder, save_embedding_layers=False)
    file = folder / SETTINGS
    told = read_json(file)
    if isinstance(told.get("target_modules"), list):  # a set, whose order changes by the process
        write_json(file, told | {"target_modules": sorted(told["target_modules"])})


def commit(written: Path, folder: Path) -> None:
    """Seal a written checkpoint, give it its name, and delete all but the newest."""
    seals.seal_all(written)
    os.replace(written, folder / written.name)
    for path in named(folder)[:-KEPT]:
        os.replace(path, folder / PARTIAL / path.name)  # half deleted, it must not look complete
    shutil.rmtree(folder / PARTIAL)


def swap(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a directory by a newly written one, sealed; `settle` finishes one that was killed."""
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        with naming(folder):
            write(new)
        seals.seal_all(new)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)  # a full disk has its room again
        raise
    if folder.exists():
        keep_broken(folder, new)
        os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def settle(folder: Path) -> None:
    """After a kill: the directory is there if it ever was, old or new, and nothing beside it."""
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)

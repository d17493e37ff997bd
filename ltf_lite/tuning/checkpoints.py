"""What a tuning run keeps on disk, written so that a kill at any instant leaves it whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltf_lite.files import BROKEN, keep_broken
from ltf_lite.harvest.example import Example
from ltf_lite.tuning.settings import TuneSettings, TuningError

PARTIAL = "partial"  # where a checkpoint is written before it gets its name
TALLY = "tally.json"  # a checkpoint's last file
BEST = "best.json"  # inside the kept adapter: which step it is and how it did
KEPT = 2


def claim(out: Path, model: str, examples: Sequence[Example], settings: TuneSettings) -> None:
    """Mark the directory as this run's; TuningError if another run's work is in it."""
    told = asdict(settings)
    told.pop("threads")  # may differ when a run is taken up again
    content = hashlib.sha256(repr((Path(model).name, told)).encode())
    for example in examples:
        content.update(repr(example).encode())
    mark, digest = out / "run.json", content.hexdigest()
    out.mkdir(parents=True, exist_ok=True)
    if mark.exists() and json.loads(mark.read_text())["content"] != digest:
        raise TuningError(
            f"{out} holds a tuning run of another model, other examples or other settings; "
            "delete it or choose another directory"
        )
    write_json(mark, {"content": digest, "settings": told})


def write_json(path: Path, value: Any) -> None:
    """The whole file or none of it."""
    part = path.with_suffix(".tmp")
    part.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(part, path)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; whatever is not complete, nor set aside, is deleted."""
    complete = [path for path in named(folder) if (path / TALLY).exists()]
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir() and path not in complete and path.suffix != BROKEN:
            shutil.rmtree(path)
    return complete[-1] if complete else None


def named(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest last."""
    found = {path.name.partition("-")[2]: path for path in folder.glob("checkpoint-*")}
    return [found[step] for step in sorted(filter(str.isdigit, found), key=int)]


def commit(written: Path, folder: Path) -> None:
    """Give a written checkpoint its name, and let go of all but the newest."""
    os.replace(written, folder / written.name)
    for path in named(folder)[:-KEPT]:
        os.replace(path, folder / PARTIAL / path.name)  # half deleted, it must not look complete
    shutil.rmtree(folder / PARTIAL)


def rank(validation: Mapping[str, Any]) -> tuple[float, float]:
    """What the kept adapter has most of: nothing lost below a floor, then success.

    `shortfall` is by how much the worst ability misses its floor, 0 where none does.
    """
    return -validation.get("shortfall", 0.0), validation["success"]


def best(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The log's line of the adapter that was kept: of equals the later one."""
    return max(reversed(lines), key=rank)


def swap(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a directory by a newly written one; `settle` finishes a swap that was killed."""
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    write(new)
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


def lines(log: Path) -> list[dict[str, Any]]:
    """The log's lines; a last line that was cut off is left out."""
    found = []
    for line in log.read_text().splitlines() if log.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


def rewind(log: Path, step: int) -> None:
    """Drop the lines after a step, and one that was cut off."""
    kept = [json.dumps(line) + "\n" for line in lines(log) if line["step"] <= step]
    part = log.with_suffix(".tmp")
    part.write_text("".join(kept))
    os.replace(part, log)

"""`unshare -rm python -m tests.full_disk RUN PRESET`: each stage meets a disk that is full.

In a mount namespace of its own, where any user may make a small disk. A finished run is copied
there as it was before the stage, the disk is filled up, and `ltf train` is asked for the rest. Then
there is room again, and the stage is run to its end. What was found goes to standard output as
JSON: stage → finding.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltf_lite.core.files import hash_file
from ltf_lite.core.seals import HASHES
from ltf_lite.evaluation.types import read_record
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.graph import STAGES, Stage
from ltf_lite.pipeline.run.folder import around
from ltf_lite.pipeline.run.mend import remove, unreadable
from ltf_lite.pipeline.train import finish
from tests.conftest import ltf

SIZE = "128m"
ROOM = 40_000  # bytes left: enough for the manifest, not for what any stage makes


def before(run: Path, stage: Stage, place: Path) -> Run:
    """A copy of a run in which a stage and all later ones have not begun."""
    found = Run.load(shutil.copytree(run, place))
    for later in STAGES[STAGES.index(stage) :]:
        del found.stages[later.name]
        remove(found.folder / later.folder)
    found.save()
    return found


def fill(ballast: Path) -> None:
    free = shutil.disk_usage(ballast.parent).free
    with open(ballast, "wb") as file:
        file.write(bytes(free - ROOM))


def halves(run: Run, stage: Stage) -> Iterator[str]:
    """Files of a run that are not whole, but have their own name."""
    for each in STAGES[: STAGES.index(stage) + 1]:
        yield from (path.relative_to(run.folder).as_posix() for path in unreadable(run, each))


def results(folder: Path, stage: Stage) -> dict[str, str]:
    """What a stage has made and any run of it makes the same: its files, or the paths of records.

    Seconds differ, and a page and its pictures tell them; of those only the names count.
    """
    found = {}
    for file in sorted((folder / stage.folder).rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not file.is_file() or file.name == HASHES or "checkpoints" in name:
            continue
        found[name] = ""
        if file.name.endswith(".test.json"):
            found[name] = repr([path.text for path in read_record(file).paths])
        elif file.suffix in (".parquet", ".safetensors", ".gguf") or stage.name == "problems":
            found[name] = hash_file(file)
    return found


def met(run: Path, preset: str, stage: Stage, place: str) -> dict[str, Any]:
    """What `ltf train` says on a small disk at `place` that is full when this stage begins."""
    copy, ballast = before(run, stage, Path(place, "run")), Path(place, "ballast")
    fill(ballast)
    known = {path.name for path in copy.folder.iterdir()} | around(copy.folder)
    told = ltf("train", preset, "--out", copy.folder)
    copy = Run.load(copy.folder)
    found = {
        "code": told.returncode,
        "said": told.stderr,
        "run": str(copy.folder),
        "halves": list(halves(copy, stage)),
        "others": [
            path.name
            for path in copy.folder.iterdir()
            if path.name not in known and path.name not in stage.folder.parts
        ],
    }
    ballast.unlink()
    finish(copy, [stage])
    return found | {"as_before": results(copy.folder, stage) == results(run, stage)}


def main(run: str, preset: str) -> None:
    found = {}
    for stage in STAGES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", place]
            subprocess.run(mount, check=True)
            found[stage.name] = met(Path(run), preset, stage, place)
            subprocess.run(["umount", place], check=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

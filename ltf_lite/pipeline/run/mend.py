"""Before a stage is run again: what is broken of its files is named, and set aside as *.broken."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ltf_lite.core.files import (
    BROKEN,
    CHANGED,
    DAMAGED,
    PASSING,
    BrokenFile,
    hash_file,
    read_as,
    set_aside,
)
from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.progress import say
from ltf_lite.core.seals import HASHES, unchanged
from ltf_lite.engines import EngineError
from ltf_lite.evaluation.types import read_abilities, read_record
from ltf_lite.export.gguf.types import Parity
from ltf_lite.pipeline.graph import Stage
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.tuning.checkpoints import BEST, TALLY, Claim
from ltf_lite.tuning.types import Best, Tally, TuningResult, read_log

# Whose files are made one by one, so that those which are there need not be made again.
SINGLY = ("baseline", "search", "evaluate")
PARTIAL = (".new", ".partial")  # folders that a kill leaves half written; each is written anew
RECORD = ".test.json"  # how the name of a record ends
NAMED = 3  # missing files that are named in one line


def mend(run: Run, stage: Stage, wanted: str, changes: dict[str, str] | None) -> None:
    """Make a stage fit to be run again on what is whole of its files.

    `changes` is what `Run.changes` told of it. Where the files that are left are of no use without
    the broken ones, the stage is forgotten, to begin from nothing.
    """
    if run.entry(stage.name).input != wanted:
        return  # all of it is made again
    if changes is None:
        paths = list(unreadable(run, stage))
        broken = [path.relative_to(run.folder).as_posix() for path in paths]
        anew = any(_gathered(run, path) for path in paths)
    else:
        _tell_missing([name for name, what in changes.items() if what == "missing"])
        broken = [name for name, what in changes.items() if what == "changed"]
        anew = stage.name not in SINGLY and set(changes.values()) != {"new"}
    if anew:  # first: a kill after it finds a stage that is all made again
        run.stages[stage.name] = StageEntry()
        run.save()
    for name in broken:
        _put_aside(run, name)


def _gathered(run: Run, path: Path) -> bool:
    """Whether a file was written at several validations, which can't be made up for later."""
    return path == run.at.tuning_log or path.is_relative_to(run.at.adapter)


def _tell_missing(names: list[str]) -> None:
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        say(f"  missing, made again: {', '.join(names[:NAMED])}{more}")


def _put_aside(run: Run, name: str) -> None:
    file = run.folder / name
    why = CHANGED if is_whole(file) else DAMAGED
    of_checkpoint = file.parent.parent == run.at.checkpoints
    aside = set_aside(file.parent if of_checkpoint else file)
    place = aside.relative_to(run.folder).as_posix()
    say(f"  {name} {why}: set aside as {place}, its work is done again")


def clear(folder: Path) -> None:
    """Delete all that is in a folder but what was set aside in it."""
    if not any(folder.rglob(f"*{BROKEN}")):
        remove(folder)
        return
    for path in folder.iterdir():
        if path.is_dir() and path.suffix != BROKEN:
            clear(path)
        elif path.suffix != BROKEN:
            path.unlink()


def remove(path: Path) -> None:
    """Delete a file or a folder with all it holds, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unreadable(run: Run, stage: Stage) -> Iterator[Path]:
    """The files of a stage that are not what it wrote; of a checkpoint only the first."""
    seen = set()
    for path in sorted((run.folder / stage.folder).rglob("*")):
        if _passing(path.relative_to(run.folder)) or path.parent in seen or not path.is_file():
            continue
        if path.is_relative_to(run.at.tracker) or _is_of(run, path):
            continue
        if path.is_relative_to(run.at.checkpoints):
            seen.add(path.parent)
        yield path


def _passing(path: Path) -> bool:
    """Whether a path leads to what is written anew whatever it holds."""
    suffixes = (*PASSING, *PARTIAL)
    own = any(Path(part).suffix in suffixes or part == "partial" for part in path.parts)
    return own or path.name == HASHES


def _is_of(run: Run, path: Path) -> bool:
    """Whether a file is one that the run wrote: what was sealed, and what its readers read."""
    if path == run.at.tuning_log:
        return _reads(read_log, path)  # which knows of half a line
    if not (unchanged(path, hash_file(path)) and is_whole(path)):
        return False
    reader = _reader(run, path)
    return reader is None or _reads(reader, path)


def _reader(run: Run, path: Path) -> Callable[[Path], object] | None:
    """What reads a file that only one kind of thing may be in."""
    from ltf_lite.harvest.sampling import Taken  # pyarrow with it, which the app starts without

    at, kinds = run.at, dict[Path, Any]()
    kinds[at.parity], kinds[at.examples], kinds[at.tuning_run] = Parity, Taken, Claim
    kinds[at.tuning_result] = TuningResult
    if kind := kinds.get(path) or {BEST: Best, TALLY: Tally}.get(path.name):
        return lambda file: read_as(file, kind)
    if path.name.endswith(RECORD):
        return read_record
    if path in (at.base_abilities, at.elsewhere("base"), at.elsewhere("tuned")):
        return read_abilities
    return None


def is_whole(path: Path) -> bool:
    """Whether a file is whole, as far as its kind shows; one of another kind counts as whole.

    Raises OSError where it can't be read for reasons of the machine's.
    """
    return path.suffix not in CHECKS or _reads(CHECKS[path.suffix], path)


def _reads(reader: Callable[[Path], object], path: Path) -> bool:
    try:
        reader(path)
    except OSError as error:  # pyarrow's own have no number
        if error.errno is not None:
            raise
        return False
    except (ValueError, NotImplementedError, RecursionError, zipfile.BadZipFile, EngineError):
        return False
    return True


def _parquet(path: Path) -> None:
    """The footer, and every row group one by one."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group)


def _safetensors(path: Path) -> None:
    """The header, and that the tensors it tells of fill the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError:
        raise BrokenFile(path) from None


def _gguf(path: Path) -> None:
    from ltf_lite.engines.llama.check import check_gguf

    check_gguf(path)


def _archive(path: Path) -> None:
    """What torch.save writes is a zip archive, with checksums."""
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise BrokenFile(path)


def _json(path: Path) -> None:
    json.loads(path.read_bytes())


def _jsonl(path: Path) -> None:
    for line in path.read_bytes().removesuffix(b"\n").split(b"\n"):
        json.loads(line or b"0")


CHECKS: dict[str, Callable[[Path], object]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".gguf": _gguf,
    ".pt": _archive,
    ".pth": _archive,
    ".bin": _archive,
}

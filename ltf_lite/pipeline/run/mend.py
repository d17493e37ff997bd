"""Before a stage is run again: what is broken of its files is named, and set aside as *.broken."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ltf_lite.core.files import BROKEN, PASSING, BrokenFile, read_json, read_jsonl, set_aside
from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.progress import say
from ltf_lite.engines import EngineError
from ltf_lite.pipeline.graph import Stage
from ltf_lite.pipeline.run.folder import Run

# Whose files are made one by one, so that those which are there need not be made again.
SINGLY = ("baseline", "search", "evaluate")
PARTIAL = (".new", ".partial")  # folders that a kill leaves half written; each is written anew
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
    why = "was changed since it was written" if is_whole(file) else "is truncated or damaged"
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
    """The files of a stage that can't be read; of a checkpoint only the first."""
    seen = set()
    for path in sorted((run.folder / stage.folder).rglob("*")):
        if _passing(path.relative_to(run.folder)) or path.parent in seen or not path.is_file():
            continue
        if is_whole(path) or (path == run.at.tuning_log and _half_a_line(path)):
            continue
        if path.is_relative_to(run.at.checkpoints):
            seen.add(path.parent)
        yield path


def _passing(path: Path) -> bool:
    """Whether a path leads to what is written anew whatever it holds."""
    suffixes = (*PASSING, *PARTIAL)
    return any(Path(part).suffix in suffixes or part == "partial" for part in path.parts)


def _half_a_line(log: Path) -> bool:
    """Whether only the last line is broken: a kill does that, and who goes on with it knows."""
    try:
        for line in log.read_text(encoding="utf-8").splitlines()[:-1]:
            json.loads(line)
    except ValueError:
        return False
    return True


def is_whole(path: Path) -> bool:
    """Whether a file is whole, as far as its kind shows; one of another kind counts as whole.

    Raises OSError where it can't be read for reasons of the machine's.
    """
    if path.suffix not in CHECKS:
        return True
    try:
        CHECKS[path.suffix](path)
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


CHECKS: dict[str, Callable[[Path], object]] = {
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".gguf": _gguf,
    ".pt": _archive,
    ".pth": _archive,
    ".bin": _archive,
}

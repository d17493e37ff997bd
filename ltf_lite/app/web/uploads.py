"""Files of questions that a person brings through the page: kept under `tasks` of the runs folder.

A file is streamed to a hidden name of that folder and gets its own only when it is whole and its
first rows can be read. No name from outside is made into a path: what is left of it are letters,
digits, `.`, `_` and `-`, and one ending of those that are read.
"""

from __future__ import annotations

import os
import re
import secrets
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from ltf_lite.core.errors import LtfError, UsageError, disk_full
from ltf_lite.core.folder import RunFolder
from ltf_lite.tasks import TaskError, get_task
from ltf_lite.tasks.table import READERS

FOLDER = "tasks"  # in the runs folder
PILOTS = "pilots"  # in that, for what pilots found
LARGEST = 20 << 20  # bytes of a file
MOST = 50  # files
STEM = 60  # characters of a name before its ending
SHOWN = 80  # characters of a name in a sentence
ROWS = 20  # that must be readable before a file is kept
UNPACKED = 512 << 20  # bytes that a parquet file may say it holds
HALF = ".part-"  # before the name of a file that is not whole
OLD = 3600.0  # seconds after which such a file was left behind
# Names that mean something else: of a run's own files, and of devices.
TAKEN = re.compile(
    r"(manifest|progress|spent|order|pilot|con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE
)


class UploadError(UsageError):
    """A file that is not taken; `word` is the string of the app that says why, with its `facts`."""

    def __init__(self, word: str, **facts: object) -> None:
        super().__init__(word)
        self.word, self.facts = word, facts


def folder_of(runs: Path) -> Path:
    """The folder of uploaded files."""
    return runs / FOLDER


def is_own(runs: Path) -> bool:
    """Whether that folder is a folder of the runs folder itself, and not a run of that name."""
    folder = folder_of(runs)
    real = not folder.is_symlink() and folder.is_dir()
    return real and not RunFolder(folder).manifest.exists()


def uploaded(runs: Path) -> dict[str, Path]:
    """Name → file of everything that was brought, links and devices left out."""
    if not is_own(runs):
        return {}
    return {file.name: file for file in sorted(folder_of(runs).iterdir()) if _is_kept(file)}


def _is_kept(file: Path) -> bool:
    hidden = file.name.startswith(".")
    return (
        not hidden and file.suffix.lower() in READERS and not file.is_symlink() and file.is_file()
    )


def safe_name(told: str) -> str:
    """The name under which a file is kept; raises UploadError where its ending is not read."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFKC", told))[-1]
    stem, dot, ending = last.rpartition(".")
    ending = f"{dot}{ending}".lower()
    if ending not in READERS:
        raise UploadError("upload.ending", endings=", ".join(READERS))
    clean = re.sub(r"[^\w.-]+|\.{2,}", "-", stem).strip("-._")[:STEM].strip("-._") or "questions"
    return f"{'my-' if TAKEN.fullmatch(clean) else ''}{clean}{ending}"


async def keep(runs: Path, told: str, chunks: AsyncIterator[bytes]) -> str:
    """Keep a file that streams in, under a name that is free; returns it.

    Raises UploadError, and TaskError of a file whose first rows can't be read. Nothing stays of a
    file that is not kept, whatever happened.
    """
    name = safe_name(told)
    folder = _ready(runs)
    try:
        with _half(folder, Path(name).suffix) as half:
            await _stream(half, chunks)
            await run_in_threadpool(_look, half, name)
            return _named(half, folder, name)
    except OSError as error:
        word = "upload.full_disk" if disk_full(error) else "upload.unwritable"
        raise UploadError(word) from error


def _ready(runs: Path) -> Path:
    """The folder, made where it is not there, with room for one more file."""
    folder = folder_of(runs)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not is_own(runs):
        raise UploadError("upload.unwritable")
    for left in folder.glob(f"{HALF}*"):
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime > OLD:
                left.unlink()
    if len(uploaded(runs)) >= MOST:
        raise UploadError("upload.many", most=MOST)
    return folder


@contextmanager
def _half(folder: Path, ending: str) -> Iterator[Path]:
    """A new file with a hidden name, which is gone afterwards unless it got another."""
    half = folder / f"{HALF}{secrets.token_hex(8)}{ending}"
    try:
        os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        yield half
    finally:
        half.unlink(missing_ok=True)


async def _stream(half: Path, chunks: AsyncIterator[bytes]) -> None:
    size = 0
    with open(half, "wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > LARGEST:
                raise UploadError("upload.large", most=LARGEST >> 20)
            file.write(chunk)
    if not size:
        raise UploadError("upload.empty")


def _look(half: Path, name: str) -> None:
    """Read the first rows; what is wrong is said of the name that the person knows."""
    try:
        if half.suffix == ".parquet":
            _unpacked(half)
        task = get_task("reference", file=str(half))
        for _ in islice(task.rows(), ROWS):  # type: ignore[attr-defined]
            pass
    except LtfError as error:
        if isinstance(error, UploadError):
            raise
        raise TaskError(str(error).replace(str(half), name)) from error


def _unpacked(half: Path) -> None:
    """Refuse a parquet file that unpacks to far more than it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(half) as table:
            told = table.metadata
            size = sum(told.row_group(k).total_byte_size for k in range(told.num_row_groups))
    except (pa.ArrowException, ValueError, OSError):
        return  # it is told by its reader
    if size > UNPACKED:
        raise UploadError("upload.large", most=LARGEST >> 20)


def _named(half: Path, folder: Path, name: str) -> str:
    """Give a file its name, or that with a number where it is taken: none is written over."""
    if len(uploaded(folder.parent)) >= MOST:  # another came at the same time
        raise UploadError("upload.many", most=MOST)
    stem, ending = Path(name).stem, Path(name).suffix
    for number in range(1, 10 * MOST):
        free = folder / (name if number == 1 else f"{stem}-{number}{ending}")
        try:
            os.close(os.open(free, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            continue
        os.replace(half, free)
        return free.name
    raise UploadError("upload.many", most=MOST)

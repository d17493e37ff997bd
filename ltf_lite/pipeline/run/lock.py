"""Who works on a run: one process at a time, which others can see from its folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ltf_lite.core.errors import why
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.hold import hold, is_held
from ltf_lite.core.seals import HASHES
from ltf_lite.pipeline.run.folder import RunError, around

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class UnwritableError(RunError):
    """The folder of a run that can't be written."""


def make_writable(folder: Path) -> None:
    """Make the folder of a run; raises UnwritableError where it can't be written as its own."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            raise UnwritableError(f"cannot write to {folder}: {place} is a link to nothing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UnwritableError(f"cannot write to {folder}: {why(error)}") from error
    refuse_links(folder)


def refuse_links(folder: Path) -> None:
    """Raises UnwritableError where a folder of a run, or a file that it writes on, is a link."""
    kept = (*around(folder), HASHES)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *(name for name in files if name in kept)):
            link = Path(place, name)
            if link.is_symlink():
                raise UnwritableError(
                    f"{link} is a link, and a run writes through none: put there what it leads to, "
                    "or remove it"
                )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run directory; raises RunError if it can't be written or another process holds it.

    UnwritableError of these where it can't be written.
    """
    make_writable(folder)
    lock = FileLock(RunFolder(folder).lock)
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

    The file is held before it gets its name. So its number is that of a living process exactly
    while it is held, whatever a kill left behind. Windows renames no open file: there it is held
    under its name, and says nothing until its number is written.
    """
    pid = RunFolder(folder).pid
    half = pid if os.name == "nt" else pid.with_name(f"{pid.name}.tmp")
    with open(half, "w", encoding="ascii") as file:
        hold(file)
        file.write(f"{os.getpid()}\n")
        file.flush()
        if half != pid:
            os.replace(half, pid)
        try:
            yield
        finally:
            if os.name != "nt":
                pid.unlink(missing_ok=True)


def working(folder: Path) -> int | None:
    """The id of the process that trains in this folder, wherever it was started, or None."""
    try:
        with open(RunFolder(folder).pid, encoding="ascii") as file:
            return int(file.read()) if is_held(file) else None
    except (OSError, ValueError):
        return None

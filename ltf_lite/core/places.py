"""Files that a person names: `~` is their home folder, and what is no file is not waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def place(path: str | Path) -> Path:
    """The path with `~` as the shell reads it; that of a user who is not there stays."""
    return Path(os.path.expanduser(path))


def cache() -> Path:
    """The user's folder for what can be made again; it may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltf_lite"


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read it; raises OSError, also for a folder, a pipe and a device.

    Those can't be read twice, or never end.
    """
    at = place(path)
    mode = at.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return open(at, "rb")

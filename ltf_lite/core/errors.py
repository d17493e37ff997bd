"""The one base of our own errors: their text is a sentence for the user."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

DONE, FAILED, USAGE = 0, 1, 2
BELOW = 3  # done, but the model is below a floor or has lost an ability
INTERRUPTED, TERMINATED = 130, 143  # by Ctrl-C, by SIGTERM: 128 and the signal, as shells have it
LONGEST = 300  # characters of another library's error that are shown
# What libraries say that write without Python's own files: safetensors, tokenizers, pyarrow,
# numpy, torch.
FULL = re.compile(
    r"No space left on device|Disk quota exceeded|os error (28|122)|requested and \d+ written"
    r"|PytorchStreamWriter failed writing|unexpected pos \d+ vs"
)


class LtfError(Exception):
    """Something that cannot be done; the text is one sentence with the way out.

    `code` is the exit code of a command that ends with it: 1 failed, 2 wrong usage or preset.
    """

    code = FAILED


class UsageError(LtfError, ValueError):
    """Arguments that do not fit together."""

    code = USAGE


def sentence(error: BaseException, place: object = None) -> str:
    """An exception in one line.

    Our own errors stay as they are. An error of the system is its reason and its file. Any other is
    named by its type, with the way to see more. `place` is where it wrote, for one that does not
    tell.
    """
    if isinstance(error, LtfError):
        return str(error)
    if disk_full(error):
        where = getattr(error, "filename", None) or place
        return f"the disk is full: make room for {where}" if where else "the disk is full"
    if of_system(error):
        where = f" ({error.filename})" if error.filename else ""
        return f"{why(error)}{where}"
    text = " ".join(str(error).split())[:LONGEST]
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{named} (LTF_DEBUG=1 shows the whole traceback)"


def why(error: OSError) -> str:
    """Why the system refused to read or write, in words."""
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "a file is where a folder should be"
    return "the disk is full" if disk_full(error) else error.strerror or str(error)


def of_system(error: BaseException) -> TypeGuard[OSError]:
    """Whether the system refused something, such as room on the disk."""
    return isinstance(error, OSError) and error.errno is not None


def disk_full(error: BaseException) -> bool:
    """Whether a disk, or what of it the system allows, had no room left, whoever tells it."""
    if of_system(error):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return not isinstance(error, LtfError) and bool(FULL.search(str(error)))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let a full disk that another library tells of inside be told with what was being written."""
    try:
        yield
    except Exception as error:
        if not disk_full(error) or getattr(error, "filename", None):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error

"""A file that is held by a living process, and by nobody once that process is gone.

The system lets go of the hold when the process ends, in whatever way it ends.
"""

from __future__ import annotations

import sys
import time
from typing import IO

FAR = 1 << 30  # a byte after any content: on Windows a held byte cannot be read
LOOKS = 5  # on Windows, a look holds the byte for a moment, so one look proves nothing
PAUSE = 0.01  # seconds between two looks


def hold(file: IO[str]) -> None:
    """Hold an open file until it is closed or this process ends."""
    if sys.platform == "win32":
        import msvcrt

        _at_far_byte(file, msvcrt.LK_LOCK)
        return
    try:
        import fcntl
    except ImportError:  # a system without such locks: nothing tells that the file is held
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def is_held(file: IO[str]) -> bool:
    """Whether a process holds the file; to look takes nothing from whoever wants to hold it."""
    if sys.platform == "win32":
        return all(_looks_held(file) for _ in range(LOOKS))
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _looks_held(file: IO[str]) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            _at_far_byte(file, msvcrt.LK_NBLCK)
        except OSError:
            time.sleep(PAUSE)
            return True
        _at_far_byte(file, msvcrt.LK_UNLCK)
    return False


def _at_far_byte(file: IO[str], mode: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(FAR)
        try:
            msvcrt.locking(file.fileno(), mode, 1)
        finally:
            file.seek(0)

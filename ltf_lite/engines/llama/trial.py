"""A GGUF file that was never opened is opened in another process first, which may die of it.

llama.cpp ends the whole process where a file breaks one of its rules, and no exception tells. It
also ends it where it multiplies by AMX tiles and the compiler dropped their settings (llama.cpp's
pull request 26954): then the file is opened plainly, without weights laid out for the processor.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import llama_cpp

from ltf_lite.core.files import write_text
from ltf_lite.core.places import cache
from ltf_lite.core.progress import duration
from ltf_lite.engines.base import EngineError

PATIENCE = 120.0  # seconds that a trial may take, and
SPEED = 20e6  # bytes of the file a second besides
KEPT = 1000  # files that are remembered
REASON = re.compile(r"GGML_ASSERT\(.*|what\(\):.*|GGML_ABORT.*")  # in llama.cpp's last words

# What a process ends with at an instruction that the processor refuses, on Windows too.
ILLEGAL = (-getattr(signal, "SIGILL", 4), 0xC000001D)
PLAINLY = "plainly"  # beside the mark of a file that is opened so

survived: dict[str, bool] = {}  # marks of the files that this process need not try; if plainly


def survive(path: str | Path) -> bool:
    """Refuse a file that llama.cpp dies of, and tell whether it is to be opened plainly.

    A file that was opened once is known by its place, size and time, in the user's cache too.
    Raises EngineError.
    """
    own = mark(path)
    if own not in survived:
        known = _known()
        if own in known or f"{own}-{PLAINLY}" in known:
            survived[own] = own not in known
        else:
            lived, survived[own] = _try_both(path)
            name = f"{own}-{PLAINLY}" if survived[own] else own
            with suppress(OSError, RuntimeError):
                write_text(_place(), "\n".join([*known, *([name] if lived else [])][-KEPT:]))
    return survived[own]


def _try_both(path: str | Path) -> tuple[bool, bool]:
    """(whether another process used the file to the end, whether it had to open it plainly)."""
    try:
        return _try(path), False
    except IllegalInstruction:
        return _try(path, PLAINLY), True


class IllegalInstruction(EngineError):
    """A file that llama.cpp dies of by an instruction that the processor refuses."""


def mark(path: str | Path) -> str:
    """What a file is remembered by; a new llama.cpp remembers nothing."""
    facts = os.stat(path)
    told = (os.path.realpath(path), facts.st_size, facts.st_mtime_ns, llama_cpp.__version__)
    return sha256(repr(told).encode("utf-8", "replace")).hexdigest()[:20]


def _place() -> Path:
    return cache() / "gguf-opened.txt"


def _known() -> list[str]:
    with suppress(OSError, RuntimeError, ValueError):
        return _place().read_text(encoding="utf-8").split()
    return []


def _try(path: str | Path, *how: str) -> bool:
    """Whether another process used the file to the end; raises EngineError where it died of it.

    One that ended with an exception has not died: the exception comes here too, and is caught.
    """
    limit = PATIENCE + os.path.getsize(path) / SPEED
    command = [sys.executable, "-m", __package__ or "", str(path), str(limit), *how]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"GGML_NO_BACKTRACE": "1"},  # no debugger, which takes seconds
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"llama.cpp does not get ready with the GGUF file {str(path)!r} in {duration(limit)}: "
            "the file is damaged, or too large for this machine"
        ) from error
    except OSError:  # no process can be started here
        return False
    if done.returncode in (0, 1):
        return done.returncode == 0
    kind = IllegalInstruction if done.returncode in ILLEGAL else EngineError
    said = REASON.search(done.stderr.decode("utf-8", "replace"))
    reason = f" ({said[0][:200].strip()})" if said else ""
    raise kind(
        f"llama.cpp crashes on the GGUF file {str(path)!r}{reason}: download or convert it again, "
        "or give another model"
    )

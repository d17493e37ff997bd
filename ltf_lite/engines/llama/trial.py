"""A GGUF file that was never opened is opened in another process first, which may die of it.

llama.cpp ends the whole process where a file breaks one of its rules, and no exception tells.
"""

from __future__ import annotations

import os
import re
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

survived: set[str] = set()  # marks of the files that this process need not try


def survive(path: str | Path) -> None:
    """Refuse a file that llama.cpp dies of; raises EngineError.

    A file that was opened once is known by its place, size and time, in the user's cache too.
    """
    own = mark(path)
    if own in survived:
        return
    known = _known()
    if own not in known and _try(path):
        with suppress(OSError, RuntimeError):
            write_text(_place(), "\n".join([*known, own][-KEPT:]))
    survived.add(own)


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


def _try(path: str | Path) -> bool:
    """Whether another process used the file to the end; raises EngineError where it died of it.

    One that ended with an exception has not died: the exception comes here too, and is caught.
    """
    limit = PATIENCE + os.path.getsize(path) / SPEED
    command = [sys.executable, "-m", __package__ or "", str(path), str(limit)]
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
    said = REASON.search(done.stderr.decode("utf-8", "replace"))
    reason = f" ({said[0][:200].strip()})" if said else ""
    raise EngineError(
        f"llama.cpp crashes on the GGUF file {str(path)!r}{reason}: download or convert it again, "
        "or give another model"
    )

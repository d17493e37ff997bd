"""A finished small run, made once for all workers and kept until the sources change."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

import ltf_lite

SOURCES = Path(ltf_lite.__file__).parent
LIBRARIES = ("torch", "transformers", "peft", "llama-cpp-python", "pyarrow", "matplotlib")


def key(*more: str) -> str:
    """The hash of all that a run depends on: the package's files, Python and libraries."""
    told = hashlib.sha256("\0".join([sys.version, *map(version, LIBRARIES), *more]).encode())
    for file in sorted(SOURCES.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            told.update(file.relative_to(SOURCES).as_posix().encode())
            told.update(file.read_bytes())
    return told.hexdigest()[:16]


def once(place: Path, known: str, make: Callable[[Path], None], copy: Path) -> Path:
    """A copy of the folder that `make` fills; it is called where nobody has made that one before.

    Of each `place` one is kept: what other sources made is removed.
    """
    place.mkdir(parents=True, exist_ok=True)
    whole, half = place / known, place / "half"
    with FileLock(place / "lock"):
        if not whole.is_dir():
            for old in place.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            make(half)
            half.rename(whole)
        return shutil.copytree(whole, copy)

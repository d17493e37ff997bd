"""The hash of each file lies beside it, so that what rotted on the disk is not taken for whole.

The hashes of a folder's files are the lines of one small file that only grows. A hash is on the
disk before its file has its name. So a kill between the two leaves a hash that no file has, which
says nothing, and the file that was there before, whose own hash still stands. A file without any
hash is not judged: it was written by others, or by a version that kept none.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

HASHES = ".hashes"
_LINE = re.compile(r"([0-9a-f]{16})  (.+)")


class _Known(NamedTuple):
    """What was read of a file of hashes: which file, its bytes so far, when it was changed."""

    file: tuple[int, int]
    size: int
    time: int
    hashes: dict[str, set[str]]


_read: dict[Path, _Known] = {}


def seal(folder: Path, hashes: Mapping[str, str]) -> None:
    """Add the hashes of files of a folder, by their names; on the disk when it returns."""
    lines = "".join(f"{content}  {name}\n" for name, content in hashes.items())
    with open(folder / HASHES, "ab") as file:
        file.write(f"\n{lines}".encode())  # after half a line that a kill left
        file.flush()
        os.fsync(file.fileno())


def seal_all(folder: Path) -> None:
    """Add the hash of every file directly in a folder."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != HASHES]
    seal(folder, {path.name: hash_file(path) for path in files})


def sealed(folder: Path) -> Mapping[str, set[str]]:
    """Name of each sealed file of a folder → every hash that it may have.

    What this process has read of the file before is not read again while the file only grows: a
    harvest may have a hundred thousand shards, and each asks for its hash.
    """
    file = folder / HASHES
    try:
        now = file.stat()
    except OSError:
        return {}
    same, known = (now.st_dev, now.st_ino), _read.get(file)
    grown = known and known.file == same and now.st_size > known.size
    if known is None or not (grown or known == (same, now.st_size, now.st_mtime_ns, known.hashes)):
        known = _Known(same, 0, 0, {})
    with open(file, "rb") as stream:
        stream.seek(known.size)
        told = stream.read()
    ended = told.rfind(b"\n") + 1  # a kill leaves half a line
    for line in told[:ended].decode(errors="replace").splitlines():
        if match := _LINE.fullmatch(line):
            known.hashes.setdefault(match[2], set()).add(match[1])
    _read[file] = known._replace(size=known.size + ended, time=now.st_mtime_ns)
    return known.hashes


def unchanged(path: Path, content: str) -> bool:
    """Whether a file whose hash is `content` is what was sealed, or was never sealed.

    Read the file before this is asked: a writer that comes in between has sealed what you read.
    """
    known = sealed(path.parent).get(path.name)
    return known is None or content in known


def damaged(folder: Path) -> list[str]:
    """The sealed files of a folder that are missing or not what was sealed."""
    return [
        name
        for name, known in sealed(folder).items()
        if not (folder / name).is_file() or hash_file(folder / name) not in known
    ]


def hash_bytes(content: bytes) -> str:
    """A short hash of a file's content."""
    return hashlib.sha256(content).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """A short hash of a file's content."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()[:16]


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            yield block

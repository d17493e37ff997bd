"""Files that a worker needs, sent to it where its machine has not the same ones.

A parcel is a file or a folder, named by what it holds. What was sent is kept in the user's cache,
so that it is sent to a machine once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from ltf_lite.core.files import HALF
from ltf_lite.core.places import cache, place
from ltf_lite.core.seals import HASHES, hash_bytes, hash_file

BLOCK = 2**26  # bytes that are sent at once


@dataclass(frozen=True)
class Parcel:
    """A file or folder at a path of the machine that sends it, and a hash of all that it holds."""

    path: str
    hash: str

    @classmethod
    def of(cls, path: str) -> Parcel:
        at = place(path).absolute()
        return cls(str(at), _hash(at))

    def here(self) -> str | None:
        """Where the same lies on this machine, at its own path or as it was sent before."""
        at = Path(self.path)
        if at.exists() and _hash(at) == self.hash:
            return self.path
        return str(self._kept) if self._kept.exists() else None

    @property
    def _kept(self) -> Path:
        return cache() / "sent" / self.hash / Path(self.path).name

    def blocks(self) -> Iterator[tuple[str, bytes]]:
        """The name within, and some bytes, of all that it holds; each file in its order."""
        top = Path(self.path)
        for file in _files(top):
            name = file.relative_to(top).as_posix()
            with open(file, "rb") as stream:
                yield name, stream.read(BLOCK)
                while more := stream.read(BLOCK):
                    yield name, more

    def keep(self, blocks: Iterable[tuple[str, bytes]]) -> None:
        """Write what was sent; it has its name once it is whole, and what is not raises OSError."""
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._kept.with_name(".lock")):
            if self._kept.exists():  # another worker of this machine was first
                return
            half = self._kept.with_name(f"{self._kept.name}{HALF}")
            shutil.rmtree(half, ignore_errors=True)
            half.unlink(missing_ok=True)
            for name, content in blocks:
                file = half / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with open(file, "ab") as stream:
                    stream.write(content)
            if _hash(half) != self.hash:
                raise OSError(f"{self.path} did not arrive as it was sent")
            os.replace(half, self._kept)


def _files(top: Path) -> list[Path]:
    """A file, or those of a folder, in an order that is the same everywhere."""
    if top.is_file():
        return [top]
    own = (path for path in top.rglob("*") if path.is_file() and path.name != HASHES)
    return sorted(own, key=lambda path: path.relative_to(top).as_posix())


def _hash(top: Path) -> str:
    if top.is_file():
        return hash_file(top)
    told = (f"{path.relative_to(top).as_posix()} {hash_file(path)}\n" for path in _files(top))
    return hash_bytes("".join(told).encode())

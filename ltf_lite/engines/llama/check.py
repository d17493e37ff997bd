"""Whether a GGUF file is whole: its header is walked, and every tensor has to end inside it.

gguf.GGUFReader would find out too, but takes seconds over a vocabulary of 150,000 tokens. What is
newer than the gguf package is no damage: llama.cpp judges it.
"""

from __future__ import annotations

import mmap
import struct
from math import prod
from pathlib import Path

from gguf import GGML_QUANT_SIZES, GGUFValueType

from ltf_lite.engines.base import EngineError

T = GGUFValueType
SIZES: dict[int, int] = {  # bytes of a value
    T.UINT8: 1,
    T.INT8: 1,
    T.BOOL: 1,
    T.UINT16: 2,
    T.INT16: 2,
    T.UINT32: 4,
    T.INT32: 4,
    T.FLOAT32: 4,
    T.UINT64: 8,
    T.INT64: 8,
    T.FLOAT64: 8,
}
# Of tensors: values a block, bytes a block.
BLOCKS: dict[int, tuple[int, int]] = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
UNKNOWN = (1, 0)
VERSIONS = (2, 3)  # of the format; other headers look otherwise
ALIGNMENT = b"general.alignment"


class _Newer(Exception):
    """Something whose size only llama.cpp can know."""


def check_gguf(path: str | Path) -> None:
    """Refuse what is no complete GGUF file, before C code that would crash on it reads it.

    Raises EngineError with one sentence that names the file.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
            if magic != b"GGUF":
                what = f"begins with {magic!r}" if magic else "is empty"
                raise EngineError(f"{str(path)!r} is not a GGUF file: it {what}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                whole = _Walk(data).end() <= len(data)
    except _Newer:
        return
    except OSError as error:
        raise EngineError(f"cannot read the GGUF file {str(path)!r}: {error.strerror}") from error
    except (struct.error, ValueError, OverflowError, RecursionError):
        whole = False
    if not whole:
        raise EngineError(
            f"the GGUF file {str(path)!r} is truncated or damaged (write or download it again)"
        )


def metadata(path: str | Path, key: str) -> str | None:
    """The text under a key of a GGUF file, which is not loaded; None where there is none."""
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _Walk(data).value(key.encode()) if data[:4] == b"GGUF" else None
    except Exception:  # what is wrong with the file is told by who opens it
        return None


class _Walk:
    """A walk over a file's header; reading past the end raises struct.error."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 4

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> bytes:
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size : self.at]

    def skip(self, kind: int) -> None:
        """Go past one value."""
        if kind == T.STRING:
            size = self.number("Q")
            self.at += size
        elif kind == T.ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner in (T.STRING, T.ARRAY):
                for _ in range(count):
                    self.skip(inner)
            else:
                self.at += count * _size(inner)
        else:
            self.at += _size(kind)

    def value(self, wanted: bytes) -> str | None:
        """The text under a key."""
        self.at += 12  # the format's version, the count of tensors
        for _ in range(self.number("Q")):
            key, kind = self.text(), self.number("I")
            if key == wanted and kind == T.STRING:
                return self.text().decode("utf-8", "replace")
            self.skip(kind)
        return None

    def end(self) -> int:
        """Where the last tensor ends, bytes."""
        if self.number("I") not in VERSIONS:
            raise _Newer
        tensors, values = self.number("Q"), self.number("Q")
        align = 32
        for _ in range(values):
            key, kind, begin = self.text(), self.number("I"), self.at
            self.skip(kind)
            if key == ALIGNMENT and kind == T.UINT32:
                align = struct.unpack_from("<I", self.data, begin)[0] or align
        ends = [self.tensor() for _ in range(tensors)]
        return self.at + -self.at % align + max(ends, default=0)

    def tensor(self) -> int:
        """Where one tensor ends, bytes after the header."""
        self.text()
        shape = [self.number("Q") for _ in range(self.number("I"))]
        kind, begin = self.number("I"), self.number("Q")
        block, size = BLOCKS.get(kind, UNKNOWN)
        return begin + prod(shape) // block * size


def _size(kind: int) -> int:
    """The bytes of a value of a kind that has no inner ones."""
    if kind not in SIZES:
        raise _Newer
    return SIZES[kind]

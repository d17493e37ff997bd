"""What a GGUF file says of itself: every value of its metadata, and where its tensors lie.

gguf.GGUFReader tells the same, and takes seconds over a large vocabulary; a dry run asks often.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from ltf_lite.engines.base import EngineError

Kind = TypeVar("Kind")

FORMS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9  # among the format's types of values
VERSIONS = (2, 3)
ALIGNMENT = "general.alignment"
SPLIT = "split.count"


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: `shape` slowest first, `kind` the format's number of its type."""

    shape: tuple[int, ...]
    kind: int
    begin: int  # byte of the file

    @property
    def values(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The metadata and the tensors of the file at `path`."""

    path: str
    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def architecture(self) -> str:
        return self.value("general.architecture", str)

    def value(self, key: str, kind: type[Kind], default: Kind | None = None) -> Kind:
        """The value under a key; raises EngineError where it is of another type, or missing."""
        found = self.values.get(key, default)
        if kind is float and type(found) is int:
            found = float(found)  # type: ignore[assignment]
        if type(found) is not kind:
            said = "has no" if found is None else f"says {str(found)[:40]!r} as its"
            raise EngineError(f"the GGUF file {self.path!r} {said} {key}, which a base needs")
        return found

    def own(self, key: str, kind: type[Kind], default: Kind | None = None) -> Kind:
        """As `value`, of a key that begins with the architecture's name."""
        return self.value(f"{self.architecture}.{key}", kind, default)


def read_header(path: str | Path) -> Header:
    """The header of a whole GGUF file; raises EngineError with one sentence."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise EngineError(f"cannot read the GGUF file {str(path)!r}: {error.strerror}") from error
    return _read(str(path), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=2)
def _read(path: str, size: int, changed: int) -> Header:
    """`size` and `changed` tell a file from the one that had its name before."""
    from ltf_lite.engines.llama.check import check_gguf  # the gguf package is needed only here

    check_gguf(path)
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            values, tensors = _Reader(data).header()
    except (OSError, struct.error, ValueError, KeyError, OverflowError, RecursionError) as error:
        raise EngineError(f"the GGUF file {path!r} cannot be read as a base ({error})") from error
    parts = values.get(SPLIT, 1)
    if type(parts) is int and parts > 1:
        raise EngineError(
            f"{path!r} is one of the {parts} parts of a model: join them first (llama.cpp's "
            "llama-gguf-split --merge does it), and name the whole file"
        )
    return Header(path, values, tensors)


class _Reader:
    """A walk over a file that `check_gguf` found to be whole."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 4

    def header(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        version = self.number("I")
        if version not in VERSIONS:
            raise ValueError(f"version {version} of the format is not known here")
        tensors, values = self.number("Q"), self.number("Q")
        told = {self.text(): self.value(self.number("I")) for _ in range(values)}
        found = [self.tensor() for _ in range(tensors)]
        align = told.get(ALIGNMENT) or 32
        base = self.at + -self.at % align
        return told, {name: Tensor(shape, kind, base + begin) for name, shape, kind, begin in found}

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        size = self.number("Q")
        self.at += size
        if self.at > len(self.data):
            raise ValueError("a text goes past its end")
        return self.data[self.at - size : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.number(FORMS[kind])
        inner, count = self.number("I"), self.number("Q")
        if inner in (STRING, ARRAY):
            return [self.value(inner) for _ in range(count)]
        form = f"<{count}{FORMS[inner]}"
        self.at += struct.calcsize(form)
        return list(struct.unpack_from(form, self.data, self.at - struct.calcsize(form)))

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self.text()
        shape = tuple(self.number("Q") for _ in range(self.number("I")))
        return name, shape[::-1], self.number("I"), self.number("Q")

"""Writing so that a kill at any instant leaves the old file or the new one, never half of one.

What was broken by other means is told apart from what is whole, and set aside under another name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core.errors import LtfError

T = TypeVar("T")

BROKEN = ".broken"
PASSING = (".tmp", BROKEN)  # suffixes of files that are nobody's output


class BrokenFile(LtfError, ValueError):
    """A file that is truncated or damaged, with a sentence that names it and the way out."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is truncated or damaged: `ltf train` (for a sweep, `ltf sweep`) sets it aside "
            "and does its work again"
        )


class ForeignFile(LtfError, ValueError):
    """A whole file that does not belong where it lies, with a sentence that names it."""


def write_text(path: Path, text: str) -> None:
    """Write to a temporary name beside the file, flush to the disk, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Raises BrokenFile where it holds no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise BrokenFile(path) from None


def read_jsonl(path: Path) -> list[Any]:
    """Raises BrokenFile where a line is no JSON."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, RecursionError):
        raise BrokenFile(path) from None


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads and writes a dataclass; made once, as that takes a while."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def read_as(path: Path, kind: type[T], schema: int | None = None) -> T:
    """A dataclass from a JSON file.

    Raises BrokenFile where it holds no such thing, and ForeignFile where its `schema` is another.
    """
    data = read_json(path)
    if schema is not None:
        if not isinstance(data, dict):
            raise BrokenFile(path)
        own = data.get("schema")
        if own != schema:
            raise ForeignFile(
                f"{path} is a record of another version of ltf_lite (schema {own}, this one reads "
                f"{schema}): `ltf train` with the run's preset evaluates again"
            )
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError:
        raise BrokenFile(path) from None


def write_as(path: Path, value: Any) -> None:
    """A dataclass as JSON, written as `write_text` writes."""
    write_json(path, _adapter(type(value)).dump_python(value, mode="json"))


def set_aside(path: Path) -> Path:
    """Rename a file or folder to NAME.broken beside it; earlier ones of that name stay."""
    aside, n = path.with_name(path.name + BROKEN), 1
    while aside.exists():
        n += 1
        aside = path.with_name(f"{path.name}.{n}{BROKEN}")
    os.replace(path, aside)
    return aside


def keep_broken(old: Path, new: Path) -> None:
    """Take what was set aside in a folder over to the one that replaces it."""
    for path in old.glob(f"*{BROKEN}"):
        os.replace(path, new / path.name)


def hash_of(data: Any) -> str:
    """A short content hash of JSON data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:16]


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

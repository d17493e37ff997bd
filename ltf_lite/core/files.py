"""Writing so that a kill at any instant leaves the old file or the new one, never half of one.

Each file's hash is written down before the file has its name. What was broken by other means is
told apart from what is whole by that, and set aside under another name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core import seals
from ltf_lite.core.errors import LtfError, naming
from ltf_lite.core.seals import hash_bytes, hash_file

T = TypeVar("T")

BROKEN = ".broken"
HALF = ".tmp"
PASSING = (HALF, BROKEN)  # suffixes of files that are nobody's output
DAMAGED = "is truncated or damaged"
CHANGED = "was changed since it was written"


class BrokenFile(LtfError, ValueError):
    """A file that is not what was written, with a sentence that names it and the way out."""

    def __init__(self, path: Path, why: str = DAMAGED) -> None:
        super().__init__(
            f"{path} {why}: `ltf train` (for a sweep, `ltf sweep`) sets it aside and does its work "
            "again"
        )


class ForeignFile(LtfError, ValueError):
    """A whole file that does not belong where it lies, with a sentence that names it."""


_before: Callable[[], object] | None = None


def before_naming(call: Callable[[], object] | None) -> None:
    """From now on, call this each time before a file of this process gets its name."""
    global _before
    _before = call


@contextmanager
def whole(path: Path, sealed: bool = True) -> Iterator[Path]:
    """A name to write a file under; when the block ends well it is sealed and gets its own.

    What is there under its own name stays until then, also where the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + HALF)
    half.unlink(missing_ok=True)  # never written through a link
    try:
        with naming(path):
            yield half
        with open(half, "rb+") as file:
            os.fsync(file.fileno())
        if _before is not None:
            _before()
        if sealed:
            seals.seal(path.parent, {path.name: hash_file(half)})
        os.replace(half, path)
    except OSError as error:
        half.unlink(missing_ok=True)  # a full disk has its room again
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    except Exception:
        half.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write to a temporary name beside the file, flush to the disk, seal, rename."""
    with whole(path) as half:
        half.write_text(text, encoding="utf-8")


def hand_over(path: Path, text: str) -> None:
    """Write a file that is a person's from then on, to be changed at will: it has no seal."""
    with whole(path, sealed=False) as half:
        half.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Raises ValueError for what JSON can't say, such as NaN."""
    write_text(path, json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Raises ValueError for what JSON can't say, such as NaN."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    write_text(path, "".join(lines))


def read_json(path: Path) -> Any:
    """Raises BrokenFile where it holds no JSON, or another than was written."""
    return _read(path, json.loads)


def read_jsonl(path: Path) -> list[Any]:
    """Raises BrokenFile where a line is no JSON, or another than was written."""

    def rows(text: str) -> list[Any]:
        # at newlines alone: a text may hold other characters that end a line
        return [json.loads(line) for line in text.removesuffix("\n").split("\n") if text]

    return _read(path, rows)


def _read(path: Path, parse: Callable[[str], T]) -> T:
    content = path.read_bytes()
    try:
        found = parse(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BrokenFile(path) from None
    if not seals.unchanged(path, hash_bytes(content)):
        raise BrokenFile(path, CHANGED)
    return found


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


def check(path: Path) -> None:
    """Raises BrokenFile where a file of any kind is not what was written."""
    if not seals.unchanged(path, hash_file(path)):
        raise BrokenFile(path, CHANGED)


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

"""JSON as it goes out and comes in: every text of ours is JSON, and a line that is none is told."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from ltf_lite.core.text import sound

MAX_BYTES = 1 << 25  # of one line; the rest of a longer one is skipped, so memory stays bounded
DIGITS = 4300  # of a whole number; Python reads no longer one
BOM = b"\xef\xbb\xbf"
BLANK = "is blank"


def as_json(data: Any) -> str:
    """JSON in ASCII, so that any output can hold it; what is no number becomes null."""
    return json.dumps(_sound(data), allow_nan=False)


def _sound(data: Any) -> Any:
    """The data as JSON can say it: no infinite numbers, no half characters."""
    if isinstance(data, str):
        return sound(data)
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {_sound(key): _sound(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_sound(each) for each in data]
    return data


class Line(NamedTuple):
    """A line of a file, counted from 1: its data, or what it is instead of JSON.

    The data of a row of a `table` are its cells by the names of their columns.
    """

    number: int
    data: Any = None
    wrong: str = ""
    table: bool = False


def json_lines(stream: BinaryIO) -> Iterator[Line]:
    """Every line of JSONL, also those that hold none; raises only what reading raises.

    A line ends with a line feed and with nothing else. A byte order mark may stand before the
    first. Half characters are replaced, as no file could hold them.
    """
    for number, raw in _numbered(stream):
        yield _line(number, raw)


def text_lines(stream: BinaryIO) -> Iterator[Line]:
    """Every line as the text that it is; a string or an object of JSON is read as such.

    Lines end, and are told, as those of `json_lines`.
    """
    for number, raw in _numbered(stream):
        line = _line(number, raw)
        known = isinstance(line.data, (str, dict)) or line.wrong == BLANK
        yield line if known or raw is None else _text(number, raw)


def _text(number: int, raw: bytes) -> Line:
    try:
        return Line(number, raw.decode().strip())
    except UnicodeDecodeError:
        return Line(number, None, "is not UTF-8")


def _numbered(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The lines counted from 1, without a byte order mark; None for one that is too long."""
    for number, raw in enumerate(_lines(stream), 1):
        yield number, raw.removeprefix(BOM) if raw is not None and number == 1 else raw


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines; None for one that is too long."""
    while raw := stream.readline(MAX_BYTES):
        if len(raw) < MAX_BYTES or raw.endswith(b"\n"):
            yield raw
            continue
        while (rest := stream.readline(MAX_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _line(number: int, raw: bytes | None) -> Line:
    if raw is None:
        return Line(number, None, f"is longer than {MAX_BYTES} bytes")
    if not raw.strip():
        return Line(number, None, BLANK)
    try:
        data = _decode(raw.decode())
        return Line(number, _sound_texts(data) if b"\\u" in raw else data)
    except UnicodeDecodeError:
        return Line(number, None, "is not UTF-8")
    except RecursionError:
        return Line(number, None, "is nested too deeply")
    except ValueError as error:
        return Line(number, None, f"is not JSON: {error}")


def _sound_texts(data: Any) -> Any:
    """The data without half characters, which JSON can say and UTF-8 can't."""
    if isinstance(data, str):
        return sound(data)
    if isinstance(data, dict):
        return {sound(key): _sound_texts(value) for key, value in data.items()}
    return [_sound_texts(each) for each in data] if isinstance(data, list) else data


def _whole(digits: str) -> int | float:
    """A whole number; one too long for any problem is infinite, as its digits would take long."""
    return int(digits) if len(digits) < DIGITS else math.inf


def _no_number(name: str) -> None:
    """NaN and Infinity, which Python writes and JSON does not have, are null."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a key that is given twice nobody knows which value is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} is given twice")
    return found


_decode = json.JSONDecoder(
    parse_int=_whole, parse_constant=_no_number, object_pairs_hook=_once
).decode

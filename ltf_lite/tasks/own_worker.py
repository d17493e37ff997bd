"""What the worker process of a user's Python file does: load it, and call its functions."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

NEEDED = ("problems", "verify")
MORE = ("prompt", "steps", "fatal", "answer")
CHARACTERS = 400_000  # of a page of problems
_OPEN: dict[str, tuple[int, Iterator[Any]]] = {}


class FileError(Exception):
    """What is wrong with the file, in one sentence."""


def described(path: str) -> dict[str, Any]:
    """The functions that the file has, and the failure kinds that it names."""
    names = _loaded(path)
    missing = [name for name in NEEDED if not callable(names.get(name))]
    if missing:
        raise FileError(f"it has no function {' and no '.join(f'{name}()' for name in missing)}")
    kinds = names.get("KINDS", {})
    told = {str(kind): str(text) for kind, text in dict(kinds).items()}
    return {"functions": [n for n in (*NEEDED, *MORE) if callable(names.get(n))], "kinds": told}


def page(path: str, start: int, count: int) -> list[dict[str, Any]]:
    """At most `count` problems from number `start` on; none where there are no more."""
    at, stream = _OPEN.get(path, (-1, iter(())))
    if at != start:
        stream = islice(_given(path), start, None)
    found: list[dict[str, Any]] = []
    size = 0
    for each in _in_file(path, "problems", stream):
        if not isinstance(each, Mapping):
            raise FileError(f"problems() gives dicts, not {type(each).__name__}")
        data = json.loads(json.dumps(dict(each), allow_nan=False))
        found.append(data)
        size += len(json.dumps(data))
        if len(found) >= count or size > CHARACTERS:
            break
    _OPEN[path] = (start + len(found), stream)
    return found


def _given(path: str) -> Iterator[Any]:
    yield from _loaded(path)["problems"]()


def asked(path: str, function: str, args: list[Any]) -> Any:
    """What a function of the file gives, as JSON."""
    found = _called(path, function, *args)
    if function == "steps":
        found = [str(step) for step in found]
    return json.loads(json.dumps(found, default=str))


def _called(path: str, function: str, *args: Any) -> Any:
    own = _loaded(path)[function]
    return next(_in_file(path, function, _once(own, args)))


def _once(function: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[Any]:
    yield function(*args)


def _in_file(path: str, function: str, stream: Iterator[Any]) -> Iterator[Any]:
    """The stream; what the file raises is told with its line."""
    try:
        yield from stream
    except (FileError, GeneratorExit):
        raise
    except BaseException as error:
        raise FileError(_told(path, f"{function}()", error)) from error


def _told(path: str, where: str, error: BaseException) -> str:
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__)]
    own = [e.lineno for e in traceback.extract_tb(error.__traceback__) if e.filename == path]
    at = f", line {(own or lines or [0])[-1]}" if own else ""
    if isinstance(error, SyntaxError):
        at = f", line {error.lineno}"
    what = "ends the process" if isinstance(error, SystemExit) else "raises"
    said = " ".join(str(error).split())[:200]
    return f"{where}{at} {what}: {type(error).__name__}{f': {said}' if said else ''}"


@lru_cache(maxsize=2)
def _loaded(path: str) -> dict[str, Any]:
    """The names of the file. It is compiled and run as a module is, with its folder at hand."""
    sys.path.insert(0, os.path.dirname(path))
    names: dict[str, Any] = {"__name__": "task", "__file__": path}
    with open(path, "rb") as stream:
        source = stream.read()
    try:
        exec(compile(source, path, "exec"), names)
    except BaseException as error:
        raise FileError(_told(path, "the file", error)) from error
    return names

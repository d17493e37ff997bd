"""Many paths from anywhere, one JSON line each, to one verdict line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, TextIO

from ltf_lite.tasks.contract import Task, TaskError, Verdict

MAX_BYTES = 1 << 25  # of one line; the rest of a longer one is skipped, so memory stays bounded
CHUNK = 512  # verdicts written at a time
BAD_INPUT = "bad_input"


def verify_lines(task: Task, lines: BinaryIO, out: TextIO) -> tuple[int, int]:
    """Write one verdict a line for each line of `{"problem": {...}, "text": "..."}`.

    A line that cannot be read gets the kind `bad_input`. Returns the number of lines and of bad
    ones; raises only what reading `lines` and writing `out` raise.
    """
    count = bad = 0
    waiting: list[str] = []
    for raw in _lines(lines):
        verdict = _verdict(task, raw, first=count == 0)
        count += 1
        bad += verdict.kind == BAD_INPUT
        waiting.append(json.dumps(verdict.as_dict()) + "\n")
        if len(waiting) == CHUNK:
            out.write("".join(waiting))
            waiting.clear()
    out.write("".join(waiting))
    out.flush()
    return count, bad


def _lines(lines: BinaryIO) -> Iterator[bytes | None]:
    """The lines without their ends; None for one that is too long."""
    while raw := lines.readline(MAX_BYTES):
        if len(raw) < MAX_BYTES or raw.endswith(b"\n"):
            yield raw
            continue
        while (rest := lines.readline(MAX_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _whole(digits: str) -> int | float:
    """A JSON integer; one too long for any problem is infinite, as its digits would take long."""
    return int(digits) if len(digits) < 20 else float("inf")


_decode = json.JSONDecoder(parse_int=_whole).decode


def _verdict(task: Task, raw: bytes | None, first: bool) -> Verdict:
    if raw is None:
        return _bad(f"the line is longer than {MAX_BYTES} bytes")
    try:
        data: Any = _decode(raw.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError:
        return _bad("the line is not UTF-8")
    except RecursionError:
        return _bad("the line's JSON is nested too deeply")
    except ValueError as error:
        return _bad(f"the line is not JSON: {error}" if raw.strip() else "the line is blank")
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        return _bad('a line is an object like {"problem": {...}, "text": "..."}')
    try:
        problem = task.problem(data.get("problem"))
    except TaskError as error:
        return _bad(str(error))
    return task.verify(problem, task.parse(problem, data["text"]))


def _bad(message: str) -> Verdict:
    return Verdict(False, BAD_INPUT, None, message)

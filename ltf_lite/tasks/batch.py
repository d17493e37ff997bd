"""Many paths from anywhere, one JSON line each, to one verdict line each."""

from __future__ import annotations

from typing import BinaryIO, TextIO

from ltf_lite.core.json_text import Line, as_json, json_lines
from ltf_lite.tasks.contract import Task, TaskError, Verdict

CHUNK = 512  # verdicts written at a time
BAD_INPUT = "bad_input"


def verify_lines(task: Task, lines: BinaryIO, out: TextIO) -> tuple[int, int]:
    """Write one verdict a line for each line of `{"problem": {...}, "text": "..."}`.

    A line that cannot be read gets the kind `bad_input`. Returns the number of lines and of bad
    ones; raises only what reading `lines` and writing `out` raise.
    """
    count = bad = 0
    waiting: list[str] = []
    for line in json_lines(lines):
        verdict = _verdict(task, line)
        count += 1
        bad += verdict.kind == BAD_INPUT
        waiting.append(as_json(verdict.as_dict()) + "\n")
        if len(waiting) == CHUNK:
            out.write("".join(waiting))
            waiting.clear()
    out.write("".join(waiting))
    out.flush()
    return count, bad


def _verdict(task: Task, line: Line) -> Verdict:
    if line.wrong:
        return _bad(f"the line {line.wrong}")
    data = line.data
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        return _bad('a line is an object like {"problem": {...}, "text": "..."}')
    try:
        problem = task.problem(data.get("problem"))
    except TaskError as error:
        return _bad(str(error))
    return task.verify(problem, task.parse(problem, data["text"]))


def _bad(message: str) -> Verdict:
    return Verdict(False, BAD_INPUT, None, message)

"""How far a failed path was still right, to the character: what is never forgotten, and the pivot.

A failure and a success of one problem that begin alike are right up to where they part. Where a
solver knows every right step, so is a step up to where it parts from all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ltf_lite.engines.base import common
from ltf_lite.tasks import Problem, Solver, Task
from ltf_lite.tasks.contract import Line


def shared(text: str, successes: Iterable[str]) -> int:
    """How many characters a text begins with that one of these begins with too."""
    return max((common(text, other) for other in successes), default=0)


def right_until(
    problem: Problem, text: str, line: Line, before: list[Line], task: Task, dialect: str
) -> int:
    """The character at which a line parts from every line that can still lead to a solution.

    Where no solver knows them it is the line's first.
    """
    if not isinstance(task, Solver):
        return line.start
    state = task.start(problem)
    for earlier in before:
        taken = task.take(problem, state, earlier.text, dialect, True)
        if taken is None:
            return line.start
        state = taken.state
    own = text[line.start :]
    return line.start + shared(
        own, (f"{right}\n" for right in task.hopeful(problem, state, dialect))
    )

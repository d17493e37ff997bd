"""Tasks: what a problem is, how it is asked, when a path is right."""

from __future__ import annotations

from difflib import get_close_matches

from ltf_lite.tasks.base import KINDS, SPLITS, Path, Problem, Split, Task, TaskError, Verdict
from ltf_lite.tasks.countdown import Countdown
from ltf_lite.tasks.game24 import Game24
from ltf_lite.tasks.numbers_game import NumbersGame

TASKS: dict[str, type[NumbersGame]] = {"countdown": Countdown, "game24": Game24}


def get_task(name: str, **settings) -> NumbersGame:
    """The task of that name with these settings; raises TaskError with the nearest name."""
    if name not in TASKS:
        near = get_close_matches(name, TASKS, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(TASKS)}"
        raise TaskError(f"there is no task {name!r}{hint}")
    return TASKS[name](**settings)


__all__ = [
    "KINDS", "SPLITS", "TASKS", "NumbersGame", "Path", "Problem", "Split", "Task", "TaskError",
    "Verdict", "get_task",
]  # fmt: skip

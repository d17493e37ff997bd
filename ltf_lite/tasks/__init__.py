"""Tasks: what a problem is, how it is asked, when a path is right."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches

from ltf_lite.tasks.base import KINDS, SPLITS, Path, Problem, Split, Task, TaskError, Verdict
from ltf_lite.tasks.countdown import Countdown
from ltf_lite.tasks.game24 import Game24
from ltf_lite.tasks.numbers_game import NumbersGame

TASKS: dict[str, type[NumbersGame]] = {"countdown": Countdown, "game24": Game24}
# Beside each task one that is near and that it is not tuned on, in numbers the embedded base reads.
SIBLINGS: dict[str, tuple[str, dict]] = {
    "countdown": ("game24", {}),
    "game24": ("countdown", {"numbers": (1, 50), "max_intermediate": 999}),
}


def get_task(name: str, **settings) -> NumbersGame:
    """The task of that name with these settings; raises TaskError with the nearest name."""
    if name not in TASKS:
        raise TaskError(f"there is no task {name!r}; {_nearest(name, list(TASKS))}")
    known = [field.name for field in fields(TASKS[name])]
    for setting in settings:
        if setting not in known:
            hint = _nearest(setting, known)
            raise TaskError(f"the task {name} has no setting {setting!r}; {hint}")
    return TASKS[name](**settings)


def sibling_of(name: str) -> NumbersGame | None:
    """The task to watch for what tuning on this one makes a model forget, if there is one."""
    if name not in SIBLINGS:
        return None
    sibling, settings = SIBLINGS[name]
    return get_task(sibling, **settings)


def _nearest(word: str, words: list[str]) -> str:
    near = get_close_matches(word, words, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(words)}"


__all__ = [
    "KINDS", "SPLITS", "TASKS", "NumbersGame", "Path", "Problem", "Split", "Task", "TaskError",
    "Verdict", "get_task", "sibling_of",
]  # fmt: skip

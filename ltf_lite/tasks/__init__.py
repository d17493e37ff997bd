"""Tasks: what a problem is, how it is asked, when a path is right."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ltf_lite.core.plugins import PluginError, Registry, nearest
from ltf_lite.tasks.contract import (
    SPLITS,
    Line,
    Path,
    Problem,
    Prompts,
    Solver,
    Split,
    Steps,
    Task,
    TaskError,
    Verdict,
)

TASKS: Registry[Task] = Registry("ltf_lite.tasks", "task", Task)


def get_task(name: str, **settings: Any) -> Task:
    """The task of that name with these settings; raises TaskError with the nearest name."""
    try:
        kind = TASKS.get(name)
    except PluginError as error:
        raise TaskError(str(error)) from error
    try:
        return kind(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            hint = nearest(where, [each for each in kind.model_fields if each != "name"])
            raise TaskError(f"the task {name} has no setting {where!r}; {hint}") from error
        said = first["msg"].removeprefix("Value error, ")
        raise TaskError(f"{name}: {said if where in said else f'{where}: {said}'}") from error


__all__ = [
    "SPLITS",
    "TASKS",
    "Line",
    "Path",
    "Problem",
    "Prompts",
    "Solver",
    "Split",
    "Steps",
    "Task",
    "TaskError",
    "Verdict",
    "get_task",
]

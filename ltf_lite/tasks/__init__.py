"""Tasks: what a problem is, how it is asked, when a path is right."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ltf_lite.core.plugins import PluginError, Registry
from ltf_lite.core.validation import sentence
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
        raise TaskError(sentence(error, f"the task {name}", kind)) from error


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

"""Tasks: what a problem is, how it is asked, when a path is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ltf_lite.core.places import place
from ltf_lite.core.plugins import PluginError, Registry
from ltf_lite.core.validation import sentence
from ltf_lite.tasks.contract import (
    MISSING,
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
ENDINGS = "a file of questions ends in .jsonl, .json, .csv, .tsv or .parquet, code in .py"
REFERENCES = "or a file of questions, a Python file, or reasoning-gym:NAME"


def settings_of(reference: Any) -> Any:
    """The settings that a reference means: a task's name, a file, `reasoning-gym:NAME`, or settings
    without the name, of which the first says whose they are. Anything else is given back as it is.
    """
    if isinstance(reference, str):
        if reference in TASKS.names():
            return {"name": reference}
        for kind in TASKS.all():
            if (own := kind.meant(reference)) is not None:
                return {"name": TASKS.name_of(kind), **own}
        return {"name": reference}
    if isinstance(reference, Mapping) and "name" not in reference:
        for kind in TASKS.all():
            fields = kind.model_fields.items()
            if any(field.is_required() and name in reference for name, field in fields):
                return {"name": TASKS.name_of(kind), **reference}
    return reference


def get_task(name: str, **settings: Any) -> Task:
    """The task of that name or reference with these settings; raises TaskError."""
    told = {**settings_of(name), **settings}
    try:
        kind = TASKS.get(told.pop("name"))
    except PluginError as error:
        if place(name).is_file():
            raise TaskError(f"{name}: {ENDINGS}") from error
        raise TaskError(f"{error}; {REFERENCES}") from error
    try:
        return kind(**told)
    except ValidationError as error:
        raise TaskError(sentence(error, f"the task {name}", kind)) from error


__all__ = [
    "MISSING",
    "REFERENCES",
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
    "settings_of",
]

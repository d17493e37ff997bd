"""A task whose answers a model has room for."""

from __future__ import annotations

from ltf_lite.tasks.contract import Task
from ltf_lite.tasks.free import FreeText

SHARE = 2  # of a model's context, an answer may take one part in so many
LEAST = 16  # tokens of an answer


def within(task: Task, context: int | None) -> Task:
    """The task with answers no longer than half of a model's context; None: it tells none.

    Only tasks of free text have a length of their own. A smaller one that is set stays.
    """
    if not isinstance(task, FreeText) or context is None:
        return task
    most = max(LEAST, context // SHARE)
    return task.model_copy(update={"path_tokens": most}) if task.path_tokens > most else task

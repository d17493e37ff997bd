"""A problem as a question in words, and what is unusual about it for a model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ltf_lite.app.web.words import Say
from ltf_lite.core.text import escape
from ltf_lite.tasks import Problem, Task

LONGEST = 600  # characters of a question that are shown in large type


def in_words(problem: Problem, say: Say) -> str:
    """The question in the app's language, else the problem's own text."""
    template = say.known(f"question.{problem.task}", "")
    try:
        told = template.format(**{name: _listed(value) for name, value in problem.data.items()})
    except (LookupError, ValueError, AttributeError):  # data of another shape than the words'
        told = ""
    return told or problem.text[:LONGEST]


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def shown(problem: Problem, say: Say) -> str:
    """The question as HTML."""
    return f'<p class="ltf-question">{escape(in_words(problem, say))}</p>'


def unlike(problem: Problem, task: Task | None, say: Say) -> str:
    """A sentence where a problem has more or fewer numbers than a model was tuned on; else ""."""
    own, learnt = _count(problem), None if task is None else _counts(task)
    other = task is None or task.name != problem.task or f"question.{task.name}" not in say.words
    if other or own is None or learnt in (None, own):
        return ""
    return say("unlike", n=own, learnt=learnt)


def _count(problem: Problem) -> int | None:
    """How many values the first list of its data has."""
    lists = (value for value in problem.data.values() if isinstance(value, (list, tuple)))
    return next(map(len, lists), None)


@lru_cache(maxsize=32)
def _counts(task: Task) -> int | None:
    """How many numbers a task's own training problems have; None where they have none."""
    drawn = task.up_to("train", 1, 0)
    return _count(drawn[0]) if drawn else None

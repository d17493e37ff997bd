"""Steps and search prompts of a task, those of any text where it brings none; valid steps."""

from __future__ import annotations

from ltf_lite.tasks.contract import Path, Problem, Questions, Steps, Task
from ltf_lite.tasks.judgement import VALUES, read_value
from ltf_lite.tasks.text_steps import TextSteps

ASKED = ("propose", "judge", "judge_stop", "read_value", "yes")


def steps_of(task: Task) -> Steps:
    """The task's own steps, or those of any text."""
    return task if isinstance(task, Steps) else TextSteps(task)


class _Mixed:
    """The questions that a task brings, and those of any text in place of the others."""

    def __init__(self, task: Task) -> None:
        rest = TextSteps(task)
        for name in ASKED:
            setattr(self, name, getattr(task, name, None) or getattr(rest, name))


def prompts_of(task: Task) -> Questions:
    """What a search asks: each question is the task's own, or that of any text."""
    return _Mixed(task)  # type: ignore[return-value]


def valid_steps(task: Task, problem: Problem, path: Path) -> tuple[int, int] | None:
    """Legal, correct steps of a path up to its first bad one, and steps tried or missing.

    None where the task has no steps that could be checked.
    """
    if not isinstance(task, Steps):
        return None
    state, good, full = task.start(problem), 0, task.longest(problem)
    for line in path.lines[:full]:
        taken = task.take(problem, state, line.text, path.form, True)
        if taken is None:
            return good, good + 1
        state, good = taken.state, good + 1
    return good, full


__all__ = ["VALUES", "TextSteps", "prompts_of", "read_value", "steps_of", "valid_steps"]

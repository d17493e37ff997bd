"""Steps and search prompts for any text, where a task brings none; how far a path is right."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ltf_lite.tasks.contract import Path, Problem, Prompts, Steps, Taken, Task

LONGEST = 16  # lines of a path that a search on free text goes through

# What a judgement counts (Yao et al. 2023, arXiv 2305.10601, whose 20 / 1 / 0.001 these are,
# scaled so that certainty is 1).
VALUES = {"sure": 1.0, "likely": 0.05, "impossible": 0.00005}
_VALUE = rf"\b(?:{'|'.join(VALUES)})\b"
_WORD = re.compile(_VALUE)
_JUDGEMENT = re.compile(r"\bjudge?ments?\b[\s*_]*(?::|is\b)")
# A word that judges nothing: one of a list to choose from, one that is denied, one of "make sure".
_NO_VALUE = re.compile(
    rf"{_VALUE}(?:\s*(?:,|/|\bor\b|,\s*or\b)\s*{_VALUE})+"
    r"|\b(?:not?|never|cannot|neither|nor|hardly|\w+n['’]t)\b(?:\s+\w+){0,3}?\s+"
    rf"{_VALUE}"
    r"|\b(?:make|makes|making|made|be|being)\s+sure\b"
)


class TextSteps:
    """Steps and prompts of a task that has none of its own: a state is the lines so far."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def start(self, problem: Problem) -> tuple[str, ...]:
        return ()

    def take(
        self, problem: Problem, state: tuple[str, ...], line: str, dialect: str, checked: bool
    ) -> Taken | None:
        line = line.strip()
        return Taken((*state, line), line, " ".join(line.lower().split())) if line else None

    def finished(self, problem: Problem, state: tuple[str, ...]) -> bool:
        """Whether the task finds an answer in the lines, or they are as many as may be."""
        text = self.joined(state, "", True)
        return len(state) >= LONGEST or self.task.parse(problem, text).answer is not None

    def longest(self, problem: Problem) -> int:
        return LONGEST

    def joined(self, lines: Sequence[str], dialect: str, finished: bool) -> str:
        return "".join(f"{line}\n" for line in lines)

    def shown(self, state: tuple[str, ...]) -> str:
        return state[-1] if state else ""

    def propose(self, problem: Problem, state: tuple[str, ...], dialect: str) -> str | None:
        return None

    def judge(
        self, problem: Problem, state: tuple[str, ...], lines: Sequence[str], dialect: str
    ) -> str:
        asked = "Is this answer right?" if lines else "Can this still lead to the right answer?"
        so_far = self.joined(state, dialect, bool(lines)) or "(nothing)\n"
        return (
            f"{problem.text}\n\nReasoning so far:\n{so_far}\n"
            f"{asked} Judge: sure, likely or impossible.\nJudgement:"
        )

    def judge_stop(self, dialect: str) -> list[str]:
        return [] if dialect == "chat" else ["\n"]  # thoughts may come first

    def read_value(self, text: str) -> float | None:
        return read_value(text)


def read_value(text: str) -> float | None:
    """What the last judgement in a text counts; None if there is none.

    It is the first one behind the last `Judgement:`, else that of the last line that judges. A
    line that begins with a judgement means that one, whatever it says of others.
    """
    text = text.casefold()
    marks = [match.end() for match in _JUDGEMENT.finditer(text)]
    lines = text[marks[-1] :].splitlines() if marks else reversed(text.splitlines())
    for line in lines:
        words = _WORD.findall(_NO_VALUE.sub(" ", line))
        first = _WORD.match(line.lstrip(" \t*_`\"'"))
        if first and words and words[0] == first[0]:
            return VALUES[first[0]]
        if words:
            return VALUES[words[-1]]
    return None


def steps_of(task: Task) -> Steps:
    """The task's own steps, or those of any text."""
    return task if isinstance(task, Steps) else TextSteps(task)


def prompts_of(task: Task) -> Prompts:
    """The task's own search prompts, or those of any text."""
    return task if isinstance(task, Prompts) else TextSteps(task)


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

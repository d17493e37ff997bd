"""How far a text got before its first wrong step."""

from __future__ import annotations

from ltf_lite.tasks.base import Problem
from ltf_lite.tasks.numbers_game import NumbersGame
from ltf_lite.tasks.text import Step


def valid_steps(task: NumbersGame, problem: Problem, text: str) -> tuple[int, int]:
    """Legal, correct steps of a text up to its first bad one, and steps tried or missing."""
    left, good = task.start(problem), 0
    full = len(problem.numbers) - 1
    for line in task.parse(problem, text).lines[:full]:
        state = task.legal(left, Step(*line.step)) if line.step else None
        if state is None:
            return good, good + 1
        left, good = state, good + 1
    return good, full

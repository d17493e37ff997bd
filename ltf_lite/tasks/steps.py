"""How far a path got before its first wrong step."""

from __future__ import annotations

from ltf_lite.tasks.base import Path, Problem
from ltf_lite.tasks.numbers_game import NumbersGame
from ltf_lite.tasks.text import Step


def valid_steps(task: NumbersGame, problem: Problem, path: Path) -> tuple[int, int]:
    """Legal, correct steps of a path up to its first bad one, and steps tried or missing."""
    left, good = task.start(problem), 0
    full = len(problem.numbers) - 1
    for line in path.lines[:full]:
        state = task.legal(left, Step(*line.step)) if line.step else None
        if state is None:
            return good, good + 1
        left, good = state, good + 1
    return good, full

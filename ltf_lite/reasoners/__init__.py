"""Reasoners: how an engine is driven over a problem."""

from __future__ import annotations

from ltf_lite.reasoners.base import Attempt, Reasoner, Solution
from ltf_lite.reasoners.cot import CoT
from ltf_lite.reasoners.exact import BFS, DFS, RandomWalk

REASONERS: dict[str, type] = {"cot": CoT, "bfs": BFS, "dfs": DFS, "random": RandomWalk}


def get_reasoner(name: str, **settings) -> Reasoner:
    """The reasoner of that name; KeyError and TypeError for what the preset's schema refuses."""
    return REASONERS[name](**settings)


__all__ = ["REASONERS", "Attempt", "Reasoner", "Solution", "get_reasoner"]

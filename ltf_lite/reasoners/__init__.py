"""Reasoners: how an engine is driven over a problem."""

from __future__ import annotations

from ltf_lite.reasoners.base import Attempt, Node, Reasoner, Solution, Watch, attempt_of, path_to
from ltf_lite.reasoners.bfs import BFS
from ltf_lite.reasoners.cot import CoT
from ltf_lite.reasoners.dfs import DFS
from ltf_lite.reasoners.random_walk import RandomWalk
from ltf_lite.reasoners.rap import RAP
from ltf_lite.reasoners.thoughts import Thoughts
from ltf_lite.reasoners.tot import ToT

REASONERS: dict[str, type] = {
    "cot": CoT, "tot": ToT, "rap": RAP, "bfs": BFS, "dfs": DFS, "random": RandomWalk
}  # fmt: skip


TREES = tuple(name for name, kind in REASONERS.items() if issubclass(kind, Thoughts))


def get_reasoner(name: str, **settings) -> Reasoner:
    """The reasoner of that name; KeyError and TypeError for what the preset's schema refuses."""
    return REASONERS[name](**settings)


__all__ = [
    "REASONERS", "TREES", "Attempt", "Node", "Reasoner", "Solution", "Watch", "attempt_of",
    "get_reasoner", "path_to",
]  # fmt: skip

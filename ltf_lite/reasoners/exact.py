"""What the engine-free reasoners share: the tree of states they reached, and their solution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ltf_lite.reasoners.base import Attempt, Node, Solution, Watch, attempt_of
from ltf_lite.tasks import NumbersGame, Problem, Verdict
from ltf_lite.tasks.solver import Move, State
from ltf_lite.tasks.text import Step

NODES = 200_000  # in a tree with so many states no further state is expanded


class StateTree(Sequence[Node]):
    """The states that a search reached, as parents and moves; read as a sequence of nodes.

    The nodes are made when the first of them is read, once the search is over: a harvest reads
    none, and to write the text of them all takes longer than to find them. A node's `visits` is 1
    where the search went on from the state or was at an end with it, 0 where it only saw it.
    """

    def __init__(self, task: NumbersGame, problem: Problem, style: str):
        self.task, self.problem, self.style = task, problem, style
        self.parents: list[int | None] = [None]
        self.moves: list[Move | None] = [None]
        self.verdicts: dict[int, Verdict] = {}

    def add(self, parent: int, move: Move) -> int:
        """The index of a new state."""
        self.parents.append(parent)
        self.moves.append(move)
        return len(self.moves) - 1

    @property
    def full(self) -> bool:
        """Whether the search must end here."""
        return len(self.moves) >= NODES

    def left(self, index: int) -> State:
        """The numbers left in a state."""
        move = self.moves[index]
        return move.left if move else self.task.start(self.problem)

    def path(self, index: int) -> list[Move]:
        """The moves from the problem to a state."""
        path: list[Move] = []
        while (move := self.moves[index]) is not None:
            path.append(move)
            index = self.parents[index] or 0
        return path[::-1]

    def attempt(self, index: int) -> Attempt:
        """The path to a state, written and verified."""
        text = self.task.write(self.problem, self.path(index), self.style)
        attempt = attempt_of(self.task, self.problem, text, node=index)
        self.verdicts[index] = attempt.verdict
        return attempt

    @cached_property
    def nodes(self) -> list[Node]:
        """Every state as the node that other reasoners make."""
        went_on = set(self.parents)
        nodes = []
        for index, (parent, move) in enumerate(zip(self.parents, self.moves, strict=True)):
            left = self.left(index)
            text = self.task.line(Step(*move), self.style) if move else ""
            visits = int(index in went_on or len(left) == 1)
            verdict = self.verdicts.get(index)
            nodes.append(Node(parent, text, left, visits=visits, verdict=verdict))
        return nodes

    def __len__(self) -> int:
        return len(self.moves)

    def __getitem__(self, index: Any) -> Any:
        return self.nodes[index]


def solution(name: str, tree: StateTree, ends: Sequence[int], watch: Watch | None) -> Solution:
    """The solution whose attempts are the paths to these states; the first is chosen."""
    attempts = [tree.attempt(index) for index in ends]
    choices = {name: 0 if attempts else None}
    found = Solution(tree.problem, attempts, choices, tree)
    if watch:
        watch(found.problem, found.tree)
    return found

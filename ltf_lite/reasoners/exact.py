"""What the engine-free reasoners share: the tree of states they reached, and their solution."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from ltf_lite.reasoners.base import Attempt, Node, Solution, Watch, attempt_of
from ltf_lite.tasks import NumbersGame, Problem, Verdict
from ltf_lite.tasks.solver import Move, State
from ltf_lite.tasks.text import Step

NODES = 200_000  # in a tree with so many states no further state is expanded
PAUSE = 0.1  # seconds between two looks at a tree that grows …
SHARE = 10  # … or so many times what the last look took, if that is more


class StateTree(Sequence[Node]):
    """The states that a search reached, as parents and moves; read as a sequence of nodes.

    A node is made when it is read: a harvest reads none, and to write the text of them all takes
    longer than to find them. Its `visits` is 1 where the search went on from the state or was at an
    end with it, 0 where it only saw it. `watch` looks at the tree now and then as it grows.
    """

    def __init__(self, task: NumbersGame, problem: Problem, style: str, watch: Watch | None = None):
        self.watch, self._next_look = watch, time.monotonic() + PAUSE
        self._went_on: tuple[int, set[int | None]] = 0, set()  # of so many states
        self._nodes: list[Node] = []  # all of them, once they are read one after the other
        self.task, self.problem, self.style = task, problem, style
        self.parents: list[int | None] = [None]
        self.moves: list[Move | None] = [None]
        self.verdicts: dict[int, Verdict] = {}

    def add(self, parent: int, move: Move) -> int:
        """The index of a new state."""
        self.parents.append(parent)
        self.moves.append(move)
        return len(self.moves) - 1

    def show(self) -> None:
        """Let the watch look, if it has not for a while; it may raise Stopped."""
        if self.watch and (began := time.monotonic()) >= self._next_look:
            self.watch(self.problem, self)
            ended = time.monotonic()
            self._next_look = ended + max(PAUSE, SHARE * (ended - began))

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
        self.verdicts[index], self._nodes = attempt.verdict, []
        return attempt

    def _node(self, index: int) -> Node:
        """A state as the node that other reasoners make."""
        if self._went_on[0] != len(self):
            self._went_on = len(self), set(self.parents)
        move, left = self.moves[index], self.left(index)
        text = self.task.line(Step(*move), self.style) if move else ""
        visits = int(index in self._went_on[1] or len(left) == 1)
        verdict = self.verdicts.get(index)
        return Node(self.parents[index], text, left, visits=visits, verdict=verdict)

    def __len__(self) -> int:
        return len(self.moves)

    def __iter__(self) -> Iterator[Node]:
        if len(self._nodes) != len(self):
            self._nodes = [self._node(k) for k in range(len(self))]
        return iter(self._nodes)

    def __getitem__(self, index: Any) -> Any:
        if len(self._nodes) == len(self):
            return self._nodes[index]
        places = range(len(self))[index]
        return self._node(places) if isinstance(places, int) else [self._node(k) for k in places]


def solution(name: str, tree: StateTree, ends: Sequence[int]) -> Solution:
    """The solution whose attempts are the paths to these states; the first is chosen."""
    attempts = []
    for index in ends:
        tree.show()
        attempts.append(tree.attempt(index))
    choices = {name: 0 if attempts else None}
    found = Solution(tree.problem, attempts, choices, tree)
    if tree.watch:
        tree.watch(found.problem, found.tree)
    return found

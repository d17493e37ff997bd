"""What the reasoners that ask no model share: the tree of states that a solver's moves reach."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ltf_lite.reasoners.base import Attempt, Node, Reasoner, Watch, attempt_of
from ltf_lite.reasoners.choice import Choice
from ltf_lite.tasks import Problem, Solver, Task, Verdict
from ltf_lite.tasks.contract import State

NODES = 200_000  # in a tree with so many states no further state is expanded
PAUSE = 0.1  # seconds between two looks at a tree that grows


class StateTree(Sequence[Node]):
    """The states that a search reached, as parents and moves; read as a sequence of nodes.

    A node is made when it is read: a harvest reads none, and to write the text of them all takes
    longer than to find them. Its `visits` is 1 where the search went on from the state or was at an
    end with it, 0 where it only saw it. `watch` looks at the tree now and then as it grows. It is
    the growth of a reasoner that asks no model, and its own tree.
    """

    def __init__(self, problem: Problem, task: Any, dialect: str, seed: int) -> None:
        self.problem, self.task, self.dialect = problem, task, dialect
        self.rng = random.Random(f"{seed}:{problem.id}")
        self.watch: Watch | None = None
        self.attempts: list[Attempt] = []
        self.parents: list[int | None] = [None]
        self.moves: list[Any] = [None]
        self.verdicts: dict[int, Verdict] = {}
        self._start = task.start(problem)
        self._next_look = time.monotonic() + PAUSE
        self._went_on: tuple[int, set[int | None]] = 0, set()  # of so many states
        self._nodes: list[Node] = []  # all of them, once they are read one after the other

    @property
    def tree(self) -> StateTree:
        return self

    def add(self, parent: int, move: Any) -> int:
        """The index of a new state."""
        self.parents.append(parent)
        self.moves.append(move)
        return len(self.moves) - 1

    def show(self) -> None:
        """Let the watch look, if it has not for a while; it may raise Stopped."""
        if self.watch and time.monotonic() >= self._next_look:
            self.watch(self.problem, self)
            self._next_look = time.monotonic() + PAUSE

    @property
    def full(self) -> bool:
        """Whether the search must end here."""
        return len(self.moves) >= NODES

    def left(self, index: int) -> State:
        """The state at an index."""
        move = self.moves[index]
        return move.left if move else self._start

    def options(self, index: int) -> Sequence[Any]:
        """Every legal move from a state."""
        return self.task.moves(self.problem, self.left(index))

    def path(self, index: int) -> list[Any]:
        """The moves from the problem to a state."""
        path: list[Any] = []
        while (move := self.moves[index]) is not None:
            path.append(move)
            index = self.parents[index] or 0
        return path[::-1]

    def keep(self, ends: Sequence[int]) -> None:
        """Write and verify the paths to these states."""
        for index in ends:
            self.show()
            text = self.task.write(self.problem, self.path(index), self.dialect)
            attempt = attempt_of(self.task, self.problem, text, node=index)
            self.verdicts[index], self._nodes = attempt.verdict, []
            self.attempts.append(attempt)

    def _node(self, index: int) -> Node:
        """A state as the node that other reasoners make."""
        if self._went_on[0] != len(self):
            self._went_on = len(self), set(self.parents)
        move, left = self.moves[index], self.left(index)
        text = self.task.line(move, self.dialect) if move else ""
        visits = int(index in self._went_on[1] or self.task.finished(self.problem, left))
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


class Exact(Reasoner):
    """A reasoner that asks no model and needs a task that knows its moves."""

    asks_model: ClassVar[bool] = False
    needs: ClassVar[tuple[type, ...]] = (Solver,)

    def begin(self, problem: Problem, task: Task, dialect: str, seed: int) -> StateTree:
        return StateTree(problem, task, dialect, seed)

    def choices(self, growth: StateTree) -> dict[Choice, int | None]:
        return {Choice("search", picker="solver"): 0 if growth.attempts else None}

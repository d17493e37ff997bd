"""What every reasoner shares: the tree it searched, an attempt, and the solution with both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ltf_lite.engines import Engine
from ltf_lite.tasks import NumbersGame, Path, Problem, Verdict
from ltf_lite.tasks.solver import State


@dataclass(slots=True)
class Node:
    """One state of a search. Node 0 is the problem itself, with no parent and no step.

    `text` is the step's line that leads here and `state` the numbers left after it, None where the
    step leads nowhere. `value` is what the reasoner thinks of it and `logprob` the model's log p of
    the step's `length` tokens, nats; None where it was never asked. `tokens` were generated and
    `seconds` of engine time spent to expand and to judge this node; their sums over a tree are the
    whole cost. `verdict` is set where a path ends.
    """

    parent: int | None
    text: str = ""
    state: State | None = None
    value: float | None = None
    logprob: float | None = None
    visits: int = 0
    tokens: int = 0
    seconds: float = 0.0
    verdict: Verdict | None = None
    length: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The node for JSON; numbers that are no whole ones become text."""
        state = self.state and [n if isinstance(n, int) else str(n) for n in self.state]
        verdict = self.verdict and self.verdict.as_dict()
        return {
            "parent": self.parent, "text": self.text, "state": state, "value": self.value,
            "visits": self.visits, "logprob": self.logprob, "length": self.length,
            "tokens": self.tokens, "seconds": self.seconds, "verdict": verdict,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """One path as text, its verdict, and the node of the tree where it ends.

    `logprob` is nats, of its `tokens`; None and 0 where no model wrote it or none was asked.
    """

    text: str
    path: Path
    verdict: Verdict
    node: int = 0
    tokens: int = 0
    logprob: float | None = None
    finished: bool = True
    beyond: str = ""


@dataclass
class Solution:
    """Everything a reasoner found for one problem.

    `choices` maps a way of choosing (`greedy`, `self-consistency@32`, `tot`, …) to the index of the
    attempt it chose, None where it chose nothing. `sample` stands for no choice: its success is
    the mean over the attempts. An `oracle` (or `oracle@n`) is left to whoever counts verdicts.
    """

    problem: Problem
    attempts: list[Attempt]
    choices: dict[str, int | None]
    tree: Sequence[Node] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens generated for this problem."""
        return sum(node.tokens for node in self.tree)

    @property
    def seconds(self) -> float:
        """This problem's share of the engine's time."""
        return sum(node.seconds for node in self.tree)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON: the whole tree, every attempt with its verdict, the choices."""
        return {
            "problem": self.problem.as_dict(),
            "choices": self.choices,
            "attempts": [
                {"text": a.text, "node": a.node, "tokens": a.tokens, "logprob": a.logprob,
                 "finished": a.finished, "beyond": a.beyond, "verdict": a.verdict.as_dict()}
                for a in self.attempts
            ],
            "tree": [node.as_dict() for node in self.tree],
            "tokens": self.tokens,
            "seconds": self.seconds,
        }  # fmt: skip


# Called whenever a problem's tree has grown; raises Stopped to end the search.
Watch = Callable[[Problem, Sequence[Node]], None]


class Reasoner(Protocol):
    """Solves many problems together; `needs_engine` says whether a model is asked at all."""

    name: str
    needs_engine: bool

    def solve(
        self,
        problems: Sequence[Problem],
        task: NumbersGame,
        engine: Engine | None,
        seed: int,
        watch: Watch | None = None,
    ) -> Iterator[Solution]: ...


def attempt_of(task: NumbersGame, problem: Problem, text: str, **facts: Any) -> Attempt:
    """The attempt that a text is: read and verified here, once."""
    path = task.parse(problem, text)
    return Attempt(text, path, task.verify(problem, path), **facts)


def path_to(tree: Sequence[Node], index: int) -> list[int]:
    """The nodes from the first step to this one; empty for the problem itself."""
    way: list[int] = []
    at: int | None = index
    while at:
        way.append(at)
        at = tree[at].parent
    return way[::-1]

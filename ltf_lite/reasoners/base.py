"""What every reasoner shares: the tree it searched, its attempts, the solution with both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.plugins import Plugin, Settings
from ltf_lite.reasoners.choice import Choice
from ltf_lite.tasks import Path, Problem, Task, Verdict
from ltf_lite.tasks.contract import POWERS, Grammars, State, Written
from ltf_lite.tasks.steps import steps_of


class ReasonerError(LtfError, ValueError):
    """A reasoner that cannot work on a task."""

    code = USAGE


@dataclass(slots=True)
class Node:
    """One state of a search. Node 0 is the problem itself, with no parent and no step.

    `text` is the step's line that leads here and `state` the task's state after it, None where the
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
        """The node for JSON; parts of a state that are no whole numbers become text."""
        state = self.state and [n if isinstance(n, int) else str(n) for n in self.state]
        return {
            "parent": self.parent,
            "text": self.text,
            "state": state,
            "value": self.value,
            "visits": self.visits,
            "logprob": self.logprob,
            "length": self.length,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "verdict": self.verdict and self.verdict.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One path as text, its verdict, and the node of the tree where it ends.

    The lines are not kept: of a whole state space they are many times what the texts are.

    `logprob` is nats, of its `tokens`; None and 0 where no model wrote it or none was asked.
    """

    text: str
    verdict: Verdict
    node: int = 0
    tokens: int = 0
    logprob: float | None = None
    finished: bool = True
    beyond: str = ""


@dataclass
class Solution:
    """Everything a reasoner found for one problem.

    `choices` maps a way of choosing to the index of the attempt it chose, None where it chose
    nothing. A `sample` and an `oracle` choose nothing: whoever counts verdicts knows them.
    """

    problem: Problem
    attempts: list[Attempt]
    choices: dict[Choice, int | None]
    tree: Sequence[Node] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens generated for this problem."""
        return sum(node.tokens for node in self.tree)

    @property
    def seconds(self) -> float:
        """This problem's share of the engine's time."""
        return sum(node.seconds for node in self.tree)

    def chosen(self, kind: str) -> Attempt | None:
        """The attempt that a kind of choice chose; None where it chose nothing."""
        found = (k for choice, k in self.choices.items() if choice.kind == kind and k is not None)
        index = next(found, None)
        return None if index is None else self.attempts[index]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON: the whole tree, every attempt with its verdict, the choices."""
        return {
            "problem": self.problem.as_dict(),
            "choices": [
                {"kind": c.kind, "n": c.n, "tokens": c.tokens, "picker": c.picker, "attempt": k}
                for c, k in self.choices.items()
            ],
            "attempts": [
                {
                    "text": a.text,
                    "node": a.node,
                    "tokens": a.tokens,
                    "logprob": a.logprob,
                    "finished": a.finished,
                    "beyond": a.beyond,
                    "verdict": a.verdict.as_dict(),
                }
                for a in self.attempts
            ],
            "tree": [node.as_dict() for node in self.tree],
            "tokens": self.tokens,
            "seconds": self.seconds,
        }


# Called whenever a problem's tree has grown; raises Stopped to end the search.
Watch = Callable[[Problem, Sequence[Node]], None]


class Growth:
    """One problem while it is searched: its tree so far, and what the reasoner notes beside it.

    `watch` looks at the tree of a reasoner that asks no model; the others are watched by rounds.
    """

    watch: Watch | None = None

    def __init__(self, problem: Problem, task: Task, dialect: str) -> None:
        self.problem, self.task, self.dialect = problem, task, dialect
        self.steps = steps_of(task)
        self.tree: Any = [Node(None, state=self.steps.start(problem))]
        self.attempts: list[Attempt] = []

    def attempt(self, text: str, **facts: Any) -> Attempt:
        """The attempt that a text is, verified."""
        return attempt_of(self.task, self.problem, text, **facts)

    def path(self, attempt: Attempt) -> Path:
        """The lines of an attempt."""
        return self.task.parse(self.problem, attempt.text)


Search = Generator[Any, Any, None]  # yields wishes of the model, is sent what they brought


class Budget(Settings):
    """The most tokens that a reasoner may generate a problem."""

    tokens: int = Field(gt=0)


class Reasoner(Plugin):
    """How one problem is searched. Its fields are its settings, as a preset has them.

    `problems` limits it to the first so many. A reasoner that asks a model writes its search for
    one problem as a generator of wishes (`lockstep`), and many problems share the engine's calls.
    One that asks none grows its tree by itself. `needs` are the powers a task must have.
    """

    asks_model: ClassVar[bool] = True
    grows_tree: ClassVar[bool] = False
    needs: ClassVar[tuple[type, ...]] = ()

    name: str
    problems: int | None = Field(None, gt=0)
    budget: Budget | None = None

    @abstractmethod
    def search(self, growth: Any) -> Search:
        """Search the problem of a growth."""

    @abstractmethod
    def choices(self, growth: Any) -> dict[Choice, int | None]:
        """What each way of choosing takes of `growth.attempts`, once the search is over."""

    def begin(self, problem: Problem, task: Task, dialect: str, seed: int) -> Any:
        """What the search of a problem starts from."""
        return Growth(problem, task, dialect)

    def unasked(self) -> Reasoner:
        """The same reasoner for a model that answers no questions and only goes on with paths."""
        return self

    def settings(self) -> dict[str, Any]:
        """The settings that differ from their defaults, without `name` and `problems`."""
        own = self.model_dump(exclude={"name", "problems"}, exclude_defaults=True)
        return {k: v["tokens"] if k == "budget" else v for k, v in own.items()}

    @property
    def label(self) -> str:
        """Name and settings for a person: equal for equal settings, and never read back."""
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.settings().items())])

    @property
    def powers(self) -> tuple[type, ...]:
        """The powers a task must have for these settings."""
        return self.needs

    @property
    def unlimited(self) -> Any:
        """The same reasoner without a budget."""
        return self.model_copy(update={"budget": None})

    @property
    def single_pass(self) -> bool:
        """Whether this is one greedy chain of thought, as long as it likes."""
        return False


class Writing(Reasoner):
    """A reasoner that has a model write.

    `grammar` lets the model write only what has the form of what it is asked, as the task's
    grammars say it: form alone, never arithmetic or legality.
    """

    grammar: bool = False

    @property
    def powers(self) -> tuple[type, ...]:
        return (*self.needs, Grammars) if self.grammar else self.needs

    def form(self, growth: Any, what: Written) -> str:
        """The grammar of what the model is asked; empty where it may write anything."""
        if not self.grammar:
            return ""
        found: str = growth.task.grammar(growth.problem, what, growth.dialect)
        return found


def check_powers(reasoner: Reasoner, task: Task, others: Sequence[type[Reasoner]] = ()) -> None:
    """Refuse a reasoner that needs a power the task lacks; raises ReasonerError.

    `others` are all reasoners, of which those that could work are named.
    """
    lacking = [power for power in reasoner.powers if not isinstance(task, power)]
    if lacking == [Grammars]:
        raise ReasonerError(
            f"{reasoner.name} with `grammar: true` needs {POWERS[Grammars]}, which {task.name} has "
            "none of; leave `grammar` out"
        )
    if lacking:
        able = [
            other.model_fields["name"].default
            for other in others
            if other.asks_model and all(isinstance(task, power) for power in other.needs)
        ]
        *most, last = able or ["another task"]
        way = f"{', '.join(most)} or {last}" if most else last
        raise ReasonerError(
            f"{reasoner.name} needs {POWERS[lacking[0]]}, which {task.name} has none of; use {way}"
        )


def attempt_of(task: Task, problem: Problem, text: str, **facts: Any) -> Attempt:
    """The attempt that a text is, verified; the task hears where the token limit ended it."""
    verdict = task.verify(problem, task.parse(problem, text))
    if not facts.get("finished", True):
        verdict = task.cut_off(verdict)
    return Attempt(text, verdict, **facts)


def path_to(tree: Sequence[Node], index: int) -> list[int]:
    """The nodes from the first step to this one; empty for the problem itself."""
    way: list[int] = []
    at: int | None = index
    while at:
        way.append(at)
        at = tree[at].parent
    return way[::-1]

"""One answer under way: what its engine and its search tell, as snapshots for whoever watches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from ltf_lite.app.answer.ask import Way, way_of, written
from ltf_lite.app.answer.pool import Pool
from ltf_lite.core.errors import LONGEST, LtfError
from ltf_lite.core.pace import paced
from ltf_lite.engines import Engine, Stopped, Usage
from ltf_lite.reasoners import Node, Solution, able, attempt_of, path_to, solve
from ltf_lite.tasks import Problem, Task, Verdict
from ltf_lite.tasks.room import within
from ltf_lite.tasks.steps import steps_of

NODES = 2000  # of a tree in a snapshot
TEXT = 2000  # characters of what is being written

State = Literal["waiting", "loading", "running", "done", "stopped", "failed"]


class Side(NamedTuple):
    """Who answers, and how: a model, the name of a way, its settings as a preset has them."""

    model: str
    way: str
    settings: Mapping[str, Any] = MappingProxyType({})
    seed: int = 0


@dataclass(frozen=True)
class Snapshot:
    """One side at one moment; nothing in it changes later.

    `tree` are the nodes first found, at most `NODES`, the chosen path always among them; `hidden`
    are the others. `text` is what is being written, then what was chosen. `seconds` are since the
    model was asked, `first_token` too; `tokens` were generated in `calls` of the engine, by this
    answer alone. `paths` have ended, of which the verifier finds `right` right. `chosen` is the
    node of `tree` where the answer ends, `verdict` what the verifier says of it (where nothing was
    chosen, of an empty path), and `lines` are the answer's own, which `verdict.fatal_step` counts.
    `taken` are the characters of `text` that were taken as the answer, where the task tells them.
    While it waits for its model, `ahead` others are answered before.
    `error` is the sentence of a side that failed. `runtime` is the engine's: times of two runtimes
    say nothing about two ways of answering.
    """

    side: Side
    state: State
    tree: Sequence[Node]
    text: str = ""
    seconds: float = 0.0
    first_token: float | None = None
    tokens: int = 0
    calls: int = 0
    paths: int = 0
    right: int = 0
    chosen: int | None = None
    verdict: Verdict | None = None
    lines: tuple[str, ...] = ()
    taken: tuple[int, int] | None = None
    error: str = ""
    hidden: int = 0
    runtime: str = ""
    ahead: int = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Generated tokens a second of the answer so far; None before the first."""
        return self.tokens / self.seconds if self.tokens and self.seconds else None


def check(side: Side, task: Task) -> Way:
    """The way of a side; raises LtfError that names the way, the setting or the power lacking."""
    way = way_of(side.way, side.settings)
    able(way.reasoner, task)
    return way


def before(problem: Problem, task: Task, side: Side) -> Snapshot:
    """The snapshot of a side that has not begun."""
    return Snapshot(side, "waiting", (Node(None, state=steps_of(task).start(problem)),))


def cut(tree: Sequence[Node], chosen: int | None) -> tuple[tuple[Node, ...], int | None]:
    """Copies of the nodes found first, `NODES` at most, and the place of the chosen one.

    What leads to the chosen node is always among them.
    """
    way = [] if chosen is None else path_to(tree, chosen)
    kept = range(len(tree))
    if len(tree) > NODES:
        room = NODES - len(way)
        kept = [*range(room), *(k for k in way if k >= room)]  # type: ignore[assignment]
    places = {index: place for place, index in enumerate(kept)}
    nodes = (tree[index] for index in kept)
    copies = tuple(
        replace(node, parent=None if node.parent is None else places[node.parent]) for node in nodes
    )
    return copies, None if chosen is None else places[chosen]


class Answering:
    """Answers one problem in a thread of its own, and keeps the latest snapshot for another.

    It is the engine's listener and the search's watch. `changed` is notified of every snapshot.
    """

    def __init__(
        self, problem: Problem, task: Task, side: Side, stopped: Callable[[], bool]
    ) -> None:
        self.problem, self.task, self.side, self.stopped = problem, task, side, stopped
        self.changed = threading.Condition()
        self.latest = before(problem, task, side)
        self.began: float | None = None
        self._steps = steps_of(task)
        self._tree: Sequence[Node] = self.latest.tree
        self._dialect: str | None = None  # of the engine, where one is asked
        self._runtime = ""
        self._usage, self._before = Usage(), Usage()  # the engine's, now and before it was asked
        self._tokens = 0  # of the engine call under way
        self._texts: Callable[[], list[str]] = list
        self._first: float | None = None
        self._verdicts: dict[int, Verdict] = {}
        self._tell_often = paced(lambda: self._tell("running"))

    def work(self, pool: Pool) -> None:
        """Answer, to whatever end; raises nothing."""
        try:
            way = check(self.side, self.task)
            if not way.reasoner.asks_model:
                self._solve(way, None)
                return
            loading = lambda: self._tell("loading")  # noqa: E731
            waiting = lambda ahead: self._tell("waiting", ahead=ahead)  # noqa: E731
            with pool.borrow(self.side.model, self.stopped, loading, waiting) as engine:
                self._solve(way, engine)
        except Stopped:
            self._tell("stopped")
        except BaseException as error:  # whoever watches has to see an end
            self._tell("failed", error=_sentence(error))

    def _solve(self, way: Way, engine: Engine | None) -> None:
        if self.stopped():
            raise Stopped
        if engine is not None:
            engine.clear()  # or this answer would be quicker for what the last one computed
            engine.listener = self
            self._dialect, self._runtime = engine.dialect.name, engine.runtime
            self._usage, self._before = engine.usage, replace(engine.usage)
            self.task = within(self.task, getattr(engine, "context", None))
        self.began = time.perf_counter()
        self._tell("running")
        try:
            asked = [self.problem], self.task, engine, self.side.seed, self.watch, written(engine)
            (solution,) = solve(way.reasoner, *asked)
        finally:
            if engine is not None:
                engine.listener = None
                self._usage = replace(engine.usage)  # it goes back to others
        self._finish(way, solution, time.perf_counter() - self.began)

    def _finish(self, way: Way, solution: Solution, seconds: float) -> None:
        """The last snapshot of an answer that came to its end."""
        _, index = way.choose(solution)
        nothing = attempt_of(self.task, self.problem, "")
        found = nothing if index is None else solution.attempts[index]
        path = self.task.parse(self.problem, found.text)
        answer = path.answer
        self._tree, self._tokens = solution.tree, 0
        self._tell(
            "done",
            None if index is None else found.node,
            text=found.text,
            seconds=seconds,
            verdict=found.verdict,
            lines=tuple(line.text for line in path.all_lines()),
            taken=None if answer is None else (answer.decision, answer.decision_end),
            paths=len(solution.attempts),
            right=sum(attempt.verdict.correct for attempt in solution.attempts),
        )

    # -- what the engine and the search say --------------------------------------------------

    def heard(self, tokens: int, texts: Callable[[], list[str]]) -> None:
        """The engine has generated so many tokens in this call."""
        if tokens and self._first is None and self.began is not None:
            self._first = time.perf_counter() - self.began
        self._tokens, self._texts = tokens, texts
        self._tell_often()

    def watch(self, _: Problem, tree: Sequence[Node]) -> None:
        """The tree has grown, after an engine call or beside it; raises Stopped."""
        self._tree, self._tokens = tree, 0
        if self.stopped():
            raise Stopped
        self._tell_often()

    # -- what is told ------------------------------------------------------------------------

    def _tell(self, state: State, chosen: int | None = None, **facts: Any) -> None:
        """Make a snapshot the latest one."""
        tree, node = cut(self._tree, chosen)
        known = self._facts(tree) | facts
        hidden = len(self._tree) - len(tree)
        snapshot = Snapshot(self.side, state, tree, chosen=node, hidden=hidden, **known)
        with self.changed:
            self.latest = snapshot
            self.changed.notify_all()

    def _facts(self, tree: Sequence[Node]) -> dict[str, Any]:
        """What an answer under way has come to."""
        paths, right = self._judge(tree)
        return {
            "text": "\n".join(text.rstrip() for text in self._texts() if text)[:TEXT],
            "seconds": 0.0 if self.began is None else time.perf_counter() - self.began,
            "first_token": self._first,
            "runtime": self._runtime,
            "tokens": self._usage.tokens_out - self._before.tokens_out + self._tokens,
            "calls": self._usage.calls - self._before.calls,
            "paths": paths,
            "right": right,
        }

    def _judge(self, tree: Sequence[Node]) -> tuple[int, int]:
        """How many paths a model's search has ended, and how many of them are right.

        Their last nodes get the verdict that the search gives them at its own end.
        """
        if self._dialect is None:
            return 0, 0
        parents = {node.parent for node in tree}
        for index, node in enumerate(tree):
            if node.verdict is None and index not in parents and self._over(node):
                node.verdict = self._verdict(tree, index, self._dialect)
        found = [node.verdict for node in tree if node.verdict]
        return len(found), sum(verdict.correct for verdict in found)

    def _over(self, node: Node) -> bool:
        """Whether a path ends here: its step leads nowhere, or it has its answer."""
        return node.state is None or self._steps.finished(self.problem, node.state)

    def _verdict(self, tree: Sequence[Node], index: int, dialect: str) -> Verdict:
        if index not in self._verdicts:
            lines = [tree[k].text for k in path_to(tree, index)]
            text = self._steps.joined(lines, dialect, tree[index].state is not None)
            self._verdicts[index] = attempt_of(self.task, self.problem, text).verdict
        return self._verdicts[index]


def _sentence(error: BaseException) -> str:
    """One line for the page: our own errors as they are, others by their type."""
    if isinstance(error, LtfError):
        return str(error)
    text = " ".join(str(error).split())[:LONGEST]
    return f"the answer broke off: {type(error).__name__}{': ' if text else ''}{text}"

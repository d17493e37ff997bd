"""What tree of thoughts and RAP share: expanding a state, judging it, and what a tree comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ltf_lite.engines import Completion, Sampling
from ltf_lite.reasoners.base import Attempt, Node, Solution, attempt_of, path_to
from ltf_lite.reasoners.lockstep import Generate, Rate, Search
from ltf_lite.tasks import NumbersGame, Problem

MOST = 200  # characters; a longer line is no step, and only its beginning is kept


@dataclass(frozen=True)
class Thoughts:
    """Settings of a tree search.

    `expand`: next steps come from `samples` lists of proposals (`propose`) or from `samples` next
    lines of a chain of thought (`sample`). `votes` judgements are averaged. `transitions`:
    `checked`, a step whose arithmetic or bookkeeping is wrong is a dead end, decided by the task;
    `faithful`, what the model wrote is believed. `oracle` lets the verifier choose among the
    answers instead of the model's values. `max_tokens` a call are by default what the task finds
    enough; `budget` is the most tokens generated a problem.
    """

    expand: str = "propose"
    samples: int = 3
    votes: int = 3
    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int | None = None
    transitions: str = "checked"
    oracle: bool = False
    budget: int | None = None


@dataclass
class Growth:
    """One problem's tree while it grows, and what its reasoner wants of the model."""

    settings: Thoughts
    task: NumbersGame
    problem: Problem
    style: str
    tree: list[Node] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=lambda: [[]])
    depth: list[int] = field(default_factory=lambda: [0])
    known: dict[Any, int] = field(default_factory=dict)
    judged: dict[Any, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree.append(Node(None, state=self.task.start(self.problem)))
        self.prompt = self.task.prompt(self.problem, self.style)

    @property
    def full(self) -> int:
        """Steps of a finished path."""
        return len(self.problem.numbers) - 1

    def dead(self, node: int) -> bool:
        return self.tree[node].state is None

    def finished(self, node: int) -> bool:
        """Whether a path ends here with an answer, right or wrong."""
        state = self.tree[node].state
        return state is not None and (len(state) == 1 or self.depth[node] == self.full)

    def hopeful(self, node: int) -> list[int]:
        """The children whose steps could be taken."""
        return [child for child in self.children[node] if not self.dead(child)]

    def finished_beside(self, node: int) -> list[int]:
        """A finished path's end and its siblings' that are ends too; none if it is not finished."""
        parent = self.tree[node].parent
        siblings = [] if parent is None else self.hopeful(parent)
        return [k for k in siblings if self.finished(k)] if self.finished(node) else []

    def lines(self, node: int) -> list[str]:
        return [self.tree[k].text for k in path_to(self.tree, node)]

    def thought(self, node: int) -> str:
        """The chain of thought so far, as the model would go on with it."""
        return self.prompt + self.task.joined(self.lines(node), self.style, False)

    def _sampling(self, n: int, temperature: float, stop: tuple[str, ...] = ()) -> Sampling:
        own, task = self.settings, self.task
        most = own.max_tokens or task.room(self.problem, self.style)
        return Sampling(n, temperature, own.top_p, most, stop or tuple(task.stop(self.style)))

    # -- expanding ---------------------------------------------------------------------------

    def expand(self, nodes: list[int]) -> Search:
        """Give each of these nodes the children that the model thinks of."""
        own, style = self.settings, self.style
        propose = own.expand == "propose"
        if propose:
            prompts = [
                self.task.propose_prompt(self.problem, self.tree[k].state or (), style)
                for k in nodes
            ]
        else:
            prompts = [self.thought(k) for k in nodes]
        sampling = self._sampling(own.samples, own.temperature, () if propose else ("\n",))
        found = yield Generate(nodes, prompts, sampling)
        for node, completions in zip(nodes, found, strict=True):
            for completion in completions:
                for line in _lines(completion) if propose else [completion.text]:
                    child = self.add(node, line)
                    if not propose and self.tree[child].logprob is None:
                        self.tree[child].logprob = completion.logprob
                        self.tree[child].length = completion.tokens

    def add(self, parent: int, line: str) -> int:
        """The child that this line leads to: a new one, unless a sibling is the same thought."""
        line, state, before = line.strip(), None, self.tree[parent].state
        step = self.task.step(line) if len(line) <= MOST else None
        if step is not None and before is not None:
            if self.settings.transitions == "checked":
                state = self.task.legal(before, step)
            elif len(step.left) == len(before) - 1:
                state = step.left
        if state is not None and step is not None:
            line = self.task.line(step, self.style)
        line = line[:MOST]
        key = (parent, line if state is None else self._thought_key(step, state))
        if key not in self.known:
            self.known[key] = len(self.tree)
            self.children[parent].append(len(self.tree))
            self.children.append([])
            self.depth.append(self.depth[parent] + 1)
            self.tree.append(Node(parent, line, state))
        return self.known[key]

    @staticmethod
    def _thought_key(step: Any, state: Any) -> Any:
        """Equal for steps that only differ in the order of their operands or of what is left."""
        operands = sorted((step.a, step.b)) if step.op in "+*" else (step.a, step.b)
        return (*operands, step.op, *sorted(state))

    # -- judging -----------------------------------------------------------------------------

    def judge(self, nodes: list[int]) -> Search:
        """Ask the model how good these states are; `judgement` has what it said."""
        wanted: dict[Any, int] = {}
        for node in nodes:
            if not self.dead(node) and self._state_key(node) not in self.judged:
                wanted.setdefault(self._state_key(node), node)
        if not wanted:
            return
        own, payers = self.settings, list(wanted.values())
        stop = tuple(self.task.value_stop(self.style))
        sampling = self._sampling(own.votes, own.temperature if own.votes > 1 else 0.0, stop)
        found = yield Generate(payers, [self._question(k) for k in payers], sampling)
        for key, votes in zip(wanted, found, strict=True):
            values = [self.task.read_value(completion.text) for completion in votes]
            self.judged[key] = fmean(0.0 if value is None else value for value in values)

    def judgement(self, node: int) -> float:
        """The mean vote for a judged state, from 0 to 1; 0 for a step that leads nowhere."""
        return 0.0 if self.dead(node) else self.judged[self._state_key(node)]

    def _state_key(self, node: int) -> Any:
        """What a judgement depends on: the numbers left, or the answer where a path ends."""
        return self._question(node) if self.finished(node) else self.tree[node].state

    def _question(self, node: int) -> str:
        steps = [self.task.step(line) for line in self.lines(node)] if self.finished(node) else []
        return self.task.value_prompt(
            self.problem, self.tree[node].state or (), self.style, [s for s in steps if s]
        )

    def weigh(self, nodes: list[int]) -> Search:
        """Have the model say how likely it finds the steps to these nodes, where it has not yet."""
        nodes = [k for k in nodes if self.tree[k].logprob is None]
        if not nodes:
            return
        heads = [self.thought(self.tree[k].parent or 0) for k in nodes]
        found = yield Rate(nodes, heads, [self.tree[k].text + "\n" for k in nodes])
        for node, score in zip(nodes, found, strict=True):
            self.tree[node].logprob, self.tree[node].length = score.logprob, score.tokens

    def likelihood(self, node: int) -> float:
        """Geometric mean of p over the tokens of the step; 0 where it was never asked."""
        own = self.tree[node]
        return 0.0 if own.logprob is None else math.exp(own.logprob / max(1, own.length))

    def roll_out(self, nodes: list[int]) -> Search:
        """Set the value of these nodes to the mean judgement of where the model's own ways end.

        What is rolled out becomes part of the tree.
        """
        own = self.settings
        ends: dict[int, list[int]] = {k: [k] for k in nodes if self.dead(k) or self.finished(k)}
        start = [k for k in nodes if k not in ends]
        if start:
            sampling = self._sampling(own.votes, own.temperature)
            found = yield Generate(start, [self.thought(k) for k in start], sampling)
            for node, completions in zip(start, found, strict=True):
                ends[node] = [self._follow(node, _lines(c)) for c in completions]
        finished = sorted({end for row in ends.values() for end in row if self.finished(end)})
        yield from self.judge(finished)
        for end in finished:
            self.tree[end].value = self.judgement(end)
        for node in nodes:
            self.tree[node].value = fmean(
                self.judgement(end) if self.finished(end) else 0.0 for end in ends[node]
            )

    def _follow(self, node: int, lines: list[str]) -> int:
        """The node at the end of these lines, or where the first of them leads nowhere."""
        for line in lines:
            if self.dead(node) or self.finished(node):
                break
            node = self.add(node, line)
        return node

    # -- what it comes to --------------------------------------------------------------------

    def solution(self, name: str, worth: Mapping[int, Any]) -> Solution:
        """Every path that ended, and the answer worth most; worth nothing is no answer."""
        ends = [k for k in range(1, len(self.tree)) if self.dead(k) or self.finished(k)]
        attempts = [self._attempt(k) for k in ends]
        for attempt in attempts:
            self.tree[attempt.node].verdict = attempt.verdict
        answers = [i for i, k in enumerate(ends) if self.finished(k) and k in worth]
        best = max(answers, key=lambda i: worth[ends[i]], default=None)
        if self.settings.oracle:
            right = (i for i, attempt in enumerate(attempts) if attempt.verdict.correct)
            best, name = next(right, best), f"oracle {name}"
        return Solution(self.problem, attempts, {name: best, "oracle": None}, self.tree)

    def right(self, node: int) -> bool:
        """What the verifier says of a finished path: only for an `oracle`."""
        return self._attempt(node).verdict.correct

    def _attempt(self, node: int) -> Attempt:
        text = self.task.joined(self.lines(node), self.style, self.finished(node))
        way = [self.tree[k] for k in path_to(self.tree, node)]
        known = [each.logprob for each in way if each.logprob is not None]
        total = sum(known) if len(known) == len(way) else None
        tokens = sum(each.length for each in way)
        return attempt_of(self.task, self.problem, text, node=node, tokens=tokens, logprob=total)


def _lines(completion: Completion) -> list[str]:
    """The lines of a completion; a last one that was cut off only where it is all there is."""
    lines = [line for line in completion.text.split("\n") if line.strip()]
    whole = completion.finished or completion.text.endswith("\n") or len(lines) < 2
    return lines if whole else lines[:-1]

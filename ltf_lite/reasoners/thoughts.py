"""What tree of thoughts and RAP share: expanding a state, judging it, and what a tree comes to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator
from dataclasses import replace
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from ltf_lite.engines import Completion, Prompt, Sampling
from ltf_lite.reasoners.base import Attempt, Growth, Node, Search, Writing, path_to
from ltf_lite.reasoners.choice import ORACLE, Choice, Picker
from ltf_lite.reasoners.lockstep import Generate, Rate
from ltf_lite.reasoners.written import joined, lines_of, steps_of_text
from ltf_lite.tasks import Problem, Task
from ltf_lite.tasks.contract import Written
from ltf_lite.tasks.steps import TextSteps, prompts_of
from ltf_lite.tasks.text_steps import begun

# Gives, at its end, the nodes where each node's rollouts ended.
Rolled = Generator[Any, Any, dict[int, list[int]]]

MOST = 200  # characters; a longer line is no step, and only its beginning is kept
ASKING = ("prompt", "rollout", "yes")  # ways of valuing that ask the model a question
AGAIN = 2  # times that a step which was only begun is gone on with


class Thoughts(Writing):
    """Settings of a tree search.

    `expand`: next steps come from `samples` lists of proposals (`propose`) or from `samples` next
    lines of a chain of thought (`sample`; always so where the task has no prompt for proposals).
    `votes` judgements are averaged. `transitions`: `checked`, a step whose arithmetic or
    bookkeeping is wrong is a dead end, decided by the task; `faithful`, what the model wrote is
    believed. `oracle` lets the verifier choose among the answers instead of the model's values.
    `max_tokens` a call are by default what the task finds enough.
    """

    grows_tree: ClassVar[bool] = True

    expand: Literal["propose", "sample"] = "propose"
    samples: int = Field(3, gt=0, le=256)
    votes: int = Field(3, gt=0, le=256)
    temperature: float = Field(0.7, ge=0, le=5)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    transitions: Literal["checked", "faithful"] = "checked"
    oracle: bool = False

    def begin(self, problem: Problem, task: Task, dialect: str, seed: int) -> ThoughtGrowth:
        return ThoughtGrowth(self, problem, task, dialect)

    def unasked(self) -> Thoughts:
        """Next lines of paths instead of proposals, and likelihood where judgements were asked."""
        told = {"expand": "sample"}
        if getattr(self, "value", None) in ASKING:
            told["value"] = "logprob"
        return self.model_copy(update=told)

    def choices(self, growth: ThoughtGrowth) -> dict[Choice, int | None]:
        """The answer worth most; of an `oracle` the first that is right. No worth, no answer."""
        ends = growth.end()
        answers = [i for i, k in enumerate(ends) if growth.finished(k) and growth.worth_of(k)]
        best = max(answers, key=lambda i: growth.worth_of(ends[i]) or (), default=None)
        picker: Picker = "verifier" if self.oracle else "value"
        if self.oracle:
            right = (i for i, attempt in enumerate(growth.attempts) if attempt.verdict.correct)
            best = next(right, best)
        return {Choice("search", picker=picker): best, ORACLE: None}


class ThoughtGrowth(Growth):
    """One problem's tree while it grows, and what its reasoner wants of the model.

    `worth` is what a reasoner finds the answer at a node worth, where it is not the node's value;
    `ends` a node of a state and what the ways from it answered, None for one without an answer;
    `drawn` how often the model thought of each node.
    """

    tree: list[Node]

    def __init__(self, settings: Thoughts, problem: Problem, task: Task, dialect: str) -> None:
        super().__init__(problem, task, dialect)
        self.settings, self.prompts = settings, prompts_of(task)
        self.prompt = task.prompt(problem, dialect)
        self.children: list[list[int]] = [[]]
        self.known: dict[Any, int] = {}
        self.judged: dict[Any, float] = {}
        self.worth: dict[int, Any] = {}
        self.cut_off: set[int] = set()
        self.drawn: Counter[int] = Counter()
        self.ends: dict[Any, tuple[int, list[str | None]]] = {}
        self.text = self.steps if isinstance(self.steps, TextSteps) else None
        self.most = self.text.most if self.text else MOST

    @property
    def full(self) -> int:
        """The most steps of a path."""
        return self.steps.longest(self.problem)

    def dead(self, node: int) -> bool:
        return self.tree[node].state is None

    def finished(self, node: int) -> bool:
        """Whether a path ends here with an answer, right or wrong."""
        state = self.tree[node].state
        return state is not None and self.steps.finished(self.problem, state)

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

    def thought(self, node: int) -> Prompt:
        """The chain of thought so far, as the model would go on with it."""
        said = self.steps.joined(self.lines(node), self.dialect, False)
        return Prompt.of(self.prompt).replied(said)

    def _sampling(
        self, what: Written, n: int, temperature: float, stop: tuple[str, ...] = ()
    ) -> Sampling:
        own, task = self.settings, self.task
        most = own.max_tokens or task.room(self.problem, self.dialect)
        stop, form = stop or tuple(task.stop(self.dialect)), own.form(self, what)
        return Sampling(n, temperature, own.top_p, most, stop, grammar=form)

    # -- expanding ---------------------------------------------------------------------------

    def expand(self, nodes: list[int]) -> Search:
        """Give each of these nodes the children that the model thinks of."""
        own = self.settings
        asked = [self._proposing(k) for k in nodes] if own.expand == "propose" else [None]
        propose = None not in asked
        prompts = asked if propose else [self.thought(k) for k in nodes]
        what: Written = "proposals" if propose else "step"
        stop = () if propose else ("\n",)
        sampling = self._sampling(what, own.samples, own.temperature, stop)
        found = yield Generate(nodes, prompts, sampling)  # type: ignore[arg-type]
        if not propose:
            yield from self._go_on(nodes, found, sampling)
        for node, completions in zip(nodes, found, strict=True):
            for completion in completions:
                if propose:
                    for line in lines_of(completion):
                        self.add(node, line)
                else:
                    self._add_sampled(node, completion)

    def _go_on(self, nodes: list[int], found: list[list[Completion]], sampling: Sampling) -> Search:
        """Have free text that was only begun (a blank line, a bare heading) written on."""
        alone = replace(sampling, n=1)
        for _ in range(AGAIN):
            places = [
                (at, k)
                for at, row in enumerate(found)
                for k, own in enumerate(row)
                if self.text and own.finished and own.beyond and begun(own.text)
            ]
            if not places:
                return
            heads: list[str] = [
                self.thought(nodes[at]).replied(found[at][k].text + "\n") for at, k in places
            ]
            more = yield Generate([nodes[at] for at, _ in places], heads, alone)
            for (at, k), (after,) in zip(places, more, strict=True):
                found[at][k] = joined(found[at][k], after)

    def _add_sampled(self, node: int, completion: Completion) -> None:
        """The child that a sampled step leads to; one of free text that was cut off is dead."""
        whole = completion.finished or self.text is None
        child = self.add(node, completion.text, whole)
        if not whole:
            self.cut_off.add(child)
        own = self.tree[child]
        if own.logprob is None:
            own.logprob, own.length = completion.logprob, completion.tokens

    def _proposing(self, node: int) -> str | None:
        return self.prompts.propose(self.problem, self.tree[node].state, self.dialect)

    def add(self, parent: int, line: str, whole: bool = True) -> int:
        """The child that this line leads to: a new one, unless a sibling is the same thought.

        A line that is not `whole` leads nowhere.
        """
        line, before = line.strip(), self.tree[parent].state
        taken = None
        if whole and before is not None and len(line) <= self.most:
            checked = self.settings.transitions == "checked"
            taken = self.steps.take(self.problem, before, line, self.dialect, checked)
        line = (taken.text if taken else line)[: self.most]
        key = (parent, taken.key if taken else line)
        if key not in self.known:
            self.known[key] = len(self.tree)
            self.children[parent].append(len(self.tree))
            self.children.append([])
            self.tree.append(Node(parent, line, taken and taken.state))
        self.drawn[self.known[key]] += 1
        return self.known[key]

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
        stop = tuple(self.prompts.judge_stop(self.dialect))
        temperature = own.temperature if own.votes > 1 else 0.0
        sampling = self._sampling("judgement", own.votes, temperature, stop)
        found = yield Generate(payers, [self._question(k) for k in payers], sampling)
        for key, votes in zip(wanted, found, strict=True):
            values = [self.prompts.read_value(completion.text) for completion in votes]
            self.judged[key] = fmean(0.0 if value is None else value for value in values)

    def judgement(self, node: int) -> float:
        """The mean vote for a judged state, from 0 to 1; 0 for a step that leads nowhere."""
        return 0.0 if self.dead(node) else self.judged[self._state_key(node)]

    def _state_key(self, node: int) -> Any:
        """What a judgement depends on: the numbers left, or the answer where a path ends."""
        return self._question(node) if self.finished(node) else self.tree[node].state

    def _question(self, node: int) -> str:
        lines = self.lines(node) if self.finished(node) else []
        return self.prompts.judge(self.problem, self.tree[node].state, lines, self.dialect)

    def weigh(self, nodes: list[int]) -> Search:
        """Have the model say how likely it finds the steps to these nodes, where it has not yet."""
        nodes = [k for k in nodes if self.tree[k].logprob is None]
        if not nodes:
            return
        heads: list[str] = [self.thought(self.tree[k].parent or 0) for k in nodes]
        found = yield Rate(nodes, heads, [self.tree[k].text + "\n" for k in nodes])
        for node, score in zip(nodes, found, strict=True):
            self.tree[node].logprob, self.tree[node].length = score.logprob, score.tokens

    def likelihood(self, node: int) -> float:
        """Geometric mean of p over the tokens of the step; 0 where it was never asked."""
        own = self.tree[node]
        return 0.0 if own.logprob is None else math.exp(own.logprob / max(1, own.length))

    def roll_out(self, nodes: list[int]) -> Rolled:
        """The ends of the model's own ways from each of these nodes, or the node where it is one.

        What is rolled out becomes part of the tree.
        """
        own = self.settings
        ends: dict[int, list[int]] = {k: [k] for k in nodes if self.dead(k) or self.finished(k)}
        start = [k for k in nodes if k not in ends]
        written = steps_of_text if self.text else lines_of
        if start:
            sampling = self._sampling("path", own.votes, own.temperature)
            found = yield Generate(start, [self.thought(k) for k in start], sampling)
            yield from self._go_on(start, found, sampling)
            for node, completions in zip(start, found, strict=True):
                ends[node] = [self._follow(node, written(c)) for c in completions]
        return ends

    def _follow(self, node: int, lines: list[str]) -> int:
        """The node at the end of these lines, or where the first of them leads nowhere."""
        for line in lines:
            if self.dead(node) or self.finished(node):
                break
            node = self.add(node, line)
        return node

    # -- what it comes to --------------------------------------------------------------------

    def end(self) -> list[int]:
        """The nodes where paths ended; their attempts are made, in this order."""
        ends = [k for k in range(1, len(self.tree)) if self.dead(k) or self.finished(k)]
        self.attempts = [self._attempt(k) for k in ends]
        for attempt in self.attempts:
            self.tree[attempt.node].verdict = attempt.verdict
        return ends

    def worth_of(self, node: int) -> tuple[float, ...] | None:
        """What the answer at a node is worth; None where nobody said."""
        value = self.tree[node].value
        return self.worth.get(node, None if value is None else (value,))

    def answer(self, node: int) -> str | None:
        """What the finished path that ends at a node answers."""
        if not self.finished(node):
            return None
        text = self.steps.joined(self.lines(node), self.dialect, True)
        return self.task.answer(self.task.parse(self.problem, text))

    def right(self, node: int) -> bool:
        """What the verifier says of a finished path: only for an `oracle`."""
        return self._attempt(node).verdict.correct

    def _attempt(self, node: int) -> Attempt:
        text = self.steps.joined(self.lines(node), self.dialect, self.finished(node))
        way = [self.tree[k] for k in path_to(self.tree, node)]
        known = [each.logprob for each in way if each.logprob is not None]
        total = sum(known) if len(known) == len(way) else None
        tokens = sum(each.length for each in way)
        cut = {"finished": False} if node in self.cut_off else {}
        return self.attempt(text, node=node, tokens=tokens, logprob=total, **cut)

"""Chain of thought: greedy, sampled, self-consistency, best of n."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ltf_lite.engines import Completion, Sampling
from ltf_lite.reasoners.base import Attempt, Growth, Node, Search, Writing
from ltf_lite.reasoners.choice import SAMPLE, SINGLE_PASS, Choice, likeliest, majority
from ltf_lite.reasoners.lockstep import Generate


class CoT(Writing):
    """`n` chains of thought a problem; n = 1 at temperature 0 is the single pass.

    With n > 1 every way of choosing among the same samples is reported, and none of them asks the
    verifier; the answers that vote are the task's. With a `budget` of tokens a problem, samples are
    drawn one after the other while they fit, `n` at most. `max_tokens` a chain is by default what
    the task finds enough.
    """

    title: ClassVar[str] = "chain of thought"

    name: Literal["cot"] = "cot"
    n: int = Field(1, gt=0, le=1024)
    temperature: float = Field(0.0, ge=0, le=5)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _samples_differ(self) -> CoT:
        if self.n > 1 and not self.temperature:
            raise ValueError("cot with n above 1 needs a temperature above 0")
        return self

    @property
    def single_pass(self) -> bool:
        return self.n == 1 and not self.temperature and self.budget is None

    def search(self, growth: Growth) -> Search:
        task, problem, dialect = growth.task, growth.problem, growth.dialect
        most = self.max_tokens or task.room(problem, dialect)
        most = min(most, self.budget.tokens if self.budget else most)
        together = 1 if self.budget else self.n
        stop = tuple(task.stop(dialect))
        form = self.form(growth, "path")
        sampling = Sampling(together, self.temperature, self.top_p, most, stop, grammar=form)
        known: dict[tuple[int, str], int] = {}
        while len(growth.attempts) < self.n:
            (completions,) = yield Generate([0], [task.prompt(problem, dialect)], sampling)
            for completion in completions:
                attempt = _attempt(growth, completion)
                growth.attempts.append(replace(attempt, node=_grow(growth, known, attempt)))

    def choices(self, growth: Growth) -> dict[Choice, int | None]:
        attempts = growth.attempts
        if self.n == 1:
            own = SINGLE_PASS if self.temperature == 0 else SAMPLE
            return {own: 0 if attempts else None}
        ranked = likeliest([attempt.logprob for attempt in attempts])
        answers = [growth.task.answer(growth.path(attempt)) for attempt in attempts]
        size: dict[str, Any] = {"n": self.n}
        if self.budget:
            size = {"tokens": self.budget.tokens}
        return {
            SAMPLE: None,
            Choice("self_consistency", **size, picker="votes"): majority(answers, ranked),
            Choice("best_of_n", **size, picker="likelihood"): ranked[0] if ranked else None,
            Choice("oracle", **size, picker="verifier"): None,
        }


def _attempt(growth: Growth, completion: Completion) -> Attempt:
    return growth.attempt(
        completion.text,
        tokens=completion.tokens,
        logprob=completion.logprob,
        finished=completion.finished,
        beyond=completion.beyond,
    )


def _grow(growth: Growth, known: dict[tuple[int, str], int], attempt: Attempt) -> int:
    """Put a path into the tree, joined to the steps it shares, and return its last node."""
    tree, at = growth.tree, 0
    for line in growth.path(attempt).lines:
        child = known.setdefault((at, line.text), len(tree))
        if child == len(tree):
            tree.append(Node(at, line.text, _after(growth, tree[at].state, line.text)))
        at = child
        tree[at].visits += 1
    tree[at].verdict = attempt.verdict
    return at


def _after(growth: Growth, state: Any, line: str) -> Any:
    """The state after a line; None where it leads nowhere."""
    if state is None:
        return None
    taken = growth.steps.take(growth.problem, state, line, growth.dialect, True)
    return taken and taken.state


PLUGIN = CoT

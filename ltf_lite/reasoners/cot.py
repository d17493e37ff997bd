"""Chain of thought: greedy, sampled, self-consistency, best of n."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ltf_lite.engines import Engine, Sampling
from ltf_lite.reasoners.base import Attempt, Node, Solution, Watch, attempt_of
from ltf_lite.reasoners.lockstep import Generate, Search, Turn, lockstep
from ltf_lite.tasks import NumbersGame, Path, Problem
from ltf_lite.tasks.text import Step


@dataclass(frozen=True)
class CoT:
    """`n` chains of thought a problem; n = 1 at temperature 0 is the single pass.

    With n > 1 every way of choosing among the same samples is reported: `sample` (no choice),
    `self-consistency@n` (Wang et al. 2022, arXiv 2203.11171: the commonest answer, the answer
    being the expression, since the number is known beforehand) and `best-of-n@n` (the sample the
    model itself finds likeliest). None of them asks the verifier. With a `budget` of tokens a
    problem, samples are drawn one after the other while they fit, `n` at most. `max_tokens` a chain
    is by default what the task finds enough.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | None = None
    budget: int | None = None
    name = "cot"
    needs_engine = True

    def solve(
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int,
        watch: Watch | None = None,
    ) -> Iterator[Solution]:  # fmt: skip
        assert engine is not None
        chains: list[list[Attempt]] = [[] for _ in problems]
        turns = []
        for problem, attempts in zip(problems, chains, strict=True):
            tree = [Node(None, state=task.start(problem))]
            search = self._search(task, problem, engine.style, tree, attempts)
            turns.append(Turn(problem, tree, search))
        lockstep(turns, engine, seed, self.budget, watch)
        for turn, attempts in zip(turns, chains, strict=True):
            yield Solution(turn.problem, attempts, self._choices(attempts), turn.tree)

    def _search(
        self, task: NumbersGame, problem: Problem, style: str, tree: list[Node],
        attempts: list[Attempt],
    ) -> Search:  # fmt: skip
        together = 1 if self.budget else self.n
        known: dict[tuple[int, str], int] = {}
        most = self.max_tokens or task.room(problem, style)
        most = min(most, self.budget or most)
        sampling = Sampling(together, self.temperature, self.top_p, most, tuple(task.stop(style)))
        while len(attempts) < self.n:
            (completions,) = yield Generate([0], [task.prompt(problem, style)], sampling)
            for c in completions:
                facts = {"tokens": c.tokens, "logprob": c.logprob, "finished": c.finished}
                attempt = attempt_of(task, problem, c.text, beyond=c.beyond, **facts)
                attempts.append(replace(attempt, node=_grow(tree, known, task, attempt)))

    def _choices(self, attempts: list[Attempt]) -> dict[str, int | None]:
        if self.n == 1:
            return {"greedy" if self.temperature == 0 else "sample": 0 if attempts else None}
        ranked = likeliest([attempt.logprob for attempt in attempts])
        size = f"{self.budget} tokens" if self.budget else str(self.n)
        return {
            "sample": None,
            f"self-consistency@{size}": majority([answer_of(a.path) for a in attempts], ranked),
            f"best-of-n@{size}": ranked[0] if ranked else None,
            f"oracle@{size}": None,
        }


def _grow(
    tree: list[Node], known: dict[tuple[int, str], int], task: NumbersGame, attempt: Attempt
) -> int:
    """Put a path into the tree, joined to the steps it shares, and return its last node."""
    at = 0
    for line in attempt.path.lines:
        child = known.setdefault((at, line.text), len(tree))
        if child == len(tree):
            before = tree[at].state
            legal = line.step is not None and before is not None
            state = task.legal(before, Step(*line.step)) if legal else None  # type: ignore
            tree.append(Node(at, line.text, state))
        at = child
        tree[at].visits += 1
    tree[at].verdict = attempt.verdict
    return at


def answer_of(path: Path) -> str | None:
    """What a path answers, so that equal answers are equal strings; None if it is no path.

    It is the set of its steps: the same expression whatever the order of steps and of operands.
    """
    steps = [line.step for line in path.lines]
    if not steps or None in steps:
        return None
    texts = []
    for a, op, b, *_ in filter(None, steps):
        first, second = sorted((a, b)) if op in "+*" else (a, b)
        texts.append(f"{first}{op}{second}")
    return " ".join(sorted(texts))


def likeliest(logprobs: Sequence[float | None]) -> list[int]:
    """Indices of samples, the one that the model itself finds likeliest first."""
    return sorted(range(len(logprobs)), key=lambda k: -(logprobs[k] or 0.0))


def majority(answers: list[str | None], ranked: list[int]) -> int | None:
    """Index of the best-ranked attempt with the commonest answer; None if no attempt has one."""
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None
    most = max(votes.values())
    return next(k for k in ranked if votes.get(answers[k] or "") == most)

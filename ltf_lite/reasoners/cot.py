"""Chain of thought: greedy, sampled, self-consistency, best of n."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltf_lite.engines import Engine, Sampling
from ltf_lite.reasoners.base import Attempt, Solution
from ltf_lite.tasks import NumbersGame, Path, Problem


@dataclass(frozen=True)
class CoT:
    """`n` chains of thought a problem; n = 1 at temperature 0 is the single pass.

    With n > 1 every way of choosing among the same samples is reported: `sample` (no choice),
    `self-consistency@n` (Wang et al. 2022, arXiv 2203.11171: the commonest answer, the answer
    being the expression, since the number is known beforehand) and `best-of-n@n` (the sample the
    model itself finds likeliest). None of them asks the verifier.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    name = "cot"
    needs_engine = True

    def solve(
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int
    ) -> Iterator[Solution]:
        assert engine is not None
        sampling = Sampling(
            self.n, self.temperature, self.top_p, self.max_tokens,
            tuple(task.stop(engine.style)), seed,
        )  # fmt: skip
        prompts = [task.prompt(problem, engine.style) for problem in problems]
        for problem, completions in zip(problems, engine.generate(prompts, sampling), strict=True):
            attempts = [
                Attempt(c.text, c.tokens, c.logprob, c.finished, c.beyond) for c in completions
            ]
            yield Solution(problem, attempts, self._choices(task, problem, attempts))

    def _choices(self, task, problem, attempts: list[Attempt]) -> dict[str, int | None]:
        if self.n == 1:
            return {"greedy" if self.temperature == 0 else "sample": 0}
        likeliest = sorted(range(len(attempts)), key=lambda k: -(attempts[k].logprob or 0.0))
        return {
            "sample": None,
            f"self-consistency@{self.n}": majority(
                [answer_of(task.parse(problem, a.text)) for a in attempts], likeliest
            ),
            f"best-of-n@{self.n}": likeliest[0],
            f"oracle@{self.n}": None,
        }


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


def majority(answers: list[str | None], ranked: list[int]) -> int | None:
    """Index of the best-ranked attempt with the commonest answer; None if no attempt has one."""
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None
    most = max(votes.values())
    return next(k for k in ranked if votes.get(answers[k] or "") == most)

"""An engine without a model: what it writes depends on the prompt and the seed alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ltf_lite.engines import Completion, Dialect, Sampling, Score, Usage, cut
from ltf_lite.engines.base import prompt_seeds
from ltf_lite.tasks.numbers.game import NumbersGame
from ltf_lite.tasks.numbers.solver import moves, state
from ltf_lite.tasks.numbers.text import write_compact, write_step

Writer = Callable[[str, random.Random], str]


class FakeEngine:
    """Answers compact prompts by `write`; a token a character, each of probability one half."""

    name, runtime, dialect = "fake", "fake", Dialect("compact")
    listener = None

    def __init__(self, write: Writer) -> None:
        self.write = write
        self.usage = Usage()
        self.asked: list[list[str]] = []

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        self.asked.append(list(prompts))
        with self.usage.call():
            own = prompt_seeds(prompts, sampling, seeds)
            found = [
                [self._one(p, sampling, f"{s}:{i}") for i in range(sampling.n)]
                for p, s in zip(prompts, own, strict=True)
            ]
        self.usage.tokens_out += sum(c.tokens for row in found for c in row)
        return found

    def _one(self, prompt: str, sampling: Sampling, seed: str) -> Completion:
        rng = random.Random(f"{prompt}:{seed}" if sampling.temperature else prompt)
        whole = self.write(prompt, rng)
        text, beyond = cut(whole[: sampling.max_tokens], sampling.stop)
        tokens = len(text) + len(beyond[:1])
        finished = bool(beyond) or len(whole) <= sampling.max_tokens
        return Completion(text, tokens, -0.7 * tokens, finished, beyond)

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        with self.usage.call():
            return [
                Score(-random.Random(f"{p}{c}").random() * len(c), len(c))
                for p, c in zip(prompts, continuations, strict=True)
            ]

    def clear(self) -> None: ...

    def close(self) -> None: ...


def player(task: NumbersGame, knows: float = 1.0) -> Writer:
    """A player of countdown: random legal steps, and judgements that are right so often."""

    def write(prompt: str, rng: random.Random) -> str:
        first, *steps = prompt.rstrip("\n").split("\n")
        aim, _, numbers = first.rstrip("?!").partition(":")
        said = steps[-1].split("=")[1] if steps else numbers
        left = state(int(n) for n in said.split(","))
        if prompt.endswith("!\n"):
            problem = task.problem({"numbers": [1, 1], "target": int(aim)})
            hope = task.solvable(problem, left) == (rng.random() < knows)
            return ("sure" if len(left) < 3 else "likely") if hope else "impossible"
        options = moves(left, task.rules)
        if prompt.endswith("?\n"):
            chosen = rng.sample(options, min(4, len(options)))
            return "".join(write_step(move) + "\n" for move in chosen)
        path = []
        while len(left) > 1:
            path.append(rng.choice(moves(left, task.rules)))
            left = path[-1].left
        return write_compact(path)

    return write

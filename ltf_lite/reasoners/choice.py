"""How one answer is chosen among the paths that a reasoner found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["single_pass", "sample", "self_consistency", "best_of_n", "oracle", "search"]
Picker = Literal["model", "votes", "likelihood", "value", "solver", "chance", "verifier"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A way of choosing.

    `kind` is one of

    - `single_pass`: one greedy chain of thought, nothing to choose
    - `sample`: no choice; its success is the mean over the samples
    - `self_consistency`: the commonest answer of n samples (Wang et al. 2022, arXiv 2203.11171)
    - `best_of_n`: the sample that the model finds likeliest
    - `search`: what a search itself found best, by its `picker`
    - `oracle`: the verifier picks among all paths; an upper bound, never called search

    `n` is the number of samples, `tokens` the budget a problem that stood in its place.
    """

    kind: Kind
    n: int | None = None
    tokens: int | None = None
    picker: Picker = "model"

    @property
    def is_bound(self) -> bool:
        """Whether the verifier helps: an upper bound on what can be answered."""
        return self.picker == "verifier"

    @property
    def is_search(self) -> bool:
        """Whether a model searched more than one path and no verifier helped."""
        searched = self.kind in ("self_consistency", "best_of_n")
        return searched or (self.kind == "search" and self.picker == "value")

    @property
    def is_floor(self) -> bool:
        """Whether chance alone finds the path: what any model must solve more than."""
        return self.kind == "search" and self.picker == "chance"


SINGLE_PASS, SAMPLE = Choice("single_pass"), Choice("sample", picker="chance")
ORACLE = Choice("oracle", picker="verifier")


def likeliest(logprobs: Sequence[float | None]) -> list[int]:
    """Indices of samples, the one that the model itself finds likeliest first."""
    return sorted(range(len(logprobs)), key=lambda k: -(logprobs[k] or 0.0))


def majority(answers: Sequence[str | None], ranked: Sequence[int]) -> int | None:
    """Index of the best-ranked attempt with the commonest answer; None if no attempt has one."""
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None
    most = max(votes.values())
    return next(k for k in ranked if votes.get(answers[k] or "") == most)

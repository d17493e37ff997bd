"""Many searches in lock step: each is written for one problem, and all of them share engine calls.

A search is a generator that yields what it wants of the model and is sent the answer. In every
round the wishes of all problems that ask for the same thing become one engine call. What a problem
gets depends on its own wishes and seed alone, never on which problems share its calls.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ltf_lite.engines import Engine, Sampling
from ltf_lite.reasoners.base import Node, Search, Watch
from ltf_lite.tasks import Problem


@dataclass(frozen=True)
class Generate:
    """Wish for completions of prompts; prompt k is paid for by node `nodes[k]`."""

    nodes: list[int]
    prompts: list[str]
    sampling: Sampling


@dataclass(frozen=True)
class Rate:
    """Wish for the scores of continuations after prompts; answered with `Score`s."""

    nodes: list[int]
    prompts: list[str]
    continuations: list[str]


Wish = Generate | Rate


@dataclass
class Turn:
    """One problem's search: the tree it grows, and what it wishes for next."""

    problem: Problem
    tree: list[Node]
    search: Search
    wish: Wish | None = None
    calls: int = 0
    spent: int = 0

    def go_on(self, answer: Any) -> None:
        try:
            self.wish = self.search.send(answer)
        except StopIteration:
            self.wish = None


# Called with a turn, a budget, and the tree as a search that had no more would have left it.
Halt = Callable[[Turn, int, list[Node]], None]


def lockstep(
    turns: Sequence[Turn],
    engine: Engine,
    seed: int,
    budget: int | None = None,
    watch: Watch | None = None,
    halts: Sequence[int] = (),
    halted: Halt | None = None,
) -> None:
    """Run all searches to their end, one engine call a round for all that wish for the same.

    With a `budget` no problem uses more generated tokens: the first answer that would pass it is
    not used, costs what was left of it, and ends the search. `watch` is called after each round for
    each tree in it; what it raises, and what the engine does, ends all searches. At the budgets in
    `halts` no search ends, but `halted` hears where it would have ended.
    """
    try:
        for turn in turns:
            turn.go_on(None)
        while waiting := [turn for turn in turns if turn.wish is not None]:
            for group in _groups(waiting):
                answers, seconds = _ask(engine, group, seed)
                for turn, answer in zip(group, answers, strict=True):
                    if halted:
                        _halt(turn, answer, seconds, halts, halted)
                    _answer(turn, answer, seconds, budget)
            for turn in waiting if watch else ():
                watch(turn.problem, turn.tree)  # type: ignore[misc]
    finally:
        for turn in turns:
            turn.search.close()


def _groups(waiting: list[Turn]) -> list[list[Turn]]:
    """The turns that one engine call can serve together."""
    groups: dict[Sampling | None, list[Turn]] = {}
    for turn in waiting:
        key = turn.wish.sampling if isinstance(turn.wish, Generate) else None
        groups.setdefault(key, []).append(turn)
    return list(groups.values())


def _ask(engine: Engine, group: list[Turn], seed: int) -> tuple[list[list[Any]], float]:
    """One engine call for all; what each turn gets, and the seconds a prompt took."""
    wishes = [turn.wish for turn in group]
    prompts = [prompt for wish in wishes if wish for prompt in wish.prompts]
    began = time.perf_counter()
    found: list[Any]
    if isinstance(wishes[0], Generate):
        seeds = [each for turn in group for each in _seeds(turn, seed)]
        found = engine.generate(prompts, wishes[0].sampling, seeds)
    else:
        tails = [tail for wish in wishes if isinstance(wish, Rate) for tail in wish.continuations]
        found = engine.score(prompts, tails)
    seconds = (time.perf_counter() - began) / max(1, len(prompts))
    rest = iter(found)
    return [[next(rest) for _ in wish.prompts] for wish in wishes if wish], seconds


def _seeds(turn: Turn, seed: int) -> list[int]:
    """A seed for each prompt of a wish, from the run's seed, the problem and its own calls."""
    turn.calls += 1
    key = f"{seed}:{turn.problem.id}:{turn.calls}".encode()
    first = int.from_bytes(hashlib.sha256(key).digest()[:7], "big")
    return [first + k for k in range(len(turn.wish.prompts))]  # type: ignore[union-attr]


def _halt(
    turn: Turn, answer: list[Any], seconds: float, halts: Sequence[int], halted: Halt
) -> None:
    """Tell of every budget that this answer passes."""
    costs = _costs(turn, answer)
    for tokens in halts:
        if turn.spent <= tokens < turn.spent + sum(costs):
            tree = [replace(node) for node in turn.tree]
            _charge(tree, turn, _within(costs, tokens - turn.spent), seconds)
            halted(turn, tokens, tree)


def _answer(turn: Turn, answer: list[Any], seconds: float, budget: int | None) -> None:
    """Charge the nodes that asked and let the search go on, or end it where the budget ends."""
    costs = _costs(turn, answer)
    left = budget - turn.spent if budget else sum(costs)
    over = sum(costs) > left
    if over:
        costs = _within(costs, left)
    turn.spent += sum(costs)
    _charge(turn.tree, turn, costs, seconds)
    if over:
        turn.search.close()
        turn.wish = None
    else:
        turn.go_on(answer)


def _costs(turn: Turn, answer: list[Any]) -> list[int]:
    """The tokens that each prompt of a turn's wish brought."""
    if not isinstance(turn.wish, Generate):
        return [0] * len(answer)
    return [sum(completion.tokens for completion in row) for row in answer]


def _within(costs: list[int], left: int) -> list[int]:
    """What of these costs fits into what is left, the first of them first."""
    return [min(cost, max(0, left - sum(costs[:k]))) for k, cost in enumerate(costs)]


def _charge(tree: list[Node], turn: Turn, costs: list[int], seconds: float) -> None:
    assert turn.wish is not None
    for index, cost in zip(turn.wish.nodes, costs, strict=True):
        tree[index].tokens += cost
        tree[index].seconds += seconds

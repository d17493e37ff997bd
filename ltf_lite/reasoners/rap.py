"""Reasoning via planning (Hao et al. 2023, arXiv 2305.14992): Monte-Carlo tree search."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.reasoners.base import Search
from ltf_lite.reasoners.thoughts import ThoughtGrowth, Thoughts
from ltf_lite.reasoners.values import Value, agree, values


@dataclass
class Simulated:
    """What the simulations know of nodes: their rewards, their values, and which were expanded.

    A rollout gives a node children too, which is no expansion.
    """

    rewards: dict[int, float] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)
    expanded: set[int] = field(default_factory=set)


class RAP(Thoughts):
    """Monte-Carlo tree search with the model as world and judge.

    `iterations` simulations; UCT with weight `exploration`; the reward of a step is
    p^likelihood · v^(1 - likelihood), p the geometric mean of the step's token probabilities and v
    the value of the state it leads to, found as `value` says (`values`); a step is worth the
    highest mean reward from it on. `depth` limits a simulation's steps (by default a path's full
    length). The answer is the finished path whose last state is worth most, and among those the one
    with the highest mean reward.
    """

    title: ClassVar[str] = "RAP"

    name: Literal["rap"] = "rap"
    iterations: int = Field(10, gt=0)
    exploration: float = Field(1.0, ge=0)
    likelihood: float = Field(0.5, ge=0, le=1)
    depth: int | None = Field(None, gt=0)
    value: Value = "prompt"

    def search(self, growth: ThoughtGrowth) -> Search:
        """Simulate so often; a finished path is worth its last judgement and mean reward."""
        known = Simulated()
        limit = min(self.depth or growth.full, growth.full)
        for _ in range(self.iterations):
            path = self._select(growth, known)
            yield from self._simulate(growth, path, known, limit)
            ends = growth.finished_beside(path[-1])
            yield from self._reward(growth, ends, known)
            for end in ends:
                way = [*path[1:-1], end]
                growth.worth[end] = known.values[end], fmean(known.rewards[node] for node in way)
            if self.oracle and any(map(growth.right, ends)):
                return
            self._back_propagate(growth, path, known, limit)
        if self.value == "consistency":
            agree(growth)

    def _select(self, growth: ThoughtGrowth, known: Simulated) -> list[int]:
        """Down the tree by UCT, to a node that was not expanded yet or leads nowhere."""
        path = [0]
        while path[-1] in known.expanded and (children := growth.hopeful(path[-1])):
            parent = growth.tree[path[-1]]
            path.append(max(children, key=lambda k: self._uct(growth, parent.visits, k)))
        return path

    def _uct(self, growth: ThoughtGrowth, visits: int, node: int) -> float:
        own = growth.tree[node]
        value = growth.likelihood(node) if own.value is None else own.value
        return value + self.exploration * math.sqrt(math.log(max(1, visits)) / max(1, own.visits))

    def _simulate(
        self, growth: ThoughtGrowth, path: list[int], known: Simulated, limit: int
    ) -> Search:
        """Go on from the end of the path by the likeliest steps, and reward each step once.

        Where steps end the path, all of them are judged: that costs little, and the best counts.
        """
        if path[-1] and path[-1] not in known.rewards:
            yield from self._reward(growth, path[-1:], known)
        while not growth.finished(path[-1]) and len(path) <= limit:
            if path[-1] in known.expanded and growth.children[path[-1]]:
                return  # nothing could be done from here
            yield from growth.expand([path[-1]])
            known.expanded.add(path[-1])
            children = growth.hopeful(path[-1])
            if not children:
                return
            yield from growth.weigh(children)
            ends = [child for child in children if growth.finished(child)]
            best = max(children, key=growth.likelihood)
            yield from self._reward(growth, ends or [best], known)
            path.append(max(ends, key=known.rewards.__getitem__) if ends else best)

    def _reward(self, growth: ThoughtGrowth, nodes: list[int], known: Simulated) -> Search:
        """Reward each of these nodes that has none; ends found on the way are worth their value."""
        nodes = [node for node in nodes if node not in known.rewards]
        if not nodes:
            return
        found = yield from values(growth, self.value, nodes)
        for node in nodes:
            likely, value = growth.likelihood(node), found.pop(node)
            known.values[node] = value
            known.rewards[node] = likely**self.likelihood * value ** (1 - self.likelihood)
        for end, value in found.items():
            growth.worth.setdefault(end, (value, 0.0))

    def _back_propagate(
        self, growth: ThoughtGrowth, path: list[int], known: Simulated, limit: int
    ) -> None:
        """Raise each node's value to the mean reward from it on, where that is more."""
        gained = [known.rewards[node] for node in path[1:]]
        gained += [0.0] * (limit - len(gained))  # a way that ends early has nothing to gain
        growth.tree[0].visits += 1
        for k, node in enumerate(path[1:]):
            own = growth.tree[node]
            own.visits += 1
            own.value = max(own.value or 0.0, fmean(gained[k:]))


PLUGIN = RAP

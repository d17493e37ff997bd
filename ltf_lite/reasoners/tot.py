"""Tree of thoughts (Yao et al. 2023, arXiv 2305.10601): propose, value, keep the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltf_lite.engines import Engine
from ltf_lite.reasoners.base import Solution, Watch
from ltf_lite.reasoners.lockstep import Search, Turn, lockstep
from ltf_lite.reasoners.thoughts import Growth, Thoughts
from ltf_lite.tasks import NumbersGame, Problem

SURE = 0.5  # the value from which a depth-first search takes an answer and stops


@dataclass(frozen=True)
class ToT(Thoughts):
    """A beam over thoughts, level by level, or depth first with backtracking.

    `value` is how a state is judged: by value `prompt`s, by the model's mean token `logprob` of the
    step, or by `rollout`s. `order: breadth` keeps the best `beam` states of a level; `order: depth`
    goes on with the best child, leaves out children under `threshold`, keeps the best `beam` of the
    others, and stops at a sure answer or after `expansions`.
    """

    order: str = "breadth"
    beam: int = 5
    value: str = "prompt"
    threshold: float = 0.01
    expansions: int = 30
    name = "tot"
    needs_engine = True

    def solve(
        self, problems: Sequence[Problem], task: NumbersGame, engine: Engine | None, seed: int,
        watch: Watch | None = None,
    ) -> Iterator[Solution]:  # fmt: skip
        assert engine is not None
        growths = [Growth(self, task, problem, engine.style) for problem in problems]
        search = self._breadth if self.order == "breadth" else self._depth
        turns = [Turn(g.problem, g.tree, search(g)) for g in growths]
        lockstep(turns, engine, seed, self.budget, watch)
        for growth in growths:
            worth = {k: n.value for k, n in enumerate(growth.tree) if n.value is not None}
            yield growth.solution(self.name, worth)

    def _breadth(self, growth: Growth) -> Search:
        beam = [0]
        for _ in range(growth.full):
            yield from growth.expand(beam)
            children = [child for node in beam for child in growth.hopeful(node)]
            yield from self._evaluate(growth, children)
            beam = self._best(growth, children)
            if not beam:
                return

    def _depth(self, growth: Growth) -> Search:
        stack, seen = [0], set()
        for _ in range(self.expansions):
            while stack and growth.tree[stack[-1]].state in seen:
                stack.pop()  # another way to the same numbers was tried before
            if not stack:
                return
            node = stack.pop()
            seen.add(growth.tree[node].state)
            yield from growth.expand([node])
            children = growth.hopeful(node)
            yield from self._evaluate(growth, children)
            kept = [k for k in children if (growth.tree[k].value or 0.0) >= self.threshold]
            if any(growth.finished(k) and self._enough(growth, k) for k in kept):
                return
            stack += reversed([k for k in self._best(growth, kept) if not growth.finished(k)])

    def _enough(self, growth: Growth, node: int) -> bool:
        """Whether an answer ends the search: the model is sure of it, or the oracle is."""
        if self.oracle:
            return growth.right(node)
        return (growth.tree[node].value or 0.0) >= SURE

    def _evaluate(self, growth: Growth, nodes: list[int]) -> Search:
        if self.value == "logprob":
            yield from growth.weigh(nodes)
            for node in nodes:
                growth.tree[node].value = growth.likelihood(node)
        elif self.value == "rollout":
            yield from growth.roll_out(nodes)
        else:
            yield from growth.judge(nodes)
            for node in nodes:
                growth.tree[node].value = growth.judgement(node)

    def _best(self, growth: Growth, nodes: list[int]) -> list[int]:
        """The best `beam` nodes that can go on; two ways to the same numbers are one thought."""
        ranked = sorted(nodes, key=lambda k: (growth.tree[k].value, growth.likelihood(k)),
                        reverse=True)  # fmt: skip
        chosen: dict[object, int] = {}
        for node in ranked:
            chosen.setdefault(growth.tree[node].state, node)
        best = list(chosen.values())[: self.beam]
        for node in best:
            growth.tree[node].visits += 1
        return best

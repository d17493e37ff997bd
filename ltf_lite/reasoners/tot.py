"""Tree of thoughts (Yao et al. 2023, arXiv 2305.10601): propose, value, keep the best."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.reasoners.base import Search
from ltf_lite.reasoners.thoughts import ThoughtGrowth, Thoughts
from ltf_lite.reasoners.values import Value, agree, values

SURE = 0.5  # the value from which a depth-first search takes an answer and stops


class ToT(Thoughts):
    """A beam over thoughts, level by level, or depth first with backtracking.

    `value` is how a state is judged (`values`). `order: breadth` keeps the best `beam` states of a
    level; `order: depth` goes on with the best child, leaves out children under `threshold`, keeps
    the best `beam` of the others, and stops at a sure answer or after `expansions`.
    """

    title: ClassVar[str] = "tree of thoughts"

    name: Literal["tot"] = "tot"
    order: Literal["breadth", "depth"] = "breadth"
    beam: int = Field(5, gt=0, le=1024)
    value: Value = "prompt"
    threshold: float = Field(0.01, ge=0, le=1)
    expansions: int = Field(30, gt=0)

    def search(self, growth: ThoughtGrowth) -> Search:
        """An answer is worth its value."""
        yield from self._breadth(growth) if self.order == "breadth" else self._depth(growth)
        if self.value == "consistency":
            agree(growth)

    def _breadth(self, growth: ThoughtGrowth) -> Search:
        beam = [0]
        for _ in range(growth.full):
            yield from growth.expand(beam)
            children = [child for node in beam for child in growth.hopeful(node)]
            yield from self._evaluate(growth, children)
            beam = [k for k in self._best(growth, children) if not growth.finished(k)]
            if not beam:
                return

    def _depth(self, growth: ThoughtGrowth) -> Search:
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

    def _enough(self, growth: ThoughtGrowth, node: int) -> bool:
        """Whether an answer ends the search: the model is sure of it, or the oracle is."""
        if self.oracle:
            return growth.right(node)
        return (growth.tree[node].value or 0.0) >= SURE

    def _evaluate(self, growth: ThoughtGrowth, nodes: list[int]) -> Search:
        found = yield from values(growth, self.value, nodes)
        for node, value in found.items():
            growth.tree[node].value = value

    def _best(self, growth: ThoughtGrowth, nodes: list[int]) -> list[int]:
        """The best `beam` nodes that can go on; two ways to the same numbers are one thought."""

        def worth(node: int) -> tuple[float, float]:
            return growth.tree[node].value or 0.0, growth.likelihood(node)

        ranked = sorted(nodes, key=worth, reverse=True)
        chosen: dict[object, int] = {}
        for node in ranked:
            chosen.setdefault(growth.tree[node].state, node)
        best = list(chosen.values())[: self.beam]
        for node in best:
            growth.tree[node].visits += 1
        return best


PLUGIN = ToT

"""How a tree search finds out what a state is worth: it asks, it scores, or it lets paths go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from statistics import fmean
from typing import Any, Literal

from ltf_lite.engines import Score
from ltf_lite.reasoners.base import path_to
from ltf_lite.reasoners.lockstep import Rate
from ltf_lite.reasoners.thoughts import ThoughtGrowth

Value = Literal["prompt", "logprob", "rollout", "yes", "consistency"]
Valued = Generator[Any, Any, dict[int, float]]  # gives, at its end, the value of each node

YES, NO = (" yes", " Yes"), (" no", " No")


def values(growth: ThoughtGrowth, value: Value, nodes: list[int]) -> Valued:
    """The values of nodes, from 0 to 1, and of the ends that were found on the way.

    `prompt`: the mean of judgements in words. `logprob`: the mean token probability of the step.
    `rollout`: the mean judgement of where the model's own ways end. `yes`: how likely the model
    says yes, and not no, when it is asked whether the path is right. `consistency`: the share of
    the ways from a state that end in the answer which most ways of the whole tree so far end in.
    Each distinct state is asked about once.
    """
    return WAYS[value](growth, nodes)


def _prompt(growth: ThoughtGrowth, nodes: list[int]) -> Valued:
    yield from growth.judge(nodes)
    return {node: growth.judgement(node) for node in nodes}


def _logprob(growth: ThoughtGrowth, nodes: list[int]) -> Valued:
    yield from growth.weigh(nodes)
    return {node: growth.likelihood(node) for node in nodes}


def _rollout(growth: ThoughtGrowth, nodes: list[int]) -> Valued:
    ends = yield from growth.roll_out(nodes)
    finished = sorted({end for row in ends.values() for end in row if growth.finished(end)})
    yield from growth.judge(finished)
    found = {end: growth.judgement(end) for end in finished}
    return found | {node: fmean(found.get(end, 0.0) for end in ends[node]) for node in nodes}


def _yes(growth: ThoughtGrowth, nodes: list[int]) -> Valued:
    """P(yes) of the two words, each with either first letter."""
    wanted: dict[Any, int] = {}
    for node in nodes:
        state = growth.tree[node].state
        if state is not None and state not in growth.judged:
            wanted.setdefault(state, node)
    if wanted:
        words = YES + NO
        payers = [node for node in wanted.values() for _ in words]
        asked = [head for node in wanted.values() for head in [_doubt(growth, node)] * len(words)]
        found = yield Rate(payers, asked, list(words) * len(wanted))
        for at, state in enumerate(wanted):
            growth.judged[state] = p_yes(found[at * len(words) : (at + 1) * len(words)])
    states = {node: growth.tree[node].state for node in nodes}
    return {node: 0.0 if s is None else growth.judged[s] for node, s in states.items()}


def _doubt(growth: ThoughtGrowth, node: int) -> str:
    state, lines = growth.tree[node].state, growth.lines(node)
    return growth.prompts.yes(growth.problem, state, lines, growth.dialect)


def p_yes(scores: Sequence[Score]) -> float:
    """How likely yes is among the two, of the scores of YES and then of NO."""
    most = max(score.logprob for score in scores)
    if most == -math.inf:  # the model would say none of them
        return 0.5
    likely = [math.exp(score.logprob - most) for score in scores]
    return sum(likely[: len(YES)]) / sum(likely)


def _consistency(growth: ThoughtGrowth, nodes: list[int]) -> Valued:
    states = {node: growth.tree[node].state for node in nodes}
    asked = {states[node]: node for node in reversed(nodes) if states[node] is not None}
    asked = {state: node for state, node in asked.items() if state not in growth.ends}
    ends = yield from growth.roll_out(sorted(asked.values()))
    for state, node in asked.items():
        growth.ends[state] = node, [growth.answer(end) for end in ends[node]]
    votes = _votes(growth)
    best = max(votes, key=lambda answer: votes[answer], default=None)  # the first of equals
    return {
        node: 0.0 if state is None or best is None else _share(growth.ends[state][1], best)
        for node, state in states.items()
    }


def _share(answers: Sequence[str | None], best: str) -> float:
    return answers.count(best) / len(answers)


def _votes(growth: ThoughtGrowth) -> dict[str, float]:
    """The share of each answer in the ways from every state, as likely as the state is reached.

    So a thought that came up twice counts twice, although it is one node.
    """
    votes: dict[str, float] = {}
    for node, answers in growth.ends.values():
        weight = _chance(growth, node) / len(answers)
        for answer in answers:
            if answer is not None:
                votes[answer] = votes.get(answer, 0.0) + weight
    return votes


def _chance(growth: ThoughtGrowth, node: int) -> float:
    """How likely the model takes the way to a node, by how often each thought was drawn."""
    chance = 1.0
    for k in path_to(growth.tree, node):
        beside = growth.children[growth.tree[k].parent or 0]
        chance *= growth.drawn[k] / sum(growth.drawn[other] for other in beside)
    return chance


def agree(growth: ThoughtGrowth) -> None:
    """Make each finished path worth its answer's share of all votes.

    What most ways say is known only when the tree is whole.
    """
    votes = _votes(growth)
    for node in range(1, len(growth.tree)):
        if growth.finished(node) and (answer := growth.answer(node)) is not None:
            growth.worth[node] = (votes.get(answer, 0.0) / (sum(votes.values()) or 1.0),)


WAYS: dict[str, Callable[[ThoughtGrowth, list[int]], Valued]] = {
    "prompt": _prompt,
    "logprob": _logprob,
    "rollout": _rollout,
    "yes": _yes,
    "consistency": _consistency,
}

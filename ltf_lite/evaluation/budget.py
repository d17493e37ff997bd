"""Success against tokens a problem: single pass, samples and searches on one curve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import fmean
from typing import Literal

from ltf_lite.evaluation.naming import KINDS, settings_of, title_of
from ltf_lite.evaluation.success import mean_of, rate_of, sizes
from ltf_lite.evaluation.types import AskedPath, Rate, Record, Scored
from ltf_lite.reasoners.choice import likeliest, majority

MODELS = ("base", "tuned")

Way = Literal["single_pass", "self_consistency", "best_of_n", "search"]
Paths = list[AskedPath]
Choose = Callable[[list[str | None], list[int]], int | None]

CHOOSE: dict[Way, Choose] = {
    "self_consistency": majority,
    "best_of_n": lambda answers, ranked: ranked[0],
}


@dataclass(frozen=True)
class BudgetPoint:
    """Success of a model and a way of answering at so many generated `tokens` a problem.

    `by` are the settings that tell a reasoner from another of its kind, "" where there is no other.
    `budget` is the most tokens that were allowed, `samples` the number of samples that are chosen
    among; None where there was no budget and where nothing is sampled.
    """

    model: str
    kind: Way
    reasoner: str
    by: str
    budget: int | None
    samples: int | None
    tokens: float
    rate: Rate

    @property
    def title(self) -> str:
        """The way of answering in words, without the settings."""
        return title_of(self.reasoner) if self.kind == "search" else KINDS[self.kind]

    @property
    def answer(self) -> str:
        """The way of answering in words."""
        return f"{self.title} ({self.by})" if self.by else self.title


def curve(
    records: Iterable[Record], budget_records: Iterable[Record], tokens: Sequence[int]
) -> list[BudgetPoint]:
    """Points of base and tuned model, on the problems that all of these records share.

    `records` are a run's with their paths, `budget_records` those of the searches at a budget each,
    `tokens` the budgets to compare at. A search stands at each budget, and without one at None. The
    single pass is one point, for more tokens change nothing. Of samples there are k = 1, 2, 4, …
    and all of them, at k times a sample's mean tokens, and for each budget the most that fit it;
    their rate is the mean over problems of the mean over disjoint blocks of k. A budget that all
    samples do not use up has no point of theirs.
    """
    used = [record for record in records if record.budget is None]
    used += [record for record in budget_records if record.budget in tokens]
    told = [
        (scored, record)
        for record in used
        if record.model in MODELS
        for scored in _on_the_curve(record)
    ]
    problems = [{problem.id for problem in record.problems} for _, record in told]
    shared = set.intersection(*problems) if problems else set()
    if not shared:
        return []
    return [point for model in MODELS for point in _of_model(model, told, shared, tokens)]


def _on_the_curve(record: Record) -> Iterator[Scored]:
    """What a record has for the curve: a single pass, samples to choose from, a search."""
    for scored in record.scored:
        choice = scored.choice
        several = choice.kind == "sample" and bool(record.pass_at)
        searched = choice.kind == "search" and choice.is_search
        if choice.kind == "single_pass" or several or searched:
            yield scored


def _order(scored: Scored, record: Record) -> tuple[int, str]:
    """The single pass first, then samples, then the searches by name."""
    rank = ("single_pass", "sample", "search").index(scored.choice.kind)
    return rank, record.reasoner if rank == 2 else ""


def _of_model(
    model: str, told: Sequence[tuple[Scored, Record]], shared: set[str], tokens: Sequence[int]
) -> Iterator[BudgetPoint]:
    kinds: dict[tuple[int, str], list[tuple[Scored, Record]]] = defaultdict(list)
    for scored, record in told:
        if record.model == model:
            kinds[_order(scored, record)].append((scored, record))
    for _, own in sorted(kinds.items()):
        own.sort(key=lambda pair: (_settings(pair[1]), pair[1].budget or inf))
        several = len({_settings(record) for _, record in own}) > 1
        for scored, record in own:
            sampled = scored.choice.kind == "sample"
            found = (
                _of_samples(record, shared, tokens) if sampled else _whole(scored, record, shared)
            )
            for point in found:
                yield replace(point, by=_settings(record)) if several else point


def _settings(record: Record) -> str:
    """The settings of a record's reasoner but its budget."""
    return settings_of({k: v for k, v in record.settings.items() if k != "budget"})


def _whole(scored: Scored, record: Record, shared: set[str]) -> Iterator[BudgetPoint]:
    """The point of a single pass or of a search."""
    rows = zip(record.problems, scored.solved or "", record.spent, strict=True)
    told = [(mark == "1", spent) for problem, mark, spent in rows if problem.id in shared]
    kind: Way = "single_pass" if scored.choice.kind == "single_pass" else "search"
    rate = rate_of(sum(solved for solved, _ in told), len(told))
    tokens = fmean(spent for _, spent in told)
    yield BudgetPoint(record.model, kind, record.reasoner, "", record.budget, None, tokens, rate)


def _of_samples(record: Record, shared: set[str], tokens: Sequence[int]) -> Iterator[BudgetPoint]:
    """The points of voting and of the likeliest, by number of samples."""
    drawn: dict[str, Paths] = defaultdict(list)
    for path in record.paths:
        if path.problem in shared:
            drawn[path.problem].append(path)
    each = fmean(path.tokens for paths in drawn.values() for path in paths)
    most = min(map(len, drawn.values()))
    fit = [(int(budget // each), budget) for budget in sorted(tokens)]
    points: list[tuple[int, int | None]] = [(k, budget) for k, budget in fit if 1 <= k <= most]
    points += [(k, None) for k in sizes(most) if k not in dict(points)]
    for kind, choose in CHOOSE.items():
        for k, budget in sorted(points, key=lambda point: point[0]):
            rate = mean_of([_blocks(paths, k, choose) for paths in drawn.values()])
            yield BudgetPoint(record.model, kind, record.reasoner, "", budget, k, k * each, rate)


def _blocks(paths: Paths, k: int, choose: Choose) -> float:
    """The share of the disjoint blocks of k samples whose chosen one is right."""
    right = []
    for at in range(0, len(paths) - k + 1, k):
        block = paths[at : at + k]
        ranked = likeliest([path.logprob for path in block])
        pick = choose([path.answer for path in block], ranked)
        right.append(pick is not None and block[pick].verdict.correct)
    return fmean(right)

"""Success against tokens a problem: single pass, samples and searches on one curve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from statistics import fmean
from typing import Any

from ltf_lite.evaluation.compare import key
from ltf_lite.evaluation.success import mean_interval, sizes, wilson
from ltf_lite.reasoners import TREES
from ltf_lite.reasoners.cot import likeliest, majority

MODELS = ("base", "tuned")
NAMES = {"greedy": "single pass", "tot": "tree of thoughts", "rap": "RAP"}

Paths = list[dict[str, Any]]
Choose = Callable[[list[str | None], list[int]], int | None]

CHOOSE: dict[str, Choose] = {
    "self-consistency": majority,
    "best of n": lambda answers, ranked: ranked[0],
}


def curve(
    records: Iterable[dict[str, Any]],
    budget_records: Iterable[dict[str, Any]],
    tokens: Sequence[int],
) -> list[dict[str, Any]]:
    """Points of base and tuned model, on the problems that all of these records share.

    `records` are a run's evaluation records with their paths, `budget_records` those of the
    searches at a budget each, `tokens` the budgets to compare at. A point has model, answer,
    `budget`, the `tokens` generated a problem, rate, `low`, `high`, `n` problems and, of k samples,
    `samples` = k. A search stands at each budget, and without one at None. The single pass is one
    point, for more tokens change nothing. Of samples there are k = 1, 2, 4, … and all of them, at k
    times a sample's mean tokens, and for each budget the most that fit it; their rate is the mean
    over problems of the mean over disjoint blocks of k. A budget that all samples do not use up has
    no point of theirs.
    """
    used = [*filter(_unlimited, records)]
    used += [r for r in budget_records if r["settings"]["budget"] in tokens]
    told = [(kind, r) for r in used if r["model"] in MODELS for kind in _kinds(r)]
    problems = [{key(problem) for problem in r["problems"]} for _, r in told]
    shared = set.intersection(*problems) if problems else set()
    points: list[dict[str, Any]] = []
    for model in MODELS if shared else ():
        for kind in ("greedy", "sample", *TREES):
            own = [r for k, r in told if k == kind and r["model"] == model]
            own.sort(key=lambda r: (_settings(r), r["settings"].get("budget", inf)))
            several = len({_settings(r) for r in own}) > 1
            for r in own:
                by = f" ({_settings(r)})" if several else ""
                sampled = kind == "sample"
                found = _of_samples(r, shared, tokens) if sampled else _whole(r, kind, shared)
                points += [{"model": model, **p, "answer": p["answer"] + by} for p in found]
    return points


def _unlimited(record: dict[str, Any]) -> bool:
    return "budget" not in record["settings"]


def _kinds(record: dict[str, Any]) -> list[str]:
    """What a record has for the curve: a single pass, samples to choose from, a search."""
    if "sample" in record["rates"]:
        return ["sample"] if record.get("pass_at") else []
    return [kind for kind in NAMES if kind in record["rates"]]


def _settings(record: dict[str, Any]) -> str:
    """The settings of a record's reasoner but its budget, as its label has them."""
    return " ".join(f"{k}={v}" for k, v in record["settings"].items() if k != "budget")


def _whole(record: dict[str, Any], kind: str, shared: set[str]) -> Iterator[dict[str, Any]]:
    """The point of a single pass or of a search."""
    rows = zip(record["problems"], record["solved"][kind], record["spent"], strict=True)
    told = [(mark == "1", spent) for problem, mark, spent in rows if key(problem) in shared]
    right = sum(solved for solved, _ in told)
    low, high = wilson(right, len(told))
    yield {
        "answer": NAMES[kind], "budget": record["settings"].get("budget"), "samples": None,
        "tokens": fmean(spent for _, spent in told),
        "rate": right / len(told), "low": low, "high": high, "n": len(told),
    }  # fmt: skip


def _of_samples(
    record: dict[str, Any], shared: set[str], tokens: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """The points of voting and of the likeliest, by number of samples."""
    drawn: dict[str, Paths] = defaultdict(list)
    for path in record["paths"]:
        if (name := key(path["problem"])) in shared:
            drawn[name].append(path)
    each = fmean(path["tokens"] for paths in drawn.values() for path in paths)
    most = min(map(len, drawn.values()))
    fit = [(int(budget // each), budget) for budget in sorted(tokens)]
    points: list[tuple[int, int | None]] = [(k, budget) for k, budget in fit if 1 <= k <= most]
    points += [(k, None) for k in sizes(most) if k not in dict(points)]
    for answer, choose in CHOOSE.items():
        for k, budget in sorted(points, key=lambda point: point[0]):
            means = [_blocks(paths, k, choose) for paths in drawn.values()]
            low, high = mean_interval(means)
            yield {
                "answer": answer, "budget": budget, "samples": k, "tokens": k * each,
                "rate": fmean(means), "low": low, "high": high, "n": len(means),
            }  # fmt: skip


def _blocks(paths: Paths, k: int, choose: Choose) -> float:
    """The share of the disjoint blocks of k samples whose chosen one is right."""
    right = []
    for at in range(0, len(paths) - k + 1, k):
        block = paths[at : at + k]
        ranked = likeliest([path["logprob"] for path in block])
        pick = choose([path["answer"] for path in block], ranked)
        right.append(pick is not None and block[pick]["correct"])
    return fmean(right)

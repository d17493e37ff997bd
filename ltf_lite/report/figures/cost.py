"""Figures of what answers cost: success at equal token budgets, and when training pays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ltf_lite.core.text import in_questions
from ltf_lite.evaluation.budget import BudgetPoint
from ltf_lite.evaluation.cost import BreakEven, CostLine, Paid, lines
from ltf_lite.evaluation.naming import size_of, worded
from ltf_lite.evaluation.types import Result
from ltf_lite.report.figures.drawing import (
    WORDS,
    SearchLook,
    blank,
    finish,
    legend_below,
    log_axis,
    search_looks,
)

# Kind of choice → its look; a search of its own has the look of its turn.
KINDS = {
    "single_pass": SearchLook("#b3246b", "-", "*"),
    "self_consistency": SearchLook("#2a6fb0", (0, (6, 1.5, 1, 1.5)), "s"),
    "best_of_n": SearchLook("#7b52c7", (0, (1, 1.2)), "^"),
}
WIDE = 46  # characters of a line of the legend, for a phone
QUALITIES = {"better": "pays", "worse": "unequal", "can't tell": "unsure"}  # each with its word
MODELS: dict[str, Any] = {"base": (0, (4, 2)), "tuned": "-"}  # line styles; the base is hollow


class Curve(NamedTuple):
    """One way of answering of one model."""

    model: str
    kind: str
    reasoner: str
    by: str


def budget_figure(points: Sequence[BudgetPoint], words: Mapping[str, str] = WORDS) -> Figure:
    """Success (%, 95 % interval) against generated tokens a problem (log axis), at equal budgets.

    A single pass is one point with a thin line on: a larger budget changes nothing for it.
    """
    figure = blank(4.2)
    axes = figure.subplots()
    shown = sorted((p for p in points if p.tokens > 0), key=lambda p: p.tokens)
    finish(axes, words["rates"], words["tokens"], shown, words)
    if not shown:
        return figure
    low, high = shown[0].tokens, shown[-1].tokens
    axes.set_xscale("log")
    axes.set_xlim(low / 1.3, max(high * 1.3, low * 4))
    axes.set_ylim(0, min(103, 100 * max(p.rate.high for p in shown) + 4))
    log_axis(axes.xaxis, *axes.get_xlim())
    curves: dict[Curve, list[BudgetPoint]] = {}
    for p in shown:
        curves.setdefault(Curve(p.model, p.kind, p.reasoner, p.by), []).append(p)
    own = _looks(p.reasoner for p in points if p.kind == "search")
    for curve, its in curves.items():
        _answer(axes, _look(own, curve.kind, curve.reasoner), curve.model, its)
    _answers_legend(axes, [its[0] for its in curves.values()], own, words)
    return figure


def _looks(searches: Iterable[str]) -> dict[str, SearchLook]:
    return {**KINDS, **search_looks(sorted(set(searches)))}


def _look(own: Mapping[str, SearchLook], kind: str, reasoner: str) -> SearchLook:
    """The look of a way of answering; a second search has that of its reasoner."""
    return KINDS[kind] if kind in KINDS else own[reasoner]


def _answer(axes: Axes, look: SearchLook, model: str, points: Sequence[BudgetPoint]) -> None:
    tokens, rates = [p.tokens for p in points], [p.rate for p in points]
    below = [100 * (rate.rate - rate.low) for rate in rates]
    above = [100 * (rate.high - rate.rate) for rate in rates]
    star = look.marker == "*"
    axes.errorbar(
        tokens,
        [100 * rate.rate for rate in rates],
        yerr=[below, above],
        color=look.color,
        linestyle=MODELS[model],
        linewidth=1.6,
        elinewidth=0.9,
        capsize=2,
        marker=look.marker,
        markersize=11 if star else 6,
        markerfacecolor=look.color if model == "tuned" else "white",
        markeredgewidth=1.2,
    )
    if star:
        end, height = axes.get_xlim()[1], 100 * rates[0].rate
        dots = (0, (1, 2))
        axes.hlines(height, tokens[0], end, colors=look.color, linewidth=0.9, linestyles=dots)


def _answers_legend(
    axes: Axes,
    first: Sequence[BudgetPoint],
    own: Mapping[str, SearchLook],
    words: Mapping[str, str],
) -> None:
    """Answers by colour and marker, models by line and filling; `first` points of each curve."""
    handles, answers = [], {(p.kind, p.reasoner, p.by): p for p in reversed(first)}
    for p in reversed(answers.values()):
        look = _look(own, p.kind, p.reasoner)
        handles.append(
            Line2D(
                [],
                [],
                color=look.color,
                marker=look.marker,
                linestyle="none",
                markersize=10 if look.marker == "*" else 6,
                label=_word(p, words),
            )
        )
    for model, style in MODELS.items():
        if any(p.model == model for p in first):
            face = "black" if model == "tuned" else "white"
            line = Line2D([], [], color="black", linestyle=style, marker="o", label=words[model])
            line.set(markersize=6, markerfacecolor=face)
            handles.append(line)
    legend_below(axes, 2, handles)


def _word(point: BudgetPoint, words: Mapping[str, str]) -> str:
    """The word for a way of answering, with its settings."""
    name = {"single_pass": "single", "search": point.reasoner}.get(point.kind, point.kind)
    word = words.get(name, point.title)
    return f"{word} ({point.by})" if point.by else word


def break_even_figure(found: BreakEven | None, words: Mapping[str, str] = WORDS) -> Figure:
    """Total cost against questions asked (both log): training and single pass, and each search.

    Where a search has cost as much as training and single pass there is a point, hollow unless the
    single pass is known to solve more.
    """
    figure = blank(4.2)
    axes = figure.subplots()
    ours, *searches = lines(found) if found else [CostLine("", 0, 0)]
    finish(axes, words["cost"], words["questions"], searches, words)
    if not found or not searches:
        return figure
    counts = (row.questions for row in found.searches)
    most = 20 * max(filter(None, counts), default=5e4)
    asked = np.geomspace(max(1.0, most / 1e6), most, 100)
    axes.set(xscale="log", yscale="log", xlim=(asked[0], most))
    total = ours.fixed + ours.each * asked
    axes.plot(asked, total, color="black", linewidth=2.4, label=words["trained"])
    results = [row.cost.result for row in found.searches]
    own = _looks(one.reasoner for one in results if one.choice.kind == "search")
    for row in found.searches:
        _search(axes, asked, row, _look_of(own, row.cost.result), words)
    # A search of few questions costs next to nothing: that corner is empty.
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-3 * ours.fixed))
    log_axis(axes.xaxis, *axes.get_xlim())
    log_axis(axes.yaxis, *axes.get_ylim())
    legend_below(axes, 1)
    return figure


def _named(found: Result, words: Mapping[str, str]) -> str:
    """A way of answering with its settings, in the words of the figure where it has them."""
    if found.choice.kind == "search" and found.reasoner in words:
        return worded(found.reasoner, found.settings, False, words)
    word = {"self_consistency": "voted", "best_of_n": "likeliest"}.get(found.choice.kind)
    many = size_of(found.choice)
    plain = word and many and not found.settings.get("grammar")
    return words[word].format(n=many) if word and plain else found.answer


def _look_of(own: Mapping[str, SearchLook], result: Result) -> SearchLook:
    return _look(own, result.choice.kind, result.reasoner)


def _search(
    axes: Axes, asked: np.ndarray, row: Paid, look: SearchLook, words: Mapping[str, str]
) -> None:
    """What a search costs, and where training has cost as much."""
    each, n = row.cost.each, row.questions
    line: dict[str, Any] = {"color": look.color, "linestyle": look.line, "linewidth": 1.6}
    axes.plot(asked, each * asked, **line)
    word = "never" if n is None else QUALITIES[row.quality]
    name = _named(row.cost.result, words)
    label = words[word].format(name=name, n=in_questions(n))
    at = [] if n is None else [n]
    axes.plot(
        at,
        [each * n for n in at],
        marker=look.marker,
        markersize=9,
        zorder=3,
        markeredgewidth=1.6,
        markerfacecolor=look.color if word == "pays" else "white",
        label=fill(label, WIDE),
        **line,
    )

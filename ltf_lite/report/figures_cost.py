"""Figures of what answers cost: success at equal token budgets, and when training pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ltf_lite.evaluation.cost import lines
from ltf_lite.report.drawing import WORDS, blank, finish, legend_below, log_axis

# Answer of `evaluation.budget.curve` → its word, colour and marker.
ANSWERS = {
    "single pass": ("single", "#b3246b", "*"),
    "self-consistency": ("self_consistency", "#2a6fb0", "s"),
    "best of n": ("best_of_n", "#7b52c7", "^"),
    "tree of thoughts": ("tot", "#c2571a", "D"),
    "RAP": ("rap", "#0b6e4f", "v"),
}
STYLES: dict[str, Any] = {  # of a search's line, by its marker
    "s": (0, (6, 1.5, 1, 1.5)), "^": (0, (1, 1.2)), "D": (0, (6, 1.5)), "v": (0, (2.5, 1.2)),
}  # fmt: skip
WIDE = 46  # characters of a line of the legend, for a phone
QUALITIES = {"better": "pays", "worse": "unequal", "can't tell": "unsure"}  # each with its word
MODELS: dict[str, Any] = {"base": (0, (4, 2)), "tuned": "-"}  # line styles; the base is hollow


def budget_figure(points: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS) -> Figure:
    """Success (%, 95 % interval) against generated tokens a problem (log axis), at equal budgets.

    `points` are rows of `evaluation.budget.curve`, of both models. A single pass is one point with
    a thin line on: a larger budget changes nothing for it.
    """
    figure = blank(4.2)
    axes = figure.subplots()
    shown = sorted((p for p in points if p["tokens"] > 0), key=lambda p: p["tokens"])
    finish(axes, words["rates"], words["tokens"], shown, words)
    if not shown:
        return figure
    low, high = shown[0]["tokens"], shown[-1]["tokens"]
    axes.set_xscale("log")
    axes.set_xlim(low / 1.3, max(high * 1.3, low * 4))
    axes.set_ylim(0, min(103, 100 * max(p["high"] for p in shown) + 4))
    log_axis(axes.xaxis, *axes.get_xlim())
    both = dict.fromkeys((p["answer"], p["model"]) for p in shown)
    for answer, model in both:
        own = [p for p in shown if (p["answer"], p["model"]) == (answer, model)]
        _answer(axes, answer, model, own)
    _answers_legend(axes, list(both), words)
    return figure


def _look(answer: str) -> tuple[str, str, str]:
    """A second tree search has the look of its kind, and its settings in the name."""
    kind = answer.partition(" (")[0]
    return ANSWERS.get(kind, (kind, "#555555", "o"))


def _answer(axes: Axes, answer: str, model: str, points: Sequence[Mapping[str, Any]]) -> None:
    _, color, marker = _look(answer)
    tokens = [p["tokens"] for p in points]
    rate, low, high = ([100 * p[key] for p in points] for key in ("rate", "low", "high"))
    below = [a - b for a, b in zip(rate, low, strict=True)]
    above = [b - a for a, b in zip(rate, high, strict=True)]
    axes.errorbar(
        tokens, rate, yerr=[below, above], color=color, linestyle=MODELS[model], linewidth=1.6,
        elinewidth=0.9, capsize=2, marker=marker, markersize=11 if marker == "*" else 6,
        markerfacecolor=color if model == "tuned" else "white", markeredgewidth=1.2,
    )  # fmt: skip
    if marker == "*":
        axes.hlines(rate[0], tokens[0], axes.get_xlim()[1], colors=color, linewidth=0.9,
                    linestyles=(0, (1, 2)))  # fmt: skip


def _answers_legend(axes: Axes, both: Sequence[tuple[str, str]], words: Mapping[str, str]) -> None:
    """Answers by colour and marker, models by line and filling."""
    handles = []
    for answer in dict.fromkeys(answer for answer, _ in both):
        word, color, marker = _look(answer)
        settings = answer.partition(" (")[1:]
        handles.append(Line2D([], [], color=color, marker=marker, linestyle="none",
                              markersize=10 if marker == "*" else 6,
                              label=words.get(word, word) + "".join(settings)))  # fmt: skip
    for model, style in MODELS.items():
        if any(own == model for _, own in both):
            handles.append(Line2D([], [], color="black", linestyle=style, marker="o", markersize=6,
                                  markerfacecolor="black" if model == "tuned" else "white",
                                  label=words[model]))  # fmt: skip
    legend_below(axes, 2, handles)


def break_even_figure(result: Mapping[str, Any], words: Mapping[str, str] = WORDS) -> Figure:
    """Total cost against questions asked (both log): training and single pass, and each search.

    `result` is that of `evaluation.cost.break_even`. Where a search has cost as much as training
    and single pass there is a point, hollow unless the single pass is known to solve more.
    """
    figure = blank(4.2)
    axes = figure.subplots()
    ours, *searches = lines(result)
    finish(axes, words["cost"], words["questions"], searches, words)
    if not searches:
        return figure
    paid = [row["questions"] for row in result["searches"]]
    most = 20 * max(filter(None, paid), default=5e4)
    asked = np.geomspace(max(1.0, most / 1e6), most, 100)
    axes.set(xscale="log", yscale="log", xlim=(asked[0], most))
    axes.plot(asked, ours["fixed"] + ours["each"] * asked, color="black", linewidth=2.4,
              label=words["trained"])  # fmt: skip
    for line, n in zip(searches, paid, strict=True):
        _search(axes, asked, line, n, words)
    # A search of few questions costs next to nothing: that corner is empty.
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-3 * ours["fixed"]))
    log_axis(axes.xaxis, *axes.get_xlim())
    log_axis(axes.yaxis, *axes.get_ylim())
    legend_below(axes, 1)
    return figure


def _search(
    axes: Axes, asked: np.ndarray, line: Mapping[str, Any], n: float | None,
    words: Mapping[str, str],
) -> None:  # fmt: skip
    """What a search costs, and where training has cost as much."""
    _, color, marker = _look(_kind(line["name"]))
    look = {"color": color, "linestyle": STYLES.get(marker, "--"), "linewidth": 1.6}
    axes.plot(asked, line["each"] * asked, **look)
    word = "never" if n is None else QUALITIES[line["quality"]]
    label = words[word].format(name=line["name"], n=None if n is None else f"{n:,.0f}")
    label = fill(label, WIDE)
    at = [] if n is None else [n]
    axes.plot(at, [line["each"] * each for each in at], marker=marker, markersize=9, zorder=3,
              markeredgewidth=1.6, markerfacecolor=color if word == "pays" else "white",
              label=label, **look)  # fmt: skip


def _kind(name: str) -> str:
    """The kind of a search by its name in the results: `best of n` of `best of 8 by likelihood`."""
    return "best of n" if name.startswith("best of ") else name.partition("@")[0]

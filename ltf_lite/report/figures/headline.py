"""Pictures as files, and the headline: success against tokens, models × ways of answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltf_lite.core.files import whole
from ltf_lite.evaluation.naming import short_name, size_of, title_of
from ltf_lite.evaluation.types import Rate, Result
from ltf_lite.reasoners.choice import ORACLE
from ltf_lite.report.figures.drawing import TEXT, WORDS, blank, columns, finish, log_axis

COLORS = {"base": "#9a6324", "tuned": "#0b6e4f", "none": "#8a8a8a"}
LETTER, LINE, GAP = 0.0185, 0.06, 0.024  # of a name, as shares of the axes

Measure = Literal["tokens", "seconds"]  # of a problem
Box = tuple[float, float, float, float]  # left, right, low, high


def short_label(row: Result, words: Mapping[str, str] = WORDS) -> str:
    """A model and a way of answering, in a few words."""
    named = "single" if row.choice.kind == "single_pass" else row.reasoner
    own = words.get(named) if row.choice.kind in ("single_pass", "search") else None
    way = _of_samples(row, words) or own or short_name(row.choice, row.reasoner)
    if own and row.choice.is_bound:
        way = words["bounded"].format(name=own)
    return f"{words.get(row.model, row.model)}: {way}"


def _of_samples(row: Result, words: Mapping[str, str]) -> str:
    """What is chosen among samples, where their number is known; "" for everything else."""
    named = {"self_consistency": "voted", "best_of_n": "short_likeliest", "oracle": "picked"}
    if row.choice.kind == "sample":
        return words["one_sample"]
    word, many = named.get(row.choice.kind), size_of(row.choice)
    return words[word].format(n=many) if word and many else ""


def write_png(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG on white, 150 pixels an inch."""
    with whole(file) as half:
        figure.savefig(half, format="png", dpi=150, bbox_inches="tight", facecolor="white")


def headline_figure(
    results: Sequence[Result], words: Mapping[str, str] = WORDS, of: Measure = "tokens"
) -> Figure:
    """Success (%, 95 % interval) against what a problem costs: `tokens`, or `seconds` of wall time.

    The axis is logarithmic. What generates no token stands in no picture of tokens.
    """
    figure = blank(4.2)
    axes = figure.subplots()
    # The paths that a tree explored are in the tables; here their oracle would only hide its tree.
    shown = [
        row
        for row in results
        if row.model in ("base", "tuned") and not _of_a_tree(row) and _at(row, of) > 0
    ]
    for row in shown:
        _point(axes, row, of)
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.set_ylim(0, min(100, 12 + 100 * max((row.rate.high for row in shown), default=1)))
    if shown:
        log_axis(axes.xaxis, *axes.get_xlim())
    chance = (row for row in results if row.choice.is_floor)
    _label(axes, shown, _floor(axes, next(chance, None), words), words, of)
    bound = any(row.choice.is_bound for row in shown)
    finish(axes, words["rates"], None, shown, words)
    note = f"\n{words['bound']}" if bound else ""
    axes.set_xlabel(words["tokens" if of == "tokens" else "milliseconds"] + note, fontsize=TEXT)
    if shown:
        log_axis(axes.xaxis, *axes.get_xlim())
    return figure


def _at(row: Result, of: Measure) -> float:
    """Where a row stands: tokens, or milliseconds."""
    return row.cost.tokens if of == "tokens" else 1000 * row.cost.seconds


def _of_a_tree(row: Result) -> bool:
    """Whether the verifier picks among the paths of a tree."""
    return row.choice == ORACLE


def _point(axes: Axes, row: Result, of: Measure) -> None:
    """A star for a single pass, a disc for a search, hollow where the verifier picks."""
    rate, low, high = _percents(row.rate)
    color, single = COLORS[row.model], row.choice.kind == "single_pass"
    axes.errorbar(
        _at(row, of),
        rate,
        yerr=[[rate - low], [high - rate]],
        color=color,
        capsize=3,
        linestyle="none",
        marker="*" if single else "o",
        markersize=16 if single else 7,
        markerfacecolor="white" if row.choice.is_bound else color,
    )


def _percents(found: Rate) -> tuple[float, float, float]:
    return 100 * found.rate, 100 * found.low, 100 * found.high


def _floor(axes: Axes, row: Result | None, words: Mapping[str, str]) -> list[Box]:
    """What chance alone solves as a dotted line, since it asks no model; where its name stands."""
    if row is None:
        return []
    name = words.get(row.reasoner) or title_of(row.reasoner)
    rate, color = 100 * row.rate.rate, COLORS["none"]
    axes.axhline(rate, color=color, linestyle=":", linewidth=1.2, zorder=0)
    across = axes.get_yaxis_transform()
    axes.text(
        0.99,
        rate + 0.8,
        name,
        va="bottom",
        ha="right",
        fontsize=TEXT,
        color=color,
        transform=across,
    )
    height = rate / axes.get_ylim()[1]
    return [(0.99 - LETTER * columns(name), 0.99, height, height + LINE)]


def _label(
    axes: Axes,
    shown: Sequence[Result],
    taken: Sequence[Box],
    words: Mapping[str, str],
    of: Measure,
) -> None:
    """Name every point beside it, where no other name, point or interval is in the way.

    A name that had to go further away has a thin line to its point.
    """
    to_axes = axes.transData + axes.transAxes.inverted()

    def place(row: Result, percent: float) -> tuple[float, float]:
        x, y = to_axes.transform((_at(row, of), percent))
        return float(x), float(y)

    full = list(taken)
    for row in shown:
        (x, y), (_, low), (_, high) = (place(row, at) for at in _percents(row.rate))
        full += [(x - GAP / 2, x + GAP / 2, y - GAP / 2, y + GAP / 2), (x, x, low, high)]
    for row in sorted(shown, key=lambda row: row.rate.rate):
        x, y = place(row, 100 * row.rate.rate)
        name = short_label(row, words)
        box = _spot(x, y, LETTER * columns(name), full)
        full.append(box)
        _name(axes, name, COLORS[row.model], (x, y), box)


def _spot(x: float, y: float, width: float, full: list[Box]) -> Box:
    """The nearest free place for a name beside its point, above or below; else the nearest of all.

    Where none is free it is the first one within the axes.
    """
    beside = [
        (left, left + width, at - LINE / 2, at + LINE / 2)
        for shift in range(60)
        for at in (y + shift * LINE / 3, y - shift * LINE / 3)
        for left in (x + GAP, x - GAP - width)
    ]
    rest = [
        (left, left + width, at, at + LINE)
        for left in np.arange(0, 1 - width, GAP)
        for at in np.arange(0, 1 - LINE, LINE / 3)
    ]
    rest.sort(key=lambda box: hypot(_edge(x, box) - x, (box[2] + box[3]) / 2 - y))
    spots = [*beside, *rest]
    inside = [spot for spot in spots if _free(spot, [])]
    return next((spot for spot in inside if _free(spot, full)), (inside or spots)[0])


def _edge(x: float, box: Box) -> float:
    """Where within a box something at x is nearest."""
    return min(max(x, box[0]), box[1])


def _name(axes: Axes, name: str, color: str, point: tuple[float, float], box: Box) -> None:
    """A name in its place, with a line to its point where that is far."""
    (x, y), within = point, axes.transAxes
    height = (box[2] + box[3]) / 2
    at, ha = (box[1], "right") if box[1] < x else (box[0], "left")
    axes.text(at, height, name, fontsize=TEXT, transform=within, color=color, va="center", ha=ha)
    edge = _edge(x, box)
    if abs(height - y) > LINE / 2 or abs(edge - x) > 2 * GAP:
        if box[0] < x < box[1]:  # from above or below, not through the name
            height = box[2] if height > y else box[3]
        axes.plot([x, edge], [y, height], transform=within, linewidth=0.6, color=color, zorder=0)


def _free(box: Box, taken: list[Box]) -> bool:
    """Whether a box is within the axes and overlaps none of these."""
    left, right, low, high = box
    inside = left >= 0 and right <= 1 and low >= 0 and high <= 1
    return inside and all(right < a or left > b or high < c or low > d for a, b, c, d in taken)

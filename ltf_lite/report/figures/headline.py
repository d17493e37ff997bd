"""Pictures as files, and the headline: success against seconds, models × ways of answering."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from ltf_lite.core.files import whole
from ltf_lite.evaluation.naming import short_name, title_of
from ltf_lite.evaluation.types import Rate, Result
from ltf_lite.reasoners.choice import ORACLE
from ltf_lite.report.figures.drawing import TEXT

COLORS = {"base": "#9a6324", "tuned": "#0b6e4f", "none": "#8a8a8a"}
LETTER, LINE, GAP = 0.0135, 0.05, 0.018  # of a name, as shares of the axes

Box = tuple[float, float, float, float]  # left, right, low, high


def short_label(row: Result) -> str:
    return f"{row.model}: {short_name(row.choice, row.reasoner)}"


def write_png(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG on white, 150 pixels an inch."""
    with whole(file) as half:
        figure.savefig(half, format="png", dpi=150, bbox_inches="tight", facecolor="white")


def headline_figure(results: Sequence[Result]) -> Figure:
    """Success (%, 95 % interval) against milliseconds a problem (log axis).

    It is made without pyplot, which keeps every figure and is not for threads.
    """
    figure = Figure(figsize=(9, 5.4))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # The paths that a tree explored are in the tables; here their oracle would only hide its tree.
    shown = [row for row in results if row.model in ("base", "tuned") and not _of_a_tree(row)]
    for row in shown:
        _point(axes, row)
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.set_ylim(0, min(100, 12 + 100 * max((row.rate.high for row in shown), default=1)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(NullLocator())
    chance = (row for row in results if row.choice.is_floor)
    _label(axes, shown, _floor(axes, next(chance, None)))
    axes.set_xlabel("milliseconds a problem (asked in bulk, log scale)")
    axes.set_ylabel("test problems solved, % (95 % interval)")
    axes.set_title("Single pass after tuning against search before it", loc="left", fontsize=12)
    note = "Hollow: the verifier picks among the paths; an upper bound, no search."
    axes.text(0, -0.16, note, transform=axes.transAxes, fontsize=TEXT, color="#555555")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    return figure


def _of_a_tree(row: Result) -> bool:
    """Whether the verifier picks among the paths of a tree."""
    return row.choice == ORACLE


def _point(axes: Axes, row: Result) -> None:
    """A star for a single pass, a disc for a search, hollow where the verifier picks."""
    rate, low, high = _percents(row.rate)
    color, single = COLORS[row.model], row.choice.kind == "single_pass"
    axes.errorbar(
        1000 * row.cost.seconds,
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


def _floor(axes: Axes, row: Result | None) -> list[Box]:
    """What chance alone solves as a dotted line, since it asks no model; where its name stands."""
    if row is None:
        return []
    name, rate, color = title_of(row.reasoner), 100 * row.rate.rate, COLORS["none"]
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
    return [(0.99 - LETTER * len(name), 0.99, height, height + LINE)]


def _label(axes: Axes, shown: Sequence[Result], taken: Sequence[Box]) -> None:
    """Name every point beside it, where no other name, point or interval is in the way.

    A name that had to go further away has a thin line to its point.
    """
    to_axes = axes.transData + axes.transAxes.inverted()

    def place(row: Result, percent: float) -> tuple[float, float]:
        x, y = to_axes.transform((1000 * row.cost.seconds, percent))
        return float(x), float(y)

    full = list(taken)
    for row in shown:
        (x, y), (_, low), (_, high) = (place(row, at) for at in _percents(row.rate))
        full += [(x - GAP / 2, x + GAP / 2, y - GAP / 2, y + GAP / 2), (x, x, low, high)]
    for row in sorted(shown, key=lambda row: row.rate.rate):
        x, y = place(row, 100 * row.rate.rate)
        box = _spot(x, y, LETTER * len(short_label(row)), full)
        full.append(box)
        _name(axes, row, (x, y), box)


def _spot(x: float, y: float, width: float, full: list[Box]) -> Box:
    """The nearest free place for a name, else the one beside its point."""
    spots = [
        (left, left + width, at - LINE / 2, at + LINE / 2)
        for shift in range(60)
        for at in (y + shift * LINE / 3, y - shift * LINE / 3)
        for left in (x + GAP, x - GAP - width)
    ]
    return next((spot for spot in spots if _free(spot, full)), spots[0])


def _name(axes: Axes, row: Result, point: tuple[float, float], box: Box) -> None:
    """A name in its place, with a line to its point where that is far."""
    (x, y), color, within = point, COLORS[row.model], axes.transAxes
    right, height = box[0] > x, (box[2] + box[3]) / 2
    edge, ha = (box[0], "left") if right else (box[1], "right")
    name = short_label(row)
    axes.text(edge, height, name, fontsize=TEXT, transform=within, color=color, va="center", ha=ha)
    if abs(height - y) > LINE / 2:
        axes.plot([x, edge], [y, height], transform=within, linewidth=0.6, color=color, zorder=0)


def _free(box: Box, taken: list[Box]) -> bool:
    """Whether a box is within the axes and overlaps none of these."""
    left, right, low, high = box
    inside = left >= 0 and right <= 1 and low >= 0 and high <= 1
    return inside and all(right < a or left > b or high < c or low > d for a, b, c, d in taken)

"""Pictures as files, and the headline: success against seconds, models × ways of answering."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from ltf_lite.report.drawing import TEXT

COLORS = {"base": "#9a6324", "tuned": "#0b6e4f", "none": "#8a8a8a"}
SHORT = {"greedy": "single pass", "sample": "one sample"}
LETTER, LINE, GAP = 0.0135, 0.05, 0.018  # of a name, as shares of the axes

Box = tuple[float, float, float, float]  # left, right, low, high


def short_name(row: dict[str, Any]) -> str:
    choice = row["choice"].replace("best-of-n@", "best of ")
    return f"{row['model']}: {SHORT.get(choice, choice)}"


def write_png(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG on white, 150 pixels an inch."""
    part = file.with_suffix(".tmp")
    figure.savefig(part, format="png", dpi=150, bbox_inches="tight", facecolor="white")
    os.replace(part, file)


def headline_figure(table: list[dict[str, Any]]) -> Figure:
    """Success (%, 95 % interval) against milliseconds a problem (log axis).

    `table` is the rows of `report.results.rows`. Without pyplot, which keeps every figure and is
    not for threads.
    """
    figure = Figure(figsize=(9, 5.4))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # The paths that a tree explored are in the tables; here their oracle would only hide its tree.
    shown = [r for r in table if r["model"] in ("base", "tuned") and r["choice"] != "oracle"]
    for row in shown:
        _point(axes, row)
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.set_ylim(0, min(100, 12 + 100 * max((r["high"] for r in shown), default=1)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(NullLocator())
    _label(axes, shown, _floor(axes, next((r for r in table if r["choice"] == "random"), None)))
    axes.set_xlabel("milliseconds a problem (asked in bulk, log scale)")
    axes.set_ylabel("test problems solved, % (95 % interval)")
    axes.set_title("Single pass after tuning against search before it", loc="left", fontsize=12)
    note = "Hollow: the verifier picks among the paths; an upper bound, no search."
    axes.text(0, -0.16, note, transform=axes.transAxes, fontsize=TEXT, color="#555555")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    return figure


def _point(axes, row: dict[str, Any]) -> None:
    """A star for a single pass, a disc for a search, hollow where the verifier picks."""
    rate, low, high = (100 * row[key] for key in ("rate", "low", "high"))
    color, single = COLORS[row["model"]], row["choice"] == "greedy"
    axes.errorbar(
        1000 * row["seconds"], rate, yerr=[[rate - low], [high - rate]], color=color,
        capsize=3, linestyle="none", marker="*" if single else "o",
        markersize=16 if single else 7,
        markerfacecolor="white" if row["choice"].startswith("oracle") else color,
    )  # fmt: skip


def _floor(axes, row: dict[str, Any] | None) -> list[Box]:
    """The random walk as a dotted line, since it asks no model; where its name stands."""
    if row is None:
        return []
    axes.axhline(100 * row["rate"], color=COLORS["none"], linestyle=":", linewidth=1.2, zorder=0)
    axes.text(0.99, 100 * row["rate"] + 0.8, "random legal steps", va="bottom", ha="right",
              fontsize=TEXT, color=COLORS["none"],
              transform=axes.get_yaxis_transform())  # fmt: skip
    height = row["rate"] * 100 / axes.get_ylim()[1]
    return [(0.99 - LETTER * len("random legal steps"), 0.99, height, height + LINE)]


def _label(axes, shown: list[dict[str, Any]], taken: list[Box]) -> None:
    """Name every point beside it, where no other name, point or interval is in the way.

    A name that had to go further away has a thin line to its point.
    """
    to_axes = axes.transData + axes.transAxes.inverted()

    def place(row: dict[str, Any], key: str) -> tuple[float, float]:
        x, y = to_axes.transform((1000 * row["seconds"], 100 * row[key]))
        return float(x), float(y)

    taken = list(taken)
    for row in shown:
        (x, y), low, high = place(row, "rate"), place(row, "low")[1], place(row, "high")[1]
        taken += [(x - GAP / 2, x + GAP / 2, y - GAP / 2, y + GAP / 2), (x, x, low, high)]
    for row in sorted(shown, key=lambda r: r["rate"]):
        (x, y), width = place(row, "rate"), LETTER * len(short_name(row))
        spots = [
            (left, left + width, at - LINE / 2, at + LINE / 2)
            for shift in range(60)
            for at in (y + shift * LINE / 3, y - shift * LINE / 3)
            for left in (x + GAP, x - GAP - width)
        ]
        box = next((spot for spot in spots if _free(spot, taken)), spots[0])
        taken.append(box)
        right, height = box[0] > x, (box[2] + box[3]) / 2
        edge = box[0] if right else box[1]
        axes.text(edge, height, short_name(row), fontsize=TEXT, transform=axes.transAxes,
                  color=COLORS[row["model"]], va="center",
                  ha="left" if right else "right")  # fmt: skip
        if abs(height - y) > LINE / 2:
            axes.plot([x, edge], [y, height], transform=axes.transAxes, linewidth=0.6,
                      color=COLORS[row["model"]], zorder=0)  # fmt: skip


def _free(box: Box, taken: list[Box]) -> bool:
    """Whether a box is within the axes and overlaps none of these."""
    left, right, low, high = box
    inside = left >= 0 and right <= 1 and low >= 0 and high <= 1
    return inside and all(right < a or left > b or high < c or low > d for a, b, c, d in taken)

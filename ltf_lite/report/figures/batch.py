"""Figure and table of a comparison over many problems, single pass beside search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltf_lite.evaluation.types import Rate
from ltf_lite.report.figures.drawing import TEXT, WORDS, finish, panels
from ltf_lite.report.figures.headline import COLORS
from ltf_lite.report.tables.base import grid, percent


class Tally(Protocol):
    """One side so far: its rate with the 95 % interval, and means a problem."""

    @property
    def rate(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def tokens(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def runtime(self) -> str: ...


class Point(Protocol):
    """Both sides after `n` problems; `ratio` is of their mean tokens, search to single pass."""

    @property
    def n(self) -> int: ...
    @property
    def single(self) -> Tally: ...
    @property
    def search(self) -> Tally: ...
    @property
    def ratio(self) -> float | None: ...


def batch_figure(points: Sequence[Point], words: Mapping[str, str] = WORDS) -> Figure:
    """Success of single pass and search over the problems asked, and how much more it generates."""
    figure, (above, below) = panels(4.4, (1.5, 1))
    _side(above, points, [point.single for point in points], words["single"], "tuned")
    _side(above, points, [point.search for point in points], words["search"], "base")
    above.set_ylim(0, 103)
    times = [(point.n, point.ratio) for point in points if point.ratio is not None]
    if times:
        every = max(1, len(times) // 12)
        asked, ratios = zip(*times, strict=True)
        below.plot(asked, ratios, color="#555555", marker="o", markersize=3, markevery=every)
        below.annotate(
            f"{ratios[-1]:.3g}×",
            times[-1],
            (5, 0),
            va="center",
            textcoords="offset points",
            fontsize=10,
            weight="bold",
        )
    below.axhline(1, color="#7a7a7a", linestyle=":", linewidth=1)
    below.set_xlim(0, 1.14 * max([1, *(point.n for point in points)]))  # room for the last ratio
    below.set_ylim(0, max([1.2, *(1.2 * ratio for _, ratio in times)]))
    finish(above, words["rates"], None, points, words)
    if above.get_legend():  # on the line of the title, where it hides nothing
        above.legend(
            loc="lower right", bbox_to_anchor=(1.02, 1.01), ncol=2, frameon=False, fontsize=TEXT,
            borderaxespad=0, borderpad=0.1, columnspacing=1.1,
        )  # fmt: skip
    finish(below, words["ratio"], words["asked"], points, words)
    return figure


def _side(
    axes: Axes, points: Sequence[Point], tallies: Sequence[Tally], label: str, model: str
) -> None:
    """The rate of one side with its interval; the search, of the base's colour, is hollow."""
    if not points:
        return
    asked, color = [point.n for point in points], COLORS[model]
    low, high = [100 * one.low for one in tallies], [100 * one.high for one in tallies]
    edge = 6 if len(points) == 1 else 0  # a band of one point is a line
    axes.fill_between(asked, low, high, color=color, alpha=0.18, linewidth=edge)
    hollow = model == "base"
    axes.plot(
        asked,
        [100 * one.rate for one in tallies],
        "--" if hollow else "-",
        marker="s" if hollow else "o",
        markersize=5,
        color=color,
        linewidth=1.8,
        markerfacecolor="none" if hollow else color,
        markevery=max(1, len(points) // 12),
        label=label,
    )


def batch_table(points: Sequence[Point], say: Callable[[str], str] = str) -> str:
    """Where a comparison over many problems stands, as a Markdown table and a sentence.

    `say` says its English in another language.
    """
    if not points:
        return f"{say('No problem asked yet.')}\n"
    last = points[-1]
    rows = grid(
        map(say, ("answer", "solved [95 %]", "n", "tokens", "ms", "engine")),
        (
            (
                say(name),
                percent(Rate(side.rate, side.low, side.high, last.n)),
                last.n,
                f"{side.tokens:.0f}",
                f"{1000 * side.seconds:.1f}",
                side.runtime or "–",
            )
            for side, name in ((last.single, "single pass"), (last.search, "search"))
        ),
    )
    told = []
    if last.ratio is not None:
        told.append(f"Search generated {last.ratio:.3g} times the single pass's tokens.")
    if last.single.runtime != last.search.runtime:
        told.append("The times are of two engines and say nothing about the two ways.")
    return f"{rows}\n{' '.join(map(say, told))}\n" if told else rows

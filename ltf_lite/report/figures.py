"""Figures of a run and of a comparison, as inline SVG that follows the page's theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from ltf_lite.report.drawing import LOOKS, TEXT, WORDS, as_svg, blank, finish, nothing, panels
from ltf_lite.report.picture import COLORS
from ltf_lite.report.tables import grid, percent
from ltf_lite.tuning import checkpoints

__all__ = ["WORDS", "as_svg", "batch_figure", "batch_table", "curves_figure", "kinds_figure"]

SIDES = {"single": (COLORS["tuned"], "-", "o"), "search": (COLORS["base"], "--", "s")}


def curves_figure(lines: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS) -> Figure:
    """Learning curves: both losses (nats a token), and below them success on validation problems.

    `lines` are the rows of a run's `tuning/log.jsonl`; without any the figure says so.
    """
    figure, (above, below) = panels(4.6, (1.1, 1))
    drawn = _curve(above, lines, "learning", words["learning"], "o-", "#2a6fb0")
    if any(line.get("forgetting") for line in lines):  # zeros only: a method that forgets nothing
        drawn += _curve(above, lines, "forgetting", words["forgetting"], "s--", "#c2571a")
    if drawn and min(drawn) > 0:
        above.set_yscale("log")
        above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        above.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        above.yaxis.set_minor_locator(NullLocator())
    _curve(below, lines, "success", words["solved"], "o-", COLORS["tuned"], 100)
    _curve(below, lines, "valid_steps", words["valid_steps"], "^:", "#7a7a7a", 100)
    below.set_ylim(0, 105)
    finish(above, words["loss"], None, lines, words)
    finish(below, words["validation"], words["step"], lines, words)
    if lines:
        below.set_xlim(0, 1.05 * lines[-1]["step"])
        _mark(below, checkpoints.best(lines), words)
    return figure


def _curve(
    axes: Axes, lines: Sequence[Mapping[str, Any]], key: str, label: str, look: str, color: str,
    times: float = 1,
) -> list[float]:  # fmt: skip
    """One curve, where the lines have that key; its values."""
    points = [(line["step"], times * line[key]) for line in lines if key in line]
    values = [value for _, value in points]
    if points:
        axes.plot(
            [step for step, _ in points], values, look, markersize=4, color=color, label=label
        )
    return values


def _mark(axes: Axes, best: Mapping[str, Any], words: Mapping[str, str]) -> None:
    """A star at the step that was kept, and a line up to it."""
    rate = 100 * best["success"]
    axes.plot([best["step"]], [rate], "*", markersize=13, color=COLORS["tuned"], zorder=3)
    axes.vlines(best["step"], 0, rate, colors=COLORS["tuned"], linestyles=":", linewidth=1)
    left, right = axes.get_xlim()
    late = best["step"] > (left + right) / 2
    axes.annotate(
        words["best"].format(success=f"{rate:.1f}", step=best["step"]), (best["step"], rate),
        (-8 if late else 8, -24 if rate > 30 else 14), textcoords="offset points",
        ha="right" if late else "left", fontsize=TEXT, color=COLORS["tuned"],
    )  # fmt: skip


def kinds_figure(records: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS) -> Figure:
    """How the paths of every model and reasoner ended: a bar each, its parts the failure kinds.

    `records` are those of `report.results.records`; what asks no model is left out.
    """
    shown = [r for r in records if r["model"] != "none" and sum(r["kinds"].values())]
    groups = {r["label"]: [s for s in shown if s["label"] == r["label"]] for r in shown}
    rows = sum(len(group) for group in groups.values()) + len(groups)
    figure = blank(1.6 + 0.27 * max(rows, 4))
    axes = figure.subplots()
    ticks: list[tuple[float, str]] = []
    at = 0.0
    for label, group in groups.items():
        axes.text(0, at, label, fontsize=10, weight="bold", va="center", parse_math=False)
        for record in group:
            at += 1
            ticks.append((at, words.get(record["model"], record["model"])))
            _bar(axes, at, record["kinds"])
        at += 1.35
    axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks], parse_math=False)
    axes.set_xlim(0, 100)
    axes.set_ylim(max(at - 0.6, 1), -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_xlabel(words["share"])
    for kind, (color, hatch) in LOOKS.items():
        if any(r["kinds"].get(kind) for r in shown):
            axes.bar(0, 0, color=color, hatch=hatch, edgecolor="black", linewidth=0.4,
                     label=words[kind])  # fmt: skip
    if shown:
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.5 / figure.get_figheight() - 0.02),
                    ncol=3, frameon=False, fontsize=9.5, borderaxespad=0.4)  # fmt: skip
    else:
        nothing(axes, words)
    return figure


def _bar(axes: Axes, at: float, kinds: Mapping[str, int]) -> None:
    left, total = 0.0, sum(kinds.values())
    for kind, (color, hatch) in LOOKS.items():
        share = 100 * kinds.get(kind, 0) / total
        if share:
            axes.barh(at, share, 0.78, left, color=color, hatch=hatch, edgecolor="black",
                      linewidth=0.4)  # fmt: skip
            left += share


def batch_figure(points: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS) -> Figure:
    """Success of single pass and search over the problems asked, and how much longer search took.

    A point is `{"n", "single", "search", "ratio"}`, a side `{"rate", "low", "high", ...}`.
    """
    figure, (above, below) = panels(4.4, (1.5, 1))
    asked = [point["n"] for point in points]
    for side, (color, style, marker) in SIDES.items():
        rate, low, high = (
            [100 * point[side][key] for point in points] for key in ("rate", "low", "high")
        )
        if points:
            edge = 6 if len(points) == 1 else 0  # a band of one point is a line
            above.fill_between(asked, low, high, color=color, alpha=0.18, linewidth=edge)
            above.plot(asked, rate, style, marker=marker, markersize=5, color=color, linewidth=1.8,
                       markerfacecolor="none" if side == "search" else color,
                       markevery=max(1, len(points) // 12), label=words[side])  # fmt: skip
    above.set_ylim(0, 103)
    times = [point for point in points if point.get("ratio") is not None]
    if times:
        below.plot([p["n"] for p in times], [p["ratio"] for p in times], color="#555555",
                   marker="o", markersize=3, markevery=max(1, len(times) // 12))  # fmt: skip
        last = times[-1]["ratio"]
        below.annotate(f"{last:.3g}×", (times[-1]["n"], last), (5, 0), va="center",
                       textcoords="offset points", fontsize=10, weight="bold")  # fmt: skip
    below.axhline(1, color="#7a7a7a", linestyle=":", linewidth=1)
    below.set_xlim(0, 1.14 * max([1, *asked]))  # room for the last ratio
    below.set_ylim(0, max([1.2, *(1.2 * p["ratio"] for p in times)]))
    finish(above, words["rates"], None, points, words)
    finish(below, words["ratio"], words["asked"], points, words)
    return figure


def batch_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Where a comparison over many problems stands, as a Markdown table and a sentence."""
    if not points:
        return "No problem asked yet.\n"
    last = points[-1]
    rows = grid(
        ("answer", "solved [95 %]", "n", "tokens", "ms"),
        (
            (name, percent(last[side]), last["n"], f"{last[side]['tokens']:.0f}",
             f"{1000 * last[side]['seconds']:.1f}")
            for side, name in (("single", "single pass"), ("search", "search"))
        ),
    )  # fmt: skip
    if last.get("ratio") is None:
        return rows
    return f"{rows}\nSearch took {last['ratio']:.3g} times the single pass's time.\n"

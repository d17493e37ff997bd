"""Figures of how paths ended, and of what tuning changed in that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltf_lite.evaluation.types import Record
from ltf_lite.report.figures.drawing import TEXT, WORDS, Look, blank, looks, nothing
from ltf_lite.report.kinds import titles_of, word_of
from ltf_lite.report.tables.kinds import kind_changes, with_paths


def kinds_figure(
    records: Sequence[Record], kinds: Sequence[str], words: Mapping[str, str] = WORDS
) -> Figure:
    """How the paths of every model and reasoner ended: a bar each, its parts the failure kinds.

    `kinds` are all failure kinds in their order. What asks no model is left out.
    """
    shown, own = with_paths(records), looks(kinds)
    groups = {r.label: [s for s in shown if s.label == r.label] for r in shown}
    titles = titles_of(shown, words)
    rows = sum(len(group) for group in groups.values()) + len(groups)
    figure = blank(1.6 + 0.27 * max(rows, 4))
    axes = figure.subplots()
    ticks: list[tuple[float, str]] = []
    at = 0.0
    for label, group in groups.items():
        axes.text(0, at, titles[label], fontsize=10, weight="bold", va="center", parse_math=False)
        for record in group:
            at += 1
            ticks.append((at, words.get(record.model, record.model)))
            _bar(axes, at, record.kinds, own)
        at += 1.35
    axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks], parse_math=False)
    axes.set_xlim(0, 100)
    axes.set_ylim(max(at - 0.6, 1), -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_xlabel(words["share"])
    if not shown:
        nothing(axes, words)
        return figure
    for kind, look in own.items():
        if any(r.kinds.get(kind) for r in shown):
            _paint(axes.bar, look, 0, 0, label=word_of(kind, words))
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.5 / figure.get_figheight() - 0.02),
        ncol=3,
        frameon=False,
        fontsize=9.5,
        borderaxespad=0.4,
    )
    return figure


def _bar(axes: Axes, at: float, counts: Mapping[str, int], own: Mapping[str, Look]) -> None:
    left, total = 0.0, sum(counts.values())
    for kind, look in own.items():
        share = 100 * counts.get(kind, 0) / total
        if share:
            _paint(axes.barh, look, at, share, 0.78, left)
            left += share


def _paint(draw: Any, look: Look, *place: float, **more: str) -> None:
    """A bar in the look of its kind."""
    draw(*place, color=look.color, hatch=look.hatch, edgecolor="black", linewidth=0.4, **more)


def kinds_change_figure(
    records: Sequence[Record], kinds: Sequence[str], words: Mapping[str, str] = WORDS
) -> Figure:
    """Which failures went away (to the left) and which came (to the right), by reasoner, in points.

    `kinds` are all failure kinds in their order.
    """
    changes, own = kind_changes(records, kinds), looks(kinds)
    titles = titles_of(records, words)
    bars = sum(map(len, changes.values()))
    figure = blank(1.0 + 0.27 * max(bars + 1.3 * len(changes), 4))
    axes = figure.subplots()
    most = max((abs(points) for row in changes.values() for points in row.values()), default=0) or 1
    ticks, at = [], 0.0
    for label, row in changes.items():
        axes.vlines(0, at + 0.5, at + len(row) + 0.5, colors="#555555", linewidth=0.9)
        axes.text(
            -1.45 * most,
            at,
            titles[label],
            fontsize=TEXT,
            weight="bold",
            va="center",
            parse_math=False,
        )
        for kind, points in row.items():
            at += 1
            ticks.append((at, word_of(kind, words)))
            _change(axes, at, own[kind], points, most)
        at += 1.3
    names = [name for _, name in ticks]
    axes.set_yticks([y for y, _ in ticks], names, fontsize=TEXT, parse_math=False)
    axes.set_xlim(-1.45 * most, 1.45 * most)
    axes.set_ylim(max(at - 0.6, 1), -0.8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=TEXT)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_xlabel(words["change"], fontsize=TEXT)
    if not changes:
        nothing(axes, words)
    return figure


def _change(axes: Axes, at: float, look: Look, points: float, most: float) -> None:
    _paint(axes.barh, look, at, points, 0.78)
    right = points >= 0
    said = f"{points:+.1f}".replace("-", "−")
    place = points + (0.03 if right else -0.03) * most
    ha = "left" if right else "right"
    axes.text(place, at, said, fontsize=TEXT, va="center", ha=ha)

"""Figures of what tuning kept and of what it changed: abilities over the steps, failure kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

from ltf_lite.report.drawing import (
    LOOKS,
    TEXT,
    WORDS,
    blank,
    finish,
    legend_below,
    nothing,
)
from ltf_lite.report.kinds_tables import kind_changes
from ltf_lite.report.picture import COLORS
from ltf_lite.tuning.checkpoints import best

# Ability → colour, line and marker, each of which tells it alone.
ABILITIES: dict[str, tuple[str, Any, str]] = {
    "single_pass": (COLORS["tuned"], "-", "*"), "valid_steps": ("#7a7a7a", (0, (1, 1.2)), "^"),
    "sample": ("#2a6fb0", (0, (5, 1.5)), "s"), "tot": (COLORS["base"], (0, (6, 1.5, 1, 1.5)), "D"),
    "rap": ("#7b52c7", (0, (2.5, 1.2)), "v"), "sibling": ("#c2571a", (0, (8, 1.5)), "P"),
    "heldout_nll": ("#b3246b", (0, (5, 1.2, 1, 1.2, 1, 1.2)), "X"),
}  # fmt: skip
CEILINGS = {"heldout_nll"}  # abilities of which less is better
# Of the vertical axis, the dearest first, and the share of it that a number needs.
TICKS = (1, 0, 2, 0.5, 5, 10, 20, 50, 100, 0.75, 1.5, 3, 0.25, 0.9, 0.8, 1.25, 1.1, 0.7, 0.6)
ROOM = 0.07


def retention_figure(
    base: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], floors: Mapping[str, float],
    words: Mapping[str, str] = WORDS,
) -> Figure:  # fmt: skip
    """What every checkpoint kept of each of the base's abilities: tuned over base, step 0 being 1.

    `base` is a run's `tuning/base.json`, `lines` the rows of its `tuning/log.jsonl`, `floors` those
    of the preset. Linear up to 1 and logarithmic above. An ability that the base has not has no
    ratio and is named under the picture.
    """
    figure = blank(4.0)
    axes = figure.subplots()
    shown = [line for line in lines if "kept" in line]
    lost = []
    for name in base.get("abilities", {}):
        points = [(line["step"], line["kept"][name]) for line in shown
                  if line["kept"].get(name) is not None]  # fmt: skip
        if points:
            _kept(axes, name, points, _label(name, floors, words))
        elif shown:
            lost.append(ability_word(name, words))
    finish(axes, words["kept"], words["step"], shown, words)
    if shown:
        _scale(axes, shown, floors)
        _floors(axes, floors)
        axes.set_title(words["kept"], loc="left", fontsize=TEXT, pad=22)
        _kept_step(axes, best(shown), words)
        if lost:  # a line of the legend without a line
            axes.plot([], [], " ", label=words["no_ratio"].format(names=", ".join(lost)))
        legend_below(axes, 2)
    return figure


def _floors(axes: Axes, floors: Mapping[str, float]) -> None:
    """Floors as dotted lines; those at one height take turns."""
    for index, (name, value) in enumerate(floors.items()):
        axes.axhline(value, color=_look(name)[0], linestyle=(1.8 * index, (1.2, 2.4)),
                     linewidth=1.7, zorder=1)  # fmt: skip


def _look(name: str) -> tuple[str, Any, str]:
    """A second tree search has its reasoner's look, and its settings in the name."""
    return ABILITIES.get(name.partition(" ")[0], ("#555555", "-", "o"))


def _label(name: str, floors: Mapping[str, float], words: Mapping[str, str]) -> str:
    """An ability's word, with its floor."""
    kind = name.partition(" ")[0]
    if kind not in floors:
        return ability_word(name, words)
    word = words["ceiling" if kind in CEILINGS else "floor"]
    return word.format(name=ability_word(name, words), value=f"{floors[kind]:g}")


def ability_word(name: str, words: Mapping[str, str]) -> str:
    """What an ability is called, with the settings of a second reasoner of its kind."""
    first, _, settings = name.partition(" ")
    word = {"single_pass": "single"}.get(first, first)
    return f"{words.get(word, first)} {settings}".strip()


def _kept(axes: Axes, name: str, points: Sequence[tuple[int, float]], label: str) -> None:
    color, style, marker = _look(name)
    steps, ratios = zip((0, 1.0), *points, strict=True)
    axes.plot(
        steps, ratios, color=color, linestyle=style, linewidth=1.6, marker=marker,
        markersize=9 if marker == "*" else 6, markeredgecolor="white", markeredgewidth=0.5,
        markevery=max(1, len(steps) // 14), label=label, clip_on=False,
    )  # fmt: skip


def _scale(axes: Axes, lines: Sequence[Mapping[str, Any]], floors: Mapping[str, float]) -> None:
    """Linear up to 1 and then logarithmic, as high and low as there is something to see."""
    ratios = [ratio for line in lines for ratio in line["kept"].values() if ratio is not None]
    axes.set_yscale("symlog", linthresh=1, linscale=1.3)
    bottom, top = min([0.9, *ratios, *floors.values()]), max([1.1, *ratios, *floors.values()])
    axes.set_ylim(max(0, bottom - 0.05), 1.05 * top)
    axes.yaxis.set_major_locator(FixedLocator(_ticks(axes)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0, 1.02 * max(line["step"] for line in lines))
    axes.axhline(1, color="#7a7a7a", linewidth=0.8, zorder=0)


def _ticks(axes: Axes) -> list[float]:
    """The dearest of `TICKS` that leave room for each other."""
    height = (axes.transData + axes.transAxes.inverted()).transform
    found: dict[float, float] = {}
    for tick in TICKS:
        at = height((0, tick))[1]
        if 0 <= at <= 1 and all(abs(at - other) > ROOM for other in found.values()):
            found[tick] = at
    return sorted(found)


def _kept_step(axes: Axes, kept: Mapping[str, Any], words: Mapping[str, str]) -> None:
    """A line at the step that was kept, named above it; bold where it is below a floor."""
    bad = kept.get("shortfall", 0.0) > 0
    color = "#b3261e" if bad else COLORS["tuned"]
    axes.axvline(kept["step"], color=color, linewidth=1.4, alpha=0.8, zorder=0)
    late = kept["step"] > sum(axes.get_xlim()) / 2
    axes.annotate(
        words["below_floor" if bad else "kept_step"].format(step=kept["step"]),
        (kept["step"], 1), (6 if late else -6, 3), xycoords=axes.get_xaxis_transform(),
        textcoords="offset points", ha="right" if late else "left", va="bottom", fontsize=TEXT,
        color=color, weight="bold" if bad else "normal",
    )  # fmt: skip


def kinds_change_figure(
    records: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS
) -> Figure:
    """Which failures went away (to the left) and which came (to the right), by reasoner, in points.

    `records` are those of `report.results.records`.
    """
    changes = kind_changes(records)
    bars = sum(map(len, changes.values()))
    figure = blank(1.0 + 0.27 * max(bars + 1.3 * len(changes), 4))
    axes = figure.subplots()
    most = max((abs(points) for row in changes.values() for points in row.values()), default=0) or 1
    ticks, at = [], 0.0
    for label, row in changes.items():
        axes.vlines(0, at + 0.5, at + len(row) + 0.5, colors="#555555", linewidth=0.9)
        axes.text(-1.45 * most, at, label, fontsize=TEXT, weight="bold", va="center",
                  parse_math=False)  # fmt: skip
        for kind, points in row.items():
            at += 1
            ticks.append((at, words.get(kind, kind)))
            _change(axes, at, kind, points, most)
        at += 1.3
    axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks], fontsize=TEXT)
    axes.set_xlim(-1.45 * most, 1.45 * most)
    axes.set_ylim(max(at - 0.6, 1), -0.8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=TEXT)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_xlabel(words["change"], fontsize=TEXT)
    if not changes:
        nothing(axes, words)
    return figure


def _change(axes: Axes, at: float, kind: str, points: float, most: float) -> None:
    color, hatch = LOOKS[kind]
    axes.barh(at, points, 0.78, color=color, hatch=hatch, edgecolor="black", linewidth=0.4)
    right = points >= 0
    said = f"{points:+.1f}".replace("-", "−")
    axes.text(points + (0.03 if right else -0.03) * most, at, said, fontsize=TEXT, va="center",
              ha="left" if right else "right")  # fmt: skip

"""The figure of what tuning kept: each of the base's abilities over the training steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

from ltf_lite.evaluation.naming import title_of
from ltf_lite.evaluation.retention import HELDOUT_NLL, SAMPLE, SIBLING, SINGLE_PASS, VALID_STEPS
from ltf_lite.evaluation.types import Abilities, Ability
from ltf_lite.report.figures.drawing import (
    TEXT,
    WORDS,
    SearchLook,
    blank,
    finish,
    legend_below,
    search_looks,
)
from ltf_lite.report.figures.headline import COLORS
from ltf_lite.tuning.types import LogLine, best_line

# Kind of ability → its look; a search has the look of its turn.
KINDS = {
    SINGLE_PASS: SearchLook(COLORS["tuned"], "-", "*"),
    VALID_STEPS: SearchLook("#7a7a7a", (0, (1, 1.2)), "^"),
    SAMPLE: SearchLook("#2a6fb0", (0, (5, 1.5)), "s"),
    SIBLING: SearchLook("#7b52c7", (0, (8, 1.5, 2, 1.5)), "H"),
    HELDOUT_NLL: SearchLook("#b3246b", (0, (3, 1.2, 1, 1.2)), "d"),
}
NAMED = {SINGLE_PASS: "single", VALID_STEPS: VALID_STEPS}  # kinds whose word has another name
# Of the vertical axis, the dearest first, and the share of it that a number needs.
MUCH = 3  # times the base's
TICKS = (1, 0, 2, 0.5, 5, 10, 20, 50, 100, 0.75, 1.5, 3, 0.25, 0.9, 0.8, 1.25, 1.1, 0.7, 0.6)
ROOM = 0.07


def retention_figure(
    base: Abilities | None,
    lines: Sequence[LogLine],
    floors: Mapping[str, float],
    words: Mapping[str, str] = WORDS,
) -> Figure:
    """What every checkpoint kept of each of the base's abilities: tuned over base, step 0 being 1.

    `floors` are those of the preset, by kind. The axis is logarithmic where something grew to more
    than `MUCH` times the base's and nothing is 0, and linear elsewhere. An ability that
    the base has not has no ratio and is named under the picture.
    """
    figure = blank(4.0)
    axes = figure.subplots()
    abilities = base.abilities if base else ()
    shown = [line for line in lines if line.validation.kept]
    own = _looks(one.kind for one in abilities)
    lost = []
    for one in abilities:
        points = [(line.step, kept) for line in shown if (kept := _kept(line, one)) is not None]
        if points:
            _line(axes, own[one.kind], points, _label(one, floors, words))
        elif shown:
            lost.append(ability_word(one, words))
    finish(axes, words["kept"], words["step"], shown, words)
    if shown:
        _scale(axes, shown, floors)
        _floors(axes, floors, own)
        axes.set_title(words["kept"], loc="left", fontsize=TEXT, pad=22)
        _kept_step(axes, best_line(shown), words)
        if lost:  # a line of the legend without a line
            axes.plot([], [], " ", label=words["no_ratio"].format(names=", ".join(lost)))
        legend_below(axes, 2)
    return figure


def _kept(line: LogLine, ability: Ability) -> float | None:
    return line.validation.kept.get(ability.name)


def _looks(kinds: Iterable[str]) -> dict[str, SearchLook]:
    """The look of each kind; a second reasoner of a kind has the first one's, and another name."""
    every = list(kinds)
    return {**search_looks(kind for kind in every if kind not in KINDS), **KINDS}


def _floors(axes: Axes, floors: Mapping[str, float], own: Mapping[str, SearchLook]) -> None:
    """Floors as dotted lines; those at one height take turns."""
    for index, (kind, value) in enumerate(floors.items()):
        color = own[kind].color if kind in own else "#555555"
        style = (1.8 * index, (1.2, 2.4))
        axes.axhline(value, color=color, linestyle=style, linewidth=1.7, zorder=1)


def _label(ability: Ability, floors: Mapping[str, float], words: Mapping[str, str]) -> str:
    """An ability's word, with its floor."""
    word = ability_word(ability, words)
    if ability.kind not in floors:
        return word
    bound = words["ceiling" if ability.kind == HELDOUT_NLL else "floor"]
    return bound.format(name=word, value=f"{floors[ability.kind]:g}")


def ability_word(ability: Ability, words: Mapping[str, str]) -> str:
    """What an ability is called, with the settings of a second reasoner of its kind."""
    kind = ability.kind
    word = words.get(NAMED.get(kind, kind)) or title_of(kind)
    return f"{word} {ability.by}".strip()


def _line(axes: Axes, look: SearchLook, points: Sequence[tuple[int, float]], label: str) -> None:
    steps, ratios = zip((0, 1.0), *points, strict=True)
    axes.plot(
        steps,
        ratios,
        color=look.color,
        linestyle=look.line,
        linewidth=1.6,
        marker=look.marker,
        markersize=9 if look.marker == "*" else 6,
        markeredgecolor="white",
        markeredgewidth=0.5,
        markevery=max(1, len(steps) // 14),
        label=label,
        clip_on=False,
    )


def _scale(axes: Axes, lines: Sequence[LogLine], floors: Mapping[str, float]) -> None:
    """As high and low as there is something to see."""
    ratios = [
        ratio for line in lines for ratio in line.validation.kept.values() if ratio is not None
    ]
    bottom, top = min([0.9, *ratios, *floors.values()]), max([1.1, *ratios, *floors.values()])
    if bottom > 0 and top > MUCH:
        axes.set_yscale("log")
        axes.set_ylim(0.92 * bottom, 1.1 * top)
    else:
        axes.set_ylim(max(0, bottom - 0.05), 1.05 * top)
    axes.yaxis.set_major_locator(FixedLocator(_ticks(axes)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0, 1.02 * max(line.step for line in lines))
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


def _kept_step(axes: Axes, kept: LogLine, words: Mapping[str, str]) -> None:
    """A line at the step that was kept, named above it; bold where it is below a floor."""
    bad = kept.validation.shortfall > 0
    color = "#b3261e" if bad else COLORS["tuned"]
    axes.axvline(kept.step, color=color, linewidth=1.4, alpha=0.8, zorder=0)
    late = kept.step > sum(axes.get_xlim()) / 2
    axes.annotate(
        words["below_floor" if bad else "kept_step"].format(step=kept.step),
        (kept.step, 1),
        (6 if late else -6, 3),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="right" if late else "left",
        va="bottom",
        fontsize=TEXT,
        color=color,
        weight="bold" if bad else "normal",
    )

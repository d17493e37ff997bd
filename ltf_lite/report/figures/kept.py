"""The figure of what tuning kept: each of the base's abilities over the training steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import multimode

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
    panels,
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
# Of the vertical axis, the dearest first, and what a number needs of it.
MUCH = 3  # times the base's
TICKS = (1, 0, 2, 0.5, 5, 10, 20, 50, 100, 0.75, 1.5, 3, 0.25, 0.9, 0.8, 1.25, 1.1, 0.7, 0.6)
ROOM = 22  # pixels


def retention_figure(
    base: Abilities | None,
    lines: Sequence[LogLine],
    floors: Mapping[str, float],
    words: Mapping[str, str] = WORDS,
) -> Figure:
    """What every checkpoint kept of each of the base's abilities: tuned over base, step 0 being 1.

    The NLL, of which less is better, has a panel of its own below the rates. `floors` are those of
    the preset, by kind. An axis is logarithmic where something grew to more than `MUCH` times the
    base's and nothing is 0, and linear elsewhere. An ability that the base has not has no ratio and
    is named under the picture.
    """
    abilities = base.abilities if base else ()
    shown = [line for line in lines if line.validation.kept]
    drawn = [one for one in abilities if any(_kept(line, one) is not None for line in shown)]
    lost = [ability_word(one, words) for one in abilities if shown and one not in drawn]
    rates = [one for one in drawn if one.kind != HELDOUT_NLL]
    texts = [one for one in drawn if one.kind == HELDOUT_NLL]
    many = _many(rates)
    title = words["kept"].format(n=f"{many:,}") if many else words["kept_none"]
    if not texts:
        figure = blank(4.0)
        axes = figure.subplots()
        _panel(axes, rates, shown, floors, title, words)
        last = axes
    else:
        figure, (axes, last) = panels(5.2, (2.6, 1))
        _panel(axes, rates, shown, floors, title, words)
        _panel(last, texts, shown, floors, words["nll"], words)
    if shown:
        axes.set_title(title, loc="left", fontsize=TEXT, pad=22)
        _kept_step(axes, last, best_line(shown), words)
        if lost:  # a line of the legend without a line
            last.plot([], [], " ", label=words["no_ratio"].format(names=", ".join(lost)))
        handles = [each for part in figure.axes for each in part.get_legend_handles_labels()[0]]
        for part in figure.axes:
            if legend := part.get_legend():
                legend.remove()
        legend_below(last, 2, handles)
    last.set_xlabel(words["step"], fontsize=TEXT)
    return figure


def _panel(
    axes: Axes,
    abilities: Sequence[Ability],
    lines: Sequence[LogLine],
    floors: Mapping[str, float],
    title: str,
    words: Mapping[str, str],
) -> None:
    """Abilities of one measure, with their floors."""
    own = _looks(one.kind for one in abilities)
    many = 0 if title == words["nll"] else _many(abilities)  # those of the rates are in the title
    for one in abilities:
        points = [(line.step, kept) for line in lines if (kept := _kept(line, one)) is not None]
        _line(axes, own[one.kind], points, _label(one, many, floors, words))
    finish(axes, title, None, lines, words)
    if lines:
        bounds = {kind: floors[kind] for kind in floors if kind in {one.kind for one in abilities}}
        ratios = [
            kept for line in lines for one in abilities if (kept := _kept(line, one)) is not None
        ]
        _scale(axes, lines, [*ratios, *bounds.values()])
        _floors(axes, bounds, own)


def _many(abilities: Sequence[Ability]) -> int:
    """How many problems most of them were measured on; 0 without any."""
    return multimode(one.n for one in abilities)[0] if abilities else 0


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


def _label(
    ability: Ability, many: int, floors: Mapping[str, float], words: Mapping[str, str]
) -> str:
    """An ability's word, with its floor, and its number of problems where it is not `many`."""
    word = ability_word(ability, words)
    if ability.n != many:
        word = words["of_n"].format(name=word, n=f"{ability.n:,}")
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


def _scale(axes: Axes, lines: Sequence[LogLine], ratios: Sequence[float]) -> None:
    """As high and low as there is something to see."""
    bottom, top = min([0.9, *ratios]), max([1.1, *ratios])
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
    room, found = ROOM / axes.bbox.height, dict[float, float]()
    for tick in TICKS:
        at = height((0, tick))[1]
        if 0 <= at <= 1 and all(abs(at - other) > room for other in found.values()):
            found[tick] = at
    return sorted(found)


def _kept_step(axes: Axes, last: Axes, kept: LogLine, words: Mapping[str, str]) -> None:
    """A line at the step that was kept, down to the `last` panel, named above it.

    It is bold where that step is below a floor.
    """
    bad = kept.validation.shortfall > 0
    color = "#b3261e" if bad else COLORS["tuned"]
    for part in {axes, last}:
        part.axvline(kept.step, color=color, linewidth=1.4, alpha=0.8, zorder=0)
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

"""The learning curves of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from ltf_lite.report.figures.drawing import TEXT, WORDS, finish, panels
from ltf_lite.report.figures.headline import COLORS
from ltf_lite.tuning.types import LogLine, best_line

Points = list[tuple[int, float]]


def curves_figure(lines: Sequence[LogLine], words: Mapping[str, str] = WORDS) -> Figure:
    """Learning curves: the losses (nats a token), and below them success on validation problems.

    Without any line the figure says so.
    """
    figure, (above, below) = panels(4.6, (1.1, 1))
    learning: Points = [(line.step, line.learning) for line in lines]
    others: dict[str, Points] = {
        "forgetting": [(line.step, line.forgetting) for line in lines],
        "replay": [(line.step, line.replay) for line in lines],
    }
    _curve(above, learning, words["learning"], "o-", "#2a6fb0")
    drawn = [loss for _, loss in learning]
    looks = {"forgetting": ("s--", "#c2571a"), "replay": ("d-.", "#0b6e4f")}
    for name, points in others.items():
        if any(loss for _, loss in points):  # zeros only: a run without it
            _curve(above, points, words[name], *looks[name])
            drawn += [loss for _, loss in points]
    if drawn and min(drawn) > 0:
        above.set_yscale("log")
        above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        above.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        above.yaxis.set_minor_locator(NullLocator())
    solved = [(line.step, 100 * line.validation.success) for line in lines]
    valid = [
        (line.step, 100 * share)
        for line in lines
        if (share := line.validation.valid_steps) is not None
    ]
    _curve(below, solved, words["solved"], "o-", COLORS["tuned"])
    _curve(below, valid, words["valid_steps"], "^:", "#7a7a7a")
    below.set_ylim(0, 105)
    finish(above, words["loss"], None, lines, words)
    finish(below, words["validation"], words["step"], lines, words)
    if lines:
        below.set_xlim(0, 1.05 * lines[-1].step)
        _mark(below, best_line(lines), words)
    return figure


def _curve(axes: Axes, points: Points, label: str, look: str, color: str) -> None:
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, look, markersize=4, color=color, label=label)


def _mark(axes: Axes, best: LogLine, words: Mapping[str, str]) -> None:
    """A star at the step that was kept, and a line up to it."""
    step, rate = best.step, 100 * best.validation.success
    axes.plot([step], [rate], "*", markersize=13, color=COLORS["tuned"], zorder=3)
    axes.vlines(step, 0, rate, colors=COLORS["tuned"], linestyles=":", linewidth=1)
    left, right = axes.get_xlim()
    late = step > (left + right) / 2
    axes.annotate(
        words["best"].format(success=f"{rate:.1f}", step=step),
        (step, rate),
        (-8 if late else 8, -24 if rate > 30 else 14),
        textcoords="offset points",
        ha="right" if late else "left",
        fontsize=TEXT,
        color=COLORS["tuned"],
    )

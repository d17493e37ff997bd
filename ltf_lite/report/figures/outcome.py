"""What a run comes to as one picture: quality, tokens a question, and break-even."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ltf_lite.core.progress import duration
from ltf_lite.evaluation.naming import short_name, size_of
from ltf_lite.evaluation.types import Result
from ltf_lite.report.figures.drawing import (
    TEXT,
    WORDS,
    blank,
    finish,
    legend_below,
    plain,
    wrapped,
)
from ltf_lite.report.figures.headline import COLORS
from ltf_lite.report.outcome import Outcome, questions, sentence, word_of

COLUMNS = 56  # of a line of the verdict, as wide as the picture
BESIDE = 25  # of what stands beside the crossing, in the middle of the picture
UNITS = ((172_800, 86_400, "d"), (7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))
ROOM = 1.25  # of an axis: its numbers stand behind the bars


def outcome_figure(found: Outcome, words: Mapping[str, str] = WORDS) -> Figure:
    """The verdict in words over three panels: what is solved, what a question costs, break-even.

    The panels stand above each other, so that a phone shows them as large as a wide page does.
    """
    timed = found.paid is not None
    figure = blank(7.4 if timed else 5.4)
    figure.text(
        0.02, 0.99, wrapped(sentence(found, words), COLUMNS), va="bottom", weight="bold",
        fontsize=TEXT + 1,
    )  # fmt: skip
    shares = {
        "height_ratios": (3, 2.1, 3.6 if timed else 0.4),
        "hspace": 0.62,
        "left": 0.09,
        "right": 0.98,
    }
    solved, tokens, time = figure.subplots(3, gridspec_kw={**shares, "top": 0.93, "bottom": 0.08})
    before, after = words["before"], words["after"]
    rows = [(found.base, before), (found.tuned, after), (found.search, before)]
    named = [(row, form.format(way=way(row, words))) for row, form in rows]
    _solved(solved, named, words)
    _tokens(tokens, named[:0:-1], words)
    _break_even(time, found, words)
    return figure


def way(row: Result, words: Mapping[str, str] = WORDS) -> str:
    """A way of answering without its model."""
    kind, many = row.choice.kind, size_of(row.choice)
    own = words.get({"single_pass": "one", "search": row.reasoner}.get(kind, kind))
    if own is None:
        return short_name(row.choice, row.reasoner)
    return f"{own} ({many})" if many else own


def _look(row: Result) -> dict[str, Any]:
    """Of a single pass the colour of its model, of a search only its edge."""
    color = COLORS[row.model]
    single = row.choice.kind == "single_pass"
    return {"facecolor": color if single else "white", "edgecolor": color, "linewidth": 1.6}


def _solved(axes: Axes, named: Sequence[tuple[Result, str]], words: Mapping[str, str]) -> None:
    rates = [row.rate for row, _ in named]
    axes.set_xlim(0, ROOM * max(5.0, *(100 * rate.high for rate in rates)))
    for at, ((row, name), rate) in enumerate(zip(named, rates, strict=True)):
        _bar(axes, at, row, 100 * rate.rate, name)
        axes.plot([100 * rate.low, 100 * rate.high], [at, at], color="black", linewidth=1.4)
        n = f" (n = {rate.n:,})" if len({each.n for each in rates}) > 1 else ""
        _number(axes, at, 100 * max(rate.high, rate.rate), f"{100 * rate.rate:.1f} %{n}")
    _frame(axes, len(named), words["rates"], words)
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= 100])


def _tokens(axes: Axes, named: Sequence[tuple[Result, str]], words: Mapping[str, str]) -> None:
    search, single = (row.cost.tokens for row, _ in named)
    axes.set_xlim(0, ROOM * max(1.0, search, single))
    for at, (row, name) in enumerate(named):
        _bar(axes, at, row, row.cost.tokens, name)
        _number(axes, at, row.cost.tokens, f"{row.cost.tokens:,.0f}")
    title, times = words["each"], search / single if single else 0.0
    if times > 1:
        title = words["each_times"].format(times=f"{times:,.0f}" if times >= 10 else f"{times:.1f}")
    _frame(axes, len(named), title, words)


def _bar(axes: Axes, at: int, row: Result, value: float, name: str) -> None:
    """A bar under its name: beside it, a long name would leave no room on a phone."""
    axes.barh(at, value, 0.42, **_look(row))
    axes.text(0, at - 0.29, name, fontsize=TEXT, va="bottom", parse_math=False)


def _number(axes: Axes, at: int, value: float, text: str) -> None:
    axes.annotate(
        text, (value, at), (6, 0), textcoords="offset points", va="center", fontsize=TEXT,
        weight="bold",
    )  # fmt: skip


def _frame(axes: Axes, rows: int, title: str, words: Mapping[str, str]) -> None:
    finish(axes, title, None, [rows], words)
    axes.set_ylim(rows - 0.7, -0.75)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def _break_even(axes: Axes, found: Outcome, words: Mapping[str, str]) -> None:
    """Time against questions: the search from nothing, training and then single passes."""
    told = words[word_of(found)].format(n=questions(found))
    if found.paid is None:
        axes.text(0, 0.9, wrapped(told, COLUMNS), fontsize=TEXT, va="top")
        axes.set_axis_off()
        return
    theirs, ours = found.search.cost.seconds, found.tuned.cost.seconds
    paid = found.paid.questions
    most = 2 * paid if paid else 2 * found.seconds / max(ours, 1e-9)
    high = max(theirs * most, found.seconds + ours * most)
    unit, name = next((size, name) for least, size, name in UNITS if high >= least)
    ends, color = [0, most], COLORS["base"]
    axes.plot(
        ends, [0, theirs * most / unit], color=color, linestyle=(0, (4, 2)), linewidth=2,
        label=words["as_today"],
    )  # fmt: skip
    label = words["with_training"].format(time=duration(found.seconds))
    rising = [(found.seconds + ours * asked) / unit for asked in ends]
    axes.plot(ends, rising, color=COLORS["tuned"], linewidth=2, label=label)
    axes.set(xlim=(0, most), ylim=(0, 1.02 * high / unit))
    if paid:
        _mark(axes, (paid, theirs * paid / unit), told, word_of(found) == "from")
    else:
        axes.text(0.03, 0.93, told, transform=axes.transAxes, fontsize=TEXT, va="top")
    title = words["hours"].format(unit=words[f"unit_{name}"])
    finish(axes, title, words["count"], ends, words)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    legend_below(axes, 1)


def _mark(axes: Axes, point: tuple[float, float], told: str, full: bool) -> None:
    """Where both have cost the same; hollow unless the trained model is known to solve more."""
    axes.plot(
        *point, marker="o", markersize=10, color=COLORS["tuned"], markeredgewidth=1.8, zorder=3,
        markerfacecolor=COLORS["tuned"] if full else "white",
    )  # fmt: skip
    told = wrapped(told, BESIDE)
    axes.annotate(
        told, point, (10, -12), textcoords="offset points", va="top", fontsize=TEXT, weight="bold"
    )

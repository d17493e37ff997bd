"""What the figures of a run share: their words, their looks, and how they become inline SVG."""

from __future__ import annotations

import io
import re
import threading
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from math import log10
from typing import Any, NamedTuple
from unicodedata import east_asian_width

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ltf_lite.core.text import escape, printable
from ltf_lite.report.kinds import SUCCESS

WORDS: dict[str, str] = {
    "step": "training step",
    "loss": "loss",
    "learning": "learning",
    "forgetting": "forgetting",
    "replay": "replay",
    "validation": "validation, %",
    "solved": "problems solved",
    "valid_steps": "valid steps",
    "best": "kept: {success} % at step {step}",
    "no_points": "nothing yet",
    "share": "share of the paths, %",
    "base": "base",
    "tuned": "tuned",
    "success": "success",
    "asked": "problems asked",
    "rates": "solved, % (95 % interval)",
    "single": "single pass",
    "search": "search",
    "ratio": "tokens, search / single pass",
    "kept": "kept of the base on {n} validation problems: tuned / base",
    "kept_none": "kept of the base: tuned / base",
    "nll": "NLL of other text: tuned / base, less is better",
    "of_n": "{name} (n = {n})",
    "kept_step": "kept: step {step}",
    "below_floor": "kept: step {step}, below a floor",
    "floor": "{name} (≥ {value})",
    "ceiling": "{name} (≤ {value})",
    "no_ratio": "{names}: the base has 0",
    "sample": "samples, mean",
    "sibling": "sibling task",
    "other_task": "another task",
    "heldout_nll": "NLL of other text",
    "self_consistency": "self-consistency",
    "best_of_n": "best of n by likelihood",
    "tokens": "tokens a problem (log scale)",
    "milliseconds": "milliseconds a problem, asked in bulk (log scale)",
    "bound": "hollow: the verifier picks, an upper bound and no search",
    "samples": "{n} samples",
    "change": "change in the share of the paths, points",
    "questions": "questions asked (log scale)",
    "cost": "total cost (log scale)",
    "trained": "training, and then tuned single passes",
    "pays": "{name}: paid from question {n} on",
    "unequal": "{name}: none at equal quality (hollow: at {n})",
    "unsure": "{name}: after {n}, which solves more is not known (hollow)",
    "never": "{name}: never paid",
    "voted": "self-consistency@{n}",
    "likeliest": "best of {n} by likelihood",
    "one_sample": "one sample",
    "short_likeliest": "best of {n}",
    "picked": "oracle@{n}",
    "bounded": "oracle {name}",
    "before": "before: {way}",
    "after": "after: {way}",
    "one": "one answer",
    "each": "tokens a question",
    "each_times": "tokens a question: the search writes {times} times as many",
    "count": "questions asked",
    "hours": "machine time for so many questions, {unit} (asked in bulk)",
    "unit_s": "seconds",
    "unit_min": "minutes",
    "unit_h": "hours",
    "unit_d": "days",
    "as_today": "search, as before",
    "with_training": "training with its evaluations ({time}), then one answer each",
    "from": "pays from question {n} on",
    "cheaper": "costs less from question {n} on",
    "no_saving": "the search costs no more: never pays by cost",
    "two_engines": "two engines: their times are not compared",
    "comes_to_better": "One answer after training solves more than the search before it.",
    "comes_to_worse": "Search still solves more than one answer after training.",
    "comes_to_same": "Which solves more, one answer after training or the search before it, "
    "these problems can't tell.",
    "comes_to_few": "Only {n} problems: too few to conclude anything.",
    "comes_to_from": "It pays from question {n} on.",
    "comes_to_cheaper": "It costs less from question {n} on.",
    "comes_to_no_saving": "It never pays by cost: the search costs no more.",
    "comes_to_two_engines": "Two engines: from when on it pays is not known.",
}


class Look(NamedTuple):
    """Colour and hatch of a way to end: hatches tell the kinds apart where colours do not."""

    color: str
    hatch: str


class SearchLook(NamedTuple):
    """Colour, line and marker of a search, each of which tells it alone."""

    color: str
    line: Any
    marker: str


LOOKS = {
    SUCCESS: Look("#1b9e77", ""),
    "dead_end": Look("#8d86c9", "//"),
    "wrong_answer": Look("#e7298a", "xx"),
    "arithmetic": Look("#d95f02", "\\\\\\"),
    "bookkeeping": Look("#e6ab02", "|||"),
    "illegal": Look("#a6761d", "++"),
    "incomplete": Look("#7a7a7a", "---"),
    "format": Look("#1f78b4", "///"),
    "no_steps": Look("#66a61e", "..."),
    "unclear": Look("#3b3b3b", "oo"),
}
# Of the other kinds, in their order. The numbers of colours and of hatches share no factor, so that
# their pairs repeat late.
COLORS = ("#5e3c99", "#b2182b", "#2f6f6f", "#b15928", "#3f51b5", "#6b8e23", "#c2185b", "#4d4d4d")
HATCHES = ("oo", "..", "**", "\\\\", "xxx", "OO", "|-")
# Of searches, in their order.
SEARCHES = (
    SearchLook("#c2571a", (0, (6, 1.5)), "D"),
    SearchLook("#0b6e4f", (0, (2.5, 1.2)), "v"),
    SearchLook("#8a6d00", (0, (8, 1.5)), "P"),
    SearchLook("#3f51b5", (0, (5, 1.2, 1, 1.2, 1, 1.2)), "X"),
    SearchLook("#a3283c", (0, (3, 1, 1, 1)), "<"),
    SearchLook("#2f6f6f", (0, (4, 3)), ">"),
)
WIDTH = 5.6  # inches: 538 pixels, and fonts of 10 points are still 9 pixels on a phone
FONT = "system-ui,'Segoe UI',Roboto,'Hiragino Sans','Noto Sans JP','DejaVu Sans',sans-serif"
TEXT = 10.6  # points: 9 pixels where a phone shrinks a figure most
CLOSING = "、。」)"  # no line begins with one of these
SMALLEST = 0.85  # pixels that a point may shrink to: below it a narrow page scrolls

DRAWING = threading.Lock()  # matplotlib's settings and warnings are the process's


def looks(kinds: Sequence[str]) -> dict[str, Look]:
    """The look of success and of each kind, all of them different."""
    found = {SUCCESS: LOOKS[SUCCESS]}
    others = 0
    for kind in kinds:
        found[kind] = LOOKS.get(kind) or _other(others)
        others += kind not in LOOKS
    return found


def _other(at: int) -> Look:
    return Look(COLORS[at % len(COLORS)], HATCHES[at % len(HATCHES)])


def search_looks(names: Iterable[str]) -> dict[str, SearchLook]:
    """The look of each search, by the order of their names."""
    several = enumerate(dict.fromkeys(names))
    return {name: SEARCHES[at % len(SEARCHES)] for at, name in several}


def as_svg(figure: Figure, label: str) -> str:
    """A figure as one transparent `<svg>` with ids of its own, as wide as the page allows.

    Black becomes `currentColor`, white `--ltf-paper` (else transparent), and every other colour is
    mixed with the text's, so that it reads on light and dark alike. Text stays text; `label` is the
    picture's title.
    """
    out = io.StringIO()
    with DRAWING, matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")  # the browser has the letters
        figure.savefig(out, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.06)
    text = out.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    own = f"f{uuid.uuid4().hex[:8]}-"
    body = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{own}", body)
    body = re.sub(r"((?:fill|stroke)(?:: |=\"))(#[0-9a-f]{6})\b", _adapting, body)
    body = re.sub(r"(font: [^;\"]*?px) [^;\"]*", rf"\g<1> {FONT}", body)
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    width, height = (float(found[1]), float(found[2])) if found else (1.0, 1.0)
    name = escape(printable(label))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'class="ltf-figure" width="100%" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{name}" fill="currentColor" stroke-linejoin="round" style="height:auto;'
        f'min-width:{SMALLEST * width:.0f}px;max-width:{width * 4 / 3:.0f}px">'
        f"<title>{name}</title>{body}"
    )


def _adapting(found: re.Match[str]) -> str:
    """A fixed colour as one that follows the theme."""
    color = found[2]
    if color == "#000000":
        return f"{found[1]}currentColor"
    if color == "#ffffff":
        return f"{found[1]}var(--ltf-paper,transparent)"
    return f"{found[1]}color-mix(in srgb,{color} 72%,currentColor)"


def blank(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)  # no pyplot: it keeps every figure, and is not for threads
    return figure


def panels(height: float, shares: tuple[float, float]) -> tuple[Figure, tuple[Axes, Axes]]:
    """Two axes above each other over the same x."""
    figure = blank(height)
    above, below = figure.subplots(
        2, sharex=True, gridspec_kw={"height_ratios": shares, "hspace": 0.24}
    )
    return figure, (above, below)


def finish(
    axes: Axes, y: str, x: str | None, data: Sequence[Any], words: Mapping[str, str]
) -> None:
    """Labels, legend and frame; whole numbers on the x axis."""
    axes.set_title(y, loc="left", fontsize=TEXT)
    if x:
        axes.set_xlabel(x, fontsize=TEXT)
    axes.tick_params(labelsize=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=TEXT)
    if not data:
        nothing(axes, words)


def nothing(axes: Axes, words: Mapping[str, str]) -> None:
    axes.text(
        0.5,
        0.5,
        words["no_points"],
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=11,
        color="#555555",
    )


def log_axis(axis: Axis, low: float, high: float) -> None:
    """Ticks in whole numbers, few enough for a phone: 1, 2, 5 over few decades, else every one."""
    decades = log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1, 3), numticks=20))
    if decades > 3.5:
        axis.set_major_locator(LogLocator(numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(NullLocator())


def columns(text: str) -> int:
    """Columns of a text, of which a Japanese letter takes two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def wrapped(text: str, most: int) -> str:
    """A text in lines of at most so many columns, broken at spaces and between Japanese letters."""
    lines = [""]
    for part in re.findall(r"[!-\u2fff]+ *|.", text):
        fits = columns(lines[-1] + part.rstrip()) <= most or part in CLOSING
        lines = [*lines[:-1], lines[-1] + part] if fits else [*lines, part]
    return "\n".join(line.rstrip() for line in lines)


def plain(value: float) -> str:
    """`0.02`, `500`, `20k`, `3M`: a number of two digits at most, short enough for an axis."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def legend_below(axes: Axes, columns: int, handles: Sequence[Any] | None = None) -> None:
    """The legend under the axes and their label, where it hides nothing."""
    if handles is None:
        handles = axes.get_legend_handles_labels()[0]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(-0.08, -46 / axes.bbox.height),
        ncol=columns,
        frameon=False,
        fontsize=TEXT,
        borderaxespad=0,
        handlelength=3,
        columnspacing=1.1,
    )

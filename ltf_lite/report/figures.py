"""Figures of a run and of a comparison, as inline SVG that follows the page's theme."""

from __future__ import annotations

import io
import re
import threading
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from ltf_lite.report.markdown import percent, table
from ltf_lite.report.picture import COLORS
from ltf_lite.report.tree import printable
from ltf_lite.tasks.base import KINDS

WORDS: dict[str, str] = {
    "step": "training step", "loss": "loss", "learning": "learning",
    "forgetting": "forgetting", "validation": "validation, %", "solved": "problems solved",
    "valid_steps": "valid steps", "best": "best: {success} % at step {step}",
    "no_points": "nothing yet", "share": "share of the paths, %", "base": "base",
    "tuned": "tuned", "success": "success", "asked": "problems asked",
    "rates": "solved, % (95 % interval)", "single": "single pass", "search": "search",
    "ratio": "time, search / single pass", **{kind: kind for kind in KINDS},
}  # fmt: skip
# Hatches tell the kinds apart where the colours do not.
LOOKS = {
    "success": ("#1b9e77", ""), "dead_end": ("#8d86c9", "//"), "wrong_answer": ("#e7298a", "xx"),
    "arithmetic": ("#d95f02", "\\\\\\"), "bookkeeping": ("#e6ab02", "|||"),
    "illegal": ("#a6761d", "++"), "incomplete": ("#7a7a7a", "---"), "format": ("#1f78b4", "///"),
}  # fmt: skip
SIDES = {"single": (COLORS["tuned"], "-", "o"), "search": (COLORS["base"], "--", "s")}
WIDTH = 5.6  # inches: 538 pixels, and fonts of 10 points are still 9 pixels on a phone
FONT = "system-ui,'Segoe UI',Roboto,'Hiragino Sans','Noto Sans JP','DejaVu Sans',sans-serif"
SMALLEST = 0.85  # pixels that a point may shrink to: below it a narrow page scrolls

DRAWING = threading.Lock()  # matplotlib's settings and warnings are the process's


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


def curves_figure(lines: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS) -> Figure:
    """Learning curves: both losses (nats a token), and below them success on validation problems.

    `lines` are the rows of a run's `tuning/log.jsonl`; without any the figure says so.
    """
    figure, (above, below) = _panels(4.6, (1.1, 1))
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
    _finish(above, words["loss"], None, lines, words)
    _finish(below, words["validation"], words["step"], lines, words)
    if lines:
        below.set_xlim(0, 1.05 * lines[-1]["step"])
        _mark(below, _best(lines), words)
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
        (-8 if late else 8, -24), textcoords="offset points", ha="right" if late else "left",
        fontsize=9.5, color=COLORS["tuned"],
    )  # fmt: skip


def curves_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The learning curves as a Markdown table, the best step named."""
    if not lines:
        return "No validation yet.\n"
    best = _best(lines)
    return table(
        ("step", "learning", "forgetting", "validation success", "valid steps"),
        (
            (f"{line['step']}{' (best)' if line is best else ''}", f"{line['learning']:.4f}",
             f"{line['forgetting']:.4f}", f"{100 * line['success']:.1f} %",
             f"{100 * line['valid_steps']:.1f} %" if "valid_steps" in line else "–")
            for line in lines
        ),
    )  # fmt: skip


def _best(lines: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return max(lines, key=lambda line: line["success"])


def kinds_figure(records: Sequence[Mapping[str, Any]], words: Mapping[str, str] = WORDS) -> Figure:
    """How the paths of every model and reasoner ended: a bar each, its parts the failure kinds.

    `records` are those of `report.results.records`; what asks no model is left out.
    """
    shown = [r for r in records if r["model"] != "none" and sum(r["kinds"].values())]
    groups = {r["label"]: [s for s in shown if s["label"] == r["label"]] for r in shown}
    rows = sum(len(group) for group in groups.values()) + len(groups)
    figure = _figure(1.6 + 0.27 * max(rows, 4))
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
        _nothing(axes, words)
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
    figure, (above, below) = _panels(4.4, (1.5, 1))
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
    _finish(above, words["rates"], None, points, words)
    _finish(below, words["ratio"], words["asked"], points, words)
    return figure


def batch_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Where a comparison over many problems stands, as a Markdown table and a sentence."""
    if not points:
        return "No problem asked yet.\n"
    last = points[-1]
    rows = table(
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


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)  # no pyplot: it keeps every figure, and is not for threads
    return figure


def _panels(height: float, shares: tuple[float, float]) -> tuple[Figure, tuple[Axes, Axes]]:
    """Two axes above each other over the same x."""
    figure = _figure(height)
    above, below = figure.subplots(
        2, sharex=True, gridspec_kw={"height_ratios": shares, "hspace": 0.24}
    )
    return figure, (above, below)


def _finish(
    axes: Axes, y: str, x: str | None, data: Sequence[Any], words: Mapping[str, str]
) -> None:
    """Labels, legend and frame; whole numbers on the x axis."""
    axes.set_title(y, loc="left", fontsize=10.5)
    if x:
        axes.set_xlabel(x, fontsize=10.5)
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9.5)
    if not data:
        _nothing(axes, words)


def _nothing(axes: Axes, words: Mapping[str, str]) -> None:
    axes.text(0.5, 0.5, words["no_points"], transform=axes.transAxes, ha="center", va="center",
              fontsize=11, color="#555555")  # fmt: skip

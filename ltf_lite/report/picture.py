"""The headline picture: success against seconds, models × ways of answering."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

COLORS = {"base": "#9a6324", "tuned": "#0b6e4f", "none": "#8a8a8a"}
SHORT = {"greedy": "single pass", "sample": "one sample"}


def short_name(row: dict[str, Any]) -> str:
    choice = row["choice"].replace("best-of-n@", "best of ")
    if choice == "oracle":
        choice = f"oracle of {row['reasoner']}"
    return f"{row['model']}: {SHORT.get(choice, choice)}"


def picture(table: list[dict[str, Any]], file: Path) -> None:
    """Draw success (%, 95 % interval) against milliseconds a problem (log axis) as a PNG."""
    figure, axes = plt.subplots(figsize=(9, 5.4), dpi=150)
    shown = [r for r in table if r["model"] in ("base", "tuned")]
    for row in shown:
        rate, low, high = (100 * row[key] for key in ("rate", "low", "high"))
        color = COLORS[row["model"]]
        oracle = row["choice"].startswith("oracle")
        single = row["choice"] == "greedy"
        axes.errorbar(
            1000 * row["seconds"], rate, yerr=[[rate - low], [high - rate]], color=color,
            capsize=3, linestyle="none", marker="*" if single else "o",
            markersize=16 if single else 7, markerfacecolor="white" if oracle else color,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.3)
    axes.set_ylim(0, min(100, 12 + 100 * max((r["high"] for r in shown), default=1)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(NullLocator())
    _label(axes, shown)
    _floor(axes, next((r for r in table if r["choice"] == "random"), None))
    axes.set_xlabel("milliseconds a problem (asked in bulk, log scale)")
    axes.set_ylabel("test problems solved, % (95 % interval)")
    axes.set_title("Single pass after tuning against search before it", loc="left", fontsize=12)
    note = "Hollow: the verifier picks among the paths; an upper bound, no search."
    axes.text(0, -0.16, note, transform=axes.transAxes, fontsize=8.5, color="#555555")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    figure.savefig(file.with_suffix(".tmp"), format="png", bbox_inches="tight")
    plt.close(figure)
    os.replace(file.with_suffix(".tmp"), file)


def _floor(axes, row: dict[str, Any] | None) -> None:
    """The random walk as a dotted line, since it asks no model."""
    if row is None:
        return
    axes.axhline(100 * row["rate"], color=COLORS["none"], linestyle=":", linewidth=1.2, zorder=0)
    axes.text(0.45, 100 * row["rate"] + 0.8, "random legal steps", va="bottom", fontsize=9,
              color=COLORS["none"], transform=axes.get_yaxis_transform())  # fmt: skip


def _label(axes, shown: list[dict[str, Any]]) -> None:
    """Name every point beside it, the base's to the left, pushing overlapping names apart."""
    height = axes.get_ylim()[1] / 24
    for model in ("base", "tuned"):
        placed: list[tuple[float, float]] = []
        own = [r for r in shown if r["model"] == model]
        for row in sorted(own, key=lambda r: r["rate"]):
            x, y = 1000 * row["seconds"], 100 * row["rate"]
            spot = y
            while any(abs(spot - other) < height and 0.3 < x / at < 3.3 for at, other in placed):
                spot += height / 4
            placed.append((x, spot))
            side = -1 if model == "base" else 1
            axes.annotate(
                short_name(row), (x, y), xytext=(x * (1 + 0.14 * side), spot),
                textcoords="data", fontsize=9, color=COLORS[model], va="center",
                ha="right" if side < 0 else "left",
            )  # fmt: skip

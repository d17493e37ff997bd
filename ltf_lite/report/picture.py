"""The headline picture: success against seconds, models × ways of answering."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLORS = {"base": "#9a6324", "tuned": "#0b6e4f", "none": "#8a8a8a"}
SHORT = {"greedy": "single pass", "sample": "one sample"}


def short_name(row: dict[str, Any]) -> str:
    choice = row["choice"].replace("best-of-n@", "best of ")
    return f"{row['model']}: {SHORT.get(choice, choice)}"


def picture(table: list[dict[str, Any]], file: Path) -> None:
    """Draw success (%, 95 % interval) against seconds a problem (log axis) as a PNG."""
    figure, axes = plt.subplots(figsize=(9, 5.4), dpi=150)
    floor = next((r for r in table if r["choice"] == "random"), None)
    if floor:
        axes.axhline(100 * floor["rate"], color=COLORS["none"], linestyle=":", linewidth=1.2)
        axes.text(
            0.995,
            100 * floor["rate"] + 1,
            "random legal steps",
            ha="right",
            va="bottom",
            color=COLORS["none"],
            fontsize=9,
            transform=axes.get_yaxis_transform(),
        )
    shown = [r for r in table if r["model"] in ("base", "tuned")]
    for row in shown:
        oracle = row["choice"].startswith("oracle")
        rate, low, high = (100 * row[key] for key in ("rate", "low", "high"))
        color = COLORS[row["model"]]
        axes.errorbar(
            row["seconds"], rate, yerr=[[rate - low], [high - rate]], color=color, capsize=3,
            marker="*" if row["choice"] == "greedy" else "o", linestyle="none",
            markersize=15 if row["choice"] == "greedy" else 7,
            markerfacecolor="white" if oracle else color,
        )  # fmt: skip
    _label(axes, shown)
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.margins(x=0.18)
    axes.set_xlabel("seconds a problem (bulk, log scale)")
    axes.set_ylabel("test problems solved, % (95 % interval)")
    axes.set_title("Single pass after tuning against search before it", loc="left", fontsize=12)
    axes.text(
        0,
        -0.17,
        "Hollow: the verifier picks among the samples; an upper bound, no search.",
        transform=axes.transAxes,
        fontsize=8.5,
        color="#555555",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    figure.savefig(file.with_suffix(".tmp"), format="png", bbox_inches="tight")
    plt.close(figure)
    os.replace(file.with_suffix(".tmp"), file)


def _label(axes, shown: list[dict[str, Any]]) -> None:
    """Name every point, pushing apart the labels that would overlap."""
    placed: list[tuple[float, float]] = []
    for row in sorted(shown, key=lambda r: r["rate"]):
        x, y = row["seconds"], 100 * row["rate"]
        spot = y
        while any(abs(spot - other) < 4.2 and 0.25 < x / at < 4 for at, other in placed):
            spot += 1.0
        placed.append((x, spot))
        axes.annotate(
            short_name(row),
            (x, y),
            xytext=(10, (spot - y) * 3.3 + 1),
            textcoords="offset points",
            fontsize=9,
            color=COLORS[row["model"]],
            va="center",
        )

"""The table of a sweep: single pass, searches and what is left of them, over the seeds."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from scipy.stats import t

from ltf_lite.evaluation import wilson
from ltf_lite.progress import duration
from ltf_lite.report.results import is_search
from ltf_lite.report.tables import percent

Key = tuple[str, str]  # a reasoner with its settings, and how it chooses

ABOUT = (
    "The base and rows of one seed: Wilson's 95 % interval over the test problems. Rows of two "
    "seeds or more: the mean, with the 95 % t interval over the seeds or Wilson's over the "
    "problems, whichever reaches further: the seeds all answer the same problems. Kept: the "
    "tuned model's rate over the base's. Valid steps are the single pass's; tuning is the median "
    "time of one. Below a floor: the seeds of which no checkpoint is above every floor."
)
BESIDE = (
    "Points more than sft with otherwise the same settings, seed by seed: mean and 95 % t interval "
    "over the seeds that both have (one seed: no interval)."
)


class Group(NamedTuple):
    """What a cell came to: seed → result, seed → why it failed; `twin` is the same cell by sft."""

    name: str
    settings: dict[str, Any]
    twin: str | None
    results: dict[int, dict[str, Any]]
    failures: dict[int, str]


def sweep_table(
    preset: str, base: list[dict[str, Any]], groups: list[Group],
    grids: Mapping[str, Sequence[str]],
) -> dict[str, Any]:  # fmt: skip
    """The table as JSON data: the base's row, then one a cell; `grids` has their names by grid.

    `base` and each result's `rows` are rows as report.results makes them. Abilities are the single
    pass and every search that asks no verifier.
    """
    own = [row for row in base if row["model"] == "base"]
    names = _names(own)
    before = {names[key]: row for row in own if (key := _key(row)) in names}
    first = {
        "cell": "base", "settings": {}, "seeds": [], "below": {}, "failed": {},
        "tuning_seconds": None,
        "valid_steps": next(iter(before.values()))["valid_steps"],
        "abilities": {name: {k: row[k] for k in ("rate", "low", "high")}
                      for name, row in before.items()},
    }  # fmt: skip
    most = sorted((group.settings for group in groups), key=len, reverse=True)
    return {
        "preset": preset,
        "settings": list(dict.fromkeys(name for settings in most for name in settings)),
        "abilities": {n: {"n": row["n"], "search": is_search(row)} for n, row in before.items()},
        "rows": [first, *(_row(group, names, before) for group in groups)],
        "beside_sft": _beside_sft(groups, names),
        "grids": {name: list(cells) for name, cells in grids.items() if name},
    }


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean of independent values, two or more."""
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def _key(row: dict[str, Any]) -> Key:
    return row["label"], row["choice"]


def _names(base: list[dict[str, Any]]) -> dict[Key, str]:
    """The abilities' names, single pass first; what has the same name shows its settings."""
    chosen = [r for r in base if r["choice"] == "greedy"] + [r for r in base if is_search(r)]
    count = Counter(row["answer"] for row in chosen)
    return {
        _key(r): r["answer"] if count[r["answer"]] == 1 else f"{r['answer']} ({r['label']})"
        for r in chosen
    }


def _rates(result: dict[str, Any], names: dict[Key, str]) -> dict[str, dict[str, Any]]:
    return {names[key]: row for row in result["rows"] if (key := _key(row)) in names}


def _row(group: Group, names: dict[Key, str], before: dict[str, dict[str, Any]]) -> dict[str, Any]:
    results = [group.results[seed] for seed in sorted(group.results)]
    found = [_rates(result, names) for result in results]
    abilities = {}
    for name in before if found else ():
        rates = [each[name]["rate"] for each in found]
        mean, (low, high) = fmean(rates), (found[0][name]["low"], found[0][name]["high"])
        if len(rates) > 1:
            n = found[0][name]["n"]
            lows, highs = zip(t_interval(rates), wilson(round(mean * n), n), strict=True)
            low, high = min(lows), max(highs)
        base = before[name]["rate"]
        abilities[name] = {"rate": mean, "low": max(0.0, low), "high": min(1.0, high),
                           "kept": mean / base if base else None}  # fmt: skip
    single = next(iter(before))
    valid = [each[single]["valid_steps"] for each in found]
    return {
        "cell": group.name,
        "settings": group.settings,
        "seeds": sorted(group.results),
        "below": {s: r["below"] for s, r in sorted(group.results.items()) if r.get("below")},
        "failed": group.failures,
        "tuning_seconds": median(r["tuning_seconds"] for r in results) if results else None,
        "valid_steps": fmean(valid) if valid and None not in valid else None,
        "abilities": abilities,
    }


def _beside_sft(groups: list[Group], names: dict[Key, str]) -> list[dict[str, Any]]:
    """What each cell solves more than the same cell by sft, as shares of the problems."""
    known = {group.name: group for group in groups}
    found = []
    for group in groups:
        twin = known.get(group.twin or "")
        seeds = sorted(group.results.keys() & twin.results.keys()) if twin else []
        if not twin or not seeds:
            continue
        pairs = [(_rates(group.results[s], names), _rates(twin.results[s], names)) for s in seeds]
        gains: dict[str, dict[str, float | None]] = {}
        for name in pairs[0][0]:
            differences = [ours[name]["rate"] - theirs[name]["rate"] for ours, theirs in pairs]
            low, high = t_interval(differences) if len(seeds) > 1 else (None, None)
            gains[name] = {"mean": fmean(differences), "low": low, "high": high}
        found.append({"cell": group.name, "settings": group.settings, "seeds": seeds,
                      "abilities": gains})  # fmt: skip
    return found


def as_csv(found: dict[str, Any]) -> str:
    """One line a row of the table."""
    columns = ["cell", *found["settings"], "seeds"]
    for name in found["abilities"]:
        columns += [name, f"{name} low", f"{name} high", f"{name} kept"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, "valid_steps", "tuning_seconds", "below", "failed"])
    for row in found["rows"]:
        line = [row["cell"], *_settings(row, found, ""), len(row["seeds"])]
        for name in found["abilities"]:
            rate = row["abilities"].get(name, {})
            line += [rate.get(key) for key in ("rate", "low", "high", "kept")]
        writer.writerow(
            [*line, row["valid_steps"], row["tuning_seconds"], _below(row), _failed(row)]
        )
    return out.getvalue()


def as_markdown(found: dict[str, Any]) -> str:
    """The page, its columns padded so that a terminal shows it too."""
    n = next(iter(found["abilities"].values()))["n"]
    head = ["model", *found["settings"], "seeds"]
    for name, facts in found["abilities"].items():
        own = f", n = {facts['n']}" if facts["n"] != n else ""
        head += [name + own, *(["kept"] if facts["search"] else [])]
    head += ["valid steps", "tuning", "below a floor", "failed"]
    title = f"# Sweep of {found['preset']}: what is solved of {n} test problems\n"
    page = [title]
    for name, rows in _parts(found).items():
        body = [_line(row, found) for row in rows]
        page += [*([f"## {name}\n"] if name else []), padded(*_without_blanks(head, body))]
    page.append(ABOUT + "\n")
    if found["beside_sft"]:
        page += [
            "## Beside sft\n",
            padded(
                [*found["settings"], "seeds", *found["abilities"]],
                ([*_settings(row, found, "–"), str(len(row["seeds"])),
                  *map(_points, row["abilities"].values())] for row in found["beside_sft"]),
            ),
            BESIDE + "\n",
        ]  # fmt: skip
    return "\n".join(page)


def _parts(found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each grid after the base's, then those of no grid."""
    base, *rows = found["rows"]
    named = {cell for cells in found["grids"].values() for cell in cells}
    others = [row for row in rows if row["cell"] not in named]
    parts = {
        name: [base, *(row for row in rows if row["cell"] in cells)]
        for name, cells in found["grids"].items()
    }
    return {**parts, **({"earlier": [base, *others]} if others and parts else {})} or {
        "": found["rows"]
    }


def _without_blanks(head: list[str], body: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The table without the columns that say nothing in any row."""
    kept = [i for i in range(len(head)) if any(line[i] != "–" for line in body)]
    return [head[i] for i in kept], [[line[i] for i in kept] for line in body]


def padded(head: list[str], body: Iterable[list[str]]) -> str:
    """A Markdown table whose columns, but the last, are as wide as their widest cell."""
    lines = [head, *([cell.replace("|", "/") for cell in row] for row in body)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)] + [3]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(
        f"| {' | '.join(c.ljust(w) for c, w in zip(line, widths, strict=True))} |\n"
        for line in lines
    )


def _line(row: dict[str, Any], found: dict[str, Any]) -> list[str]:
    base = row["cell"] == "base"
    line = ["base" if base else "tuned", *_settings(row, found, "–")]
    line.append("–" if base else str(len(row["seeds"])))
    for name, facts in found["abilities"].items():
        rate = row["abilities"].get(name)
        line.append(percent(rate) if rate else "–")
        if facts["search"]:
            kept = rate.get("kept") if rate else None
            line.append("–" if kept is None else f"{kept:.2f}")
    valid, seconds = row["valid_steps"], row["tuning_seconds"]
    line.append("–" if valid is None else f"{100 * valid:.1f} %")
    line.append("–" if seconds is None else duration(seconds))
    return [*line, _below(row) or "–", _failed(row) or "–"]


def _settings(row: dict[str, Any], found: dict[str, Any], missing: str) -> list[str]:
    values = [row["settings"].get(name, missing) for name in found["settings"]]
    return ["+".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in values]


def _points(gain: dict[str, Any]) -> str:
    text = f"{100 * gain['mean']:+.1f}"
    if gain["low"] is None:
        return text
    return f"{text} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def _below(row: dict[str, Any]) -> str:
    return "; ".join(f"seed {seed}: {', '.join(names)}" for seed, names in row["below"].items())


def _failed(row: dict[str, Any]) -> str:
    return "; ".join(f"seed {seed}: {reason}" for seed, reason in row["failed"].items())

"""The table of a sweep as a page in Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ltf_lite.core.progress import duration
from ltf_lite.core.text import signs
from ltf_lite.evaluation.sweep import Average, Gain, SweepRow, SweepTable
from ltf_lite.report.tables.base import NONE, csv_text

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


def as_csv(found: SweepTable) -> str:
    """One line a row of the table."""
    columns = ["cell", *found.settings, "seeds"]
    for name in found.abilities:
        columns += [name, f"{name} low", f"{name} high", f"{name} kept"]
    lines: list[list[Any]] = [[*columns, "valid_steps", "tuning_seconds", "below", "failed"]]
    for row in found.rows:
        line: list[Any] = [row.cell, *_settings(row.settings, found, ""), len(row.seeds)]
        for name in found.abilities:
            line += _numbers(row.abilities.get(name))
        lines.append([*line, row.valid_steps, row.tuning_seconds, _below(row), _failed(row)])
    return csv_text(lines)


def _numbers(found: Average | None) -> list[float | None]:
    return [found.rate, found.low, found.high, found.kept] if found else [None] * 4


def as_markdown(found: SweepTable) -> str:
    """The page, its columns padded so that a terminal shows it too."""
    n = next(iter(found.abilities.values())).n
    head = ["model", *found.settings, "seeds"]
    for name, column in found.abilities.items():
        own = f", n = {column.n}" if column.n != n else ""
        head += [name + own, *(["kept"] if column.search else [])]
    head += ["valid steps", "tuning", "below a floor", "failed"]
    page = [f"# Sweep of {found.preset}: what is solved of {n} test problems\n"]
    for name, rows in _parts(found).items():
        body = [_line(row, found) for row in rows]
        page += [*([f"## {name}\n"] if name else []), padded(*_without_blanks(head, body))]
    page.append(ABOUT + "\n")
    if found.beside_sft:
        beside = [
            [
                *_settings(row.settings, found, NONE),
                str(len(row.seeds)),
                *map(_points, row.abilities.values()),
            ]
            for row in found.beside_sft
        ]
        titles = [*found.settings, "seeds", *found.abilities]
        page += ["## Beside sft\n", padded(titles, beside), BESIDE + "\n"]
    return "\n".join(page)


def _parts(found: SweepTable) -> dict[str, list[SweepRow]]:
    """The rows of each grid after the base's, then those of no grid."""
    base, *rows = found.rows
    named = {cell for cells in found.grids.values() for cell in cells}
    others = [row for row in rows if row.cell not in named]
    parts = {
        name: [base, *(row for row in rows if row.cell in cells)]
        for name, cells in found.grids.items()
    }
    if others and parts:
        parts["earlier"] = [base, *others]
    return parts or {"": list(found.rows)}


def _without_blanks(head: list[str], body: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The table without the columns that say nothing in any row."""
    kept = [i for i in range(len(head)) if any(line[i] != NONE for line in body)]
    return [head[i] for i in kept], [[line[i] for i in kept] for line in body]


def padded(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns, but the last, are as wide as their widest cell."""
    lines = [
        list(head),
        *([signs(" ".join(cell.split())).replace("|", "/") for cell in row] for row in body),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)] + [3]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(
        f"| {' | '.join(c.ljust(w) for c, w in zip(line, widths, strict=True))} |\n"
        for line in lines
    )


def _line(row: SweepRow, found: SweepTable) -> list[str]:
    base = row.cell == "base"
    line = ["base" if base else "tuned", *_settings(row.settings, found, NONE)]
    line.append(NONE if base else str(len(row.seeds)))
    for name, column in found.abilities.items():
        rate = row.abilities.get(name)
        line.append(_shown(rate) if rate else NONE)
        if column.search:
            line.append(NONE if rate is None or rate.kept is None else f"{rate.kept:.2f}")
    line.append(NONE if row.valid_steps is None else f"{100 * row.valid_steps:.1f} %")
    line.append(NONE if row.tuning_seconds is None else duration(row.tuning_seconds))
    return [*line, _below(row) or NONE, _failed(row) or NONE]


def _shown(found: Average) -> str:
    return f"{100 * found.rate:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _settings(own: Mapping[str, Any], found: SweepTable, missing: str) -> list[str]:
    values = [own.get(name, missing) for name in found.settings]
    return ["+".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in values]


def _points(gain: Gain) -> str:
    text = f"{100 * gain.mean:+.1f}"
    if gain.low is None or gain.high is None:
        return text
    return f"{text} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def _below(row: SweepRow) -> str:
    return "; ".join(f"seed {seed}: {', '.join(names)}" for seed, names in row.below.items())


def _failed(row: SweepRow) -> str:
    return "; ".join(f"seed {seed}: {reason}" for seed, reason in row.failed.items())

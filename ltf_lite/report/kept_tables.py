"""What tuning learned and what it kept, checkpoint by checkpoint and at the end, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltf_lite.evaluation.retention import HELDOUT_NLL, read_elsewhere, retention, value_of
from ltf_lite.report.results import name_of, records
from ltf_lite.report.tables import Cell, Table, cell, rate, share, without_empty

ELSEWHERE = {"sibling": "single pass on the sibling task", HELDOUT_NLL: "NLL of a held-out text"}

Line = Mapping[str, Any]


def curves_table(lines: Sequence[Line], kept: int | None) -> Table:
    """Losses and validation at every checkpoint; `kept` is the step that was kept."""
    table = Table(
        "curves", "Learning curves",
        ("step", "learning, nats a token", "forgetting", "learning rate", "validation [95 %]", "n",
         "valid steps", "training seconds"),
        [
            (_step(line["step"], kept), cell(line["learning"], "{:.4f}"),
             cell(line["forgetting"], "{:.4f}"), cell(line.get("rate"), "{:.2g}"),
             _validated(line), cell(line.get("n")), share(line.get("valid_steps")),
             cell(line.get("seconds"), "{:.1f}"))
            for line in lines
        ],
    )  # fmt: skip
    return without_empty(table)


def _validated(line: Line) -> Cell:
    """The success on the validation problems, with its interval where the run wrote one."""
    return rate({**line, "rate": line["success"]}) if "low" in line else share(line["success"])


def _step(step: int, kept: int | None) -> Cell:
    return Cell(step, f"{step} (kept)" if step == kept else f"{step}")


def checkpoints_table(
    base: Mapping[str, Any], lines: Sequence[Line], floors: Mapping[str, float], kept: int
) -> Table | None:
    """Every ability over the base's at every checkpoint; None where none was measured.

    `base` is a run's tuning/base.json, `floors` are relative to the base, a ceiling for the
    held-out NLL.
    """
    names = list(base["abilities"])
    measured = [line for line in lines if line.get("kept")]
    if not measured:
        return None
    values = {name: value_of(ability) for name, ability in base["abilities"].items()}
    rows = [
        (cell("base"), *(_ability(name, values[name], None) for name in names)),
        *((_step(line["step"], kept),
           *(_ability(name, line["abilities"].get(name), line["kept"].get(name))
             for name in names)) for line in measured),
    ]  # fmt: skip
    if floors:
        bounds = (cell(floors.get(name.partition(" ")[0]), _bound(name)) for name in names)
        rows.append((cell("floor"), *bounds))
    return Table(
        "checkpoints", "What every checkpoint kept of the base's abilities",
        ("step", *names), rows,
        "On validation problems: the value, and in brackets how many times the base's it is. "
        f"{HELDOUT_NLL} is in nats a token on a held-out text, and less is better.",
    )  # fmt: skip


def _ability(name: str, value: float | None, ratio: float | None) -> Cell:
    if value is None:
        return cell(None)
    shown = f"{value:.4f}" if name == HELDOUT_NLL else f"{100 * value:.1f} %"
    return Cell(value, shown if ratio is None else f"{shown} (×{ratio:.2f})")


def _bound(name: str) -> str:
    return "at most ×{:.2f}" if name == HELDOUT_NLL else "at least ×{:.2f}"


def choice_sentence(result: Mapping[str, Any], floors: Mapping[str, float]) -> str:
    """Which checkpoint was kept, and why; `result` is a run's tuning/result.json."""
    step, found = result["step"], result["validation"]
    solved = f"Kept: step {step}, with {100 * found['success']:.1f} % of the validation problems"
    if not floors or "shortfall" not in found:
        return f"{solved}, the most of all checkpoints (of equals the later)."
    if found["shortfall"] == 0:
        return f"{solved}, the most of the checkpoints above every floor (of equals the later)."
    return f"{solved}: no checkpoint is above every floor, and this one falls short the least."


def _answer(ability: str, label: str) -> Cell:
    return Cell(ability, ELSEWHERE.get(ability) or name_of(ability, label))


def retention_table(folder: Path) -> Table | None:
    """Every ability before and after tuning on the test problems; None where none is shared."""
    found = retention(records(folder), read_elsewhere(folder))
    if not found:
        return None
    return Table(
        "retention", "Before and after tuning, on the test problems",
        ("reasoner", "ability", "base", "tuned", "tuned / base"),
        [
            (cell(row["reasoner"]), _answer(row["ability"], row["reasoner"]),
             *(_ability(row["ability"], row[side], None) for side in ("base", "tuned")),
             cell(row["ratio"], "{:.2f}"))
            for row in found
        ],
        "Rates, and where a held-out text was read its mean NLL in nats a token, where less is "
        "better.",
    )  # fmt: skip

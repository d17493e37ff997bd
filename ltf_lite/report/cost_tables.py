"""When training has paid for itself, as tables and words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltf_lite.evaluation.cost import FORMULA, PER_HOUR, WHERE, Price, break_even, verdict
from ltf_lite.progress import duration
from ltf_lite.report.results import is_search, rows
from ltf_lite.report.run_tables import counted
from ltf_lite.report.success_tables import differences
from ltf_lite.report.tables import Cell, Table, cell, share, without_empty


def paid(folder: Path, stages: Mapping[str, Any], price: Price) -> dict[str, Any] | None:
    """`break_even` of a run; None where it has no search or no tuned single pass.

    Raises CostError for a price that can't be applied.
    """
    found = rows(folder)
    single = [r for r in found if r["model"] == "tuned" and r["choice"] == "greedy"]
    searches = [row for row in found if row["model"] == "base" and is_search(row)]
    if not single or not searches:
        return None
    return break_even(counted(stages), single[0], searches, differences(folder)[0], price)


def break_even_table(result: Mapping[str, Any]) -> Table:
    """The single pass and each search: cost of a million questions, and when training has paid."""
    ours = result["single"]
    first = (cell("tuned"), cell(ours["answer"]), share(ours["rate"]), *_costs(ours),
             *[cell(None)] * 4)  # fmt: skip
    table = Table(
        "break_even", "Cost and break-even",
        ("model", "answer", "solved", "a million questions", "a million solved",
         "a million asked alone", "N", "N, asked alone", "single pass beside it",
         "has training paid after N?"),
        [first,
         *((cell(row["model"]), cell(row["answer"]), share(row["rate"]), *_costs(row),
            cell(row["questions"], "{:,.0f}"), cell(row["questions_alone"], "{:,.0f}"),
            cell(row["quality"]), cell(verdict(row)))
           for row in result["searches"])],
        f"{FORMULA}. {WHERE} Costs are in the units of the price. In bulk all questions are asked "
        "together; alone they come one by one. The single pass is called better or worse where "
        "McNemar's exact test on the same problems says so (p below 0.05).",
    )  # fmt: skip
    return without_empty(table)


def _costs(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    return tuple(cell(row[key], "{:,.4g}", 1e6) for key in ("each", "solved", "alone"))


def in_words(result: Mapping[str, Any]) -> str:
    """What was assumed, what training cost, and what it comes to beside the best search."""
    best = max(result["searches"], key=lambda row: row["rate"])
    cost, spent = result["training"]["cost"], duration(result["training"]["seconds"])
    said = f"{price_words(result['price'])} the whole training run ({spent}) cost {cost:,.4g}. "
    beside = f"Beside the base's best search ({best['answer']})"
    if best["questions"] is None:
        return said + f"{beside} it never pays: that search costs no more than the single pass."
    if best["quality"] == "worse":
        return said + (
            f"{beside} there is no break-even at equal quality: the single pass solves "
            f"{100 * result['single']['rate']:.1f} %, the search {100 * best['rate']:.1f} %. "
            f"Counting questions alone, training has cost less after {best['questions']:,.0f}."
        )
    more = " and solves more" if best["quality"] == "better" else ""
    unsure = "" if more else " (these problems can't tell which of the two solves more)"
    return said + (
        f"{beside} it has paid for itself after {best['questions']:,.0f} questions{more}{unsure}."
    )


def price_words(price: Mapping[str, Any]) -> str:
    if price["per_hour"] is None:
        power = f" and {price['watts']:g} watts" if price["watts"] else " and the measured energy"
        return f"At {price['per_kwh']:g} a kWh{power},"
    assumed = ", which is an assumption," if price["per_hour"] == PER_HOUR else ""
    return f"At {price['per_hour']:g} an hour of this machine{assumed}"

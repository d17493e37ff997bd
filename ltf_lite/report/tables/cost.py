"""When training has paid for itself, as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.progress import duration
from ltf_lite.core.text import in_questions
from ltf_lite.evaluation.compare import Difference
from ltf_lite.evaluation.cost import (
    FORMULA,
    PER_HOUR,
    WHERE,
    AnswerCost,
    BreakEven,
    Paid,
    Price,
    break_even,
    verdict,
)
from ltf_lite.evaluation.types import Result
from ltf_lite.report.results import searches, single_pass, sure
from ltf_lite.report.tables.base import NONE, Cell, Table, cell, share, without_empty
from ltf_lite.report.tables.run import counted

HEAD = (
    "model",
    "answer",
    "solved",
    "a million questions",
    "a million solved",
    "a million asked alone",
    "N",
    "N, asked alone",
    "single pass beside it",
    "has training paid after N?",
)


def paid(
    stages: Mapping[str, StageEntry],
    results: Sequence[Result],
    differences: Sequence[Difference],
    price: Price,
) -> BreakEven | None:
    """`break_even` of a run; None where it has no search or no tuned single pass.

    Raises CostError for a price that cannot be applied.
    """
    single, found = single_pass(results, "tuned"), searches(results)
    if single is None or not found:
        return None
    return break_even(counted(stages), single, found, differences, price)


def break_even_table(found: BreakEven) -> Table:
    """The single pass and each search: cost of a million questions, and when training has paid."""
    first = (*_costs(found.single), *[cell(None)] * 4)
    note = (
        f"{FORMULA}. {WHERE} Costs are in the units of the price. In bulk all questions are asked "
        "together; alone they come one by one. The single pass is called better or worse where "
        "McNemar's exact test on the same problems says so (p below 0.05)."
    )
    rows = [first, *(_search(row) for row in found.searches)]
    return without_empty(Table("break_even", "Cost and break-even", HEAD, rows, note))


def _search(row: Paid) -> tuple[Cell, ...]:
    return (
        *_costs(row.cost),
        *(Cell(n, in_questions(n) or NONE) for n in (row.questions, row.questions_alone)),
        cell(row.quality),
        cell(verdict(row)),
    )


def _costs(row: AnswerCost) -> tuple[Cell, ...]:
    made = row.result
    costs = (cell(each, "{:,.4g}", 1e6) for each in (row.each, row.solved, row.alone))
    return cell(made.model), cell(made.answer), share(made.rate.rate), *costs


def in_words(found: BreakEven) -> str:
    """What was assumed, what training cost, and what it comes to beside the best search."""
    best = max(found.searches, key=lambda row: sure(row.cost.result.rate))
    search = best.cost.result
    spent = duration(found.seconds)
    said = (
        f"{price_words(found.price)} the whole training run ({spent}) cost {found.training:,.4g}. "
    )
    beside = f"Beside the base's best search ({search.answer})"
    if best.questions is None:
        return said + f"{beside} it never pays: that search costs no more than the single pass."
    asked = in_questions(best.questions)
    if best.quality == "worse":
        ours, theirs = 100 * found.single.result.rate.rate, 100 * search.rate.rate
        return said + (
            f"{beside} there is no break-even at equal quality: the single pass solves "
            f"{ours:.1f} %, the search {theirs:.1f} %. "
            f"Counting questions alone, training has cost less from question {asked} on."
        )
    more = " and solves more" if best.quality == "better" else ""
    unsure = "" if more else " (these problems can't tell which of the two solves more)"
    return said + (f"{beside} it has paid for itself from question {asked} on{more}{unsure}.")


def price_words(price: Price) -> str:
    if price.per_hour is None:
        power = f" and {price.watts:g} watts" if price.watts else " and the measured energy"
        return f"At {price.per_kwh:g} a kWh{power},"
    assumed = ", which is an assumption," if price.per_hour == PER_HOUR else ""
    return f"At {price.per_hour:g} an hour of this machine{assumed}"

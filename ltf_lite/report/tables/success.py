"""Success and its cost, pass@k, and success at equal token budgets, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ltf_lite.core.folder import RunFolder
from ltf_lite.evaluation.budget import MODELS, BudgetPoint, curve
from ltf_lite.evaluation.types import Record, Result, read_record
from ltf_lite.report.kinds import titles_of
from ltf_lite.report.results import Headline, record_files, sorted_files
from ltf_lite.report.tables.base import Cell, Table, cell, rate, share, without_empty

Files = tuple[tuple[Path, int], ...]  # each with when it was written

ABOUT_SUCCESS = (
    "Tokens are a problem's. Milliseconds: a problem's share of the test set asked in bulk, and "
    "the median problem asked by itself. Calls are of the whole set. A sampled rate is the mean "
    "over all samples. An oracle is an upper bound, not a search: the verifier picks. Intervals "
    "are of 95 %: Wilson's, over the problems."
)


def headline_table(facts: Headline) -> Table:
    """The headline, a fact a row: its name, its value, and beside it."""
    search = facts.search
    rows = [_fact("Single pass, tuned", facts.tuned), _fact("Single pass, base", facts.base)]
    if search:
        rows.append(_fact("Best search, base", search))
        for what, value in (("tokens", facts.tokens), ("seconds", facts.seconds)):
            beside = cell(f"times the tuned single pass's {what} for {search.answer}")
            rows.append(
                (cell(f"Search against single pass, {what}"), cell(value, "{:,.0f}×"), beside)
            )
    return Table("headline", "", ("fact", "value", "beside it"), rows)


def _fact(name: str, row: Result) -> tuple[Cell, Cell, Cell]:
    found = row.rate
    value = Cell(found.rate, f"{100 * found.rate:.1f} %", found.low, found.high)
    interval = f"{100 * found.low:.1f} to {100 * found.high:.1f} %"
    beside = f"{interval}, {found.n} problems, {1000 * row.cost.seconds:.2f} ms each"
    return cell(name), value, cell(beside)


def success_table(results: Sequence[Result]) -> Table:
    """A row for each result: its rate and what a problem cost."""
    head = (
        "model",
        "answer",
        "solved [95 %]",
        "n",
        "tokens in",
        "tokens out",
        "calls",
        "ms in bulk",
        "ms alone",
        "valid steps",
    )
    rows = [_success(result) for result in results]
    table = Table("success", "Success on the test problems", head, rows, ABOUT_SUCCESS)
    return without_empty(table)


def _success(row: Result) -> tuple[Cell, ...]:
    cost = row.cost
    return (
        Cell(row.model, {"none": "–"}.get(row.model, row.model)),
        cell(row.answer),
        rate(row.rate),
        cell(row.rate.n),
        cell(cost.tokens_in or None, "{:.0f}"),
        cell(cost.tokens or None, "{:.0f}"),
        cell(row.calls or None, "{:,}"),
        cell(cost.seconds, "{:,.2f}", 1000),
        cell(cost.alone, "{:,.1f}", 1000),
        share(row.valid_steps),
    )


def pass_table(records: Sequence[Record]) -> Table | None:
    """How many problems k samples would solve if the verifier picked; None where nobody sampled."""
    found = [record for record in records if record.pass_at]
    if not found:
        return None
    titles = titles_of(found)
    sizes = sorted({k for record in found for k in record.pass_at})
    return Table(
        "pass_at_k",
        "pass@k: is a right path among k samples?",
        ("model", "reasoner", *(f"pass@{k} [95 %]" for k in sizes)),
        [
            (
                cell(record.model),
                Cell(record.label, titles[record.label]),
                *(rate(at[k]) if k in (at := record.pass_at) else cell(None) for k in sizes),
            )
            for record in found
        ],
        "The unbiased estimate from all samples; the interval is over problems.",
    )


def stamped(files: Sequence[Path]) -> Files:
    """Files with when each was written: what is made of them holds as long as these do."""
    return tuple((file, file.stat().st_mtime_ns) for file in files)


def budget_points(
    folder: RunFolder, tokens: Sequence[int], task: str | None = None
) -> list[BudgetPoint]:
    """The points of `evaluation.budget.curve` for a run; none where no budget was asked."""
    asked = [file for model in MODELS for file in sorted_files(folder.budgets(model))]
    whole = record_files(folder)
    return _points_of(stamped(asked), stamped(whole), tuple(tokens), task) if asked else []


@lru_cache(maxsize=8)  # the records' paths are megabytes to read
def _points_of(
    asked: Files, whole: Files, tokens: tuple[int, ...], task: str | None
) -> list[BudgetPoint]:
    at_budgets, others = ([read_record(file, task) for file, _ in each] for each in (asked, whole))
    return curve(others, at_budgets, tokens)


def budget_table(found: Sequence[BudgetPoint]) -> Table | None:
    """Success of each way of answering at each token budget; None where there is no point."""
    if not found:
        return None
    return Table(
        "budgets",
        "Success at equal token budgets",
        ("model", "answer", "samples", "budget, tokens", "generated tokens", "solved [95 %]", "n"),
        [
            (
                cell(point.model),
                cell(point.answer),
                cell(point.samples),
                cell(point.budget, "{:,}"),
                cell(point.tokens, "{:,.0f}"),
                rate(point.rate),
                cell(point.rate.n),
            )
            for point in found
        ],
        "Tokens are a problem's. A search stops before it generates more than its budget; of "
        "samples as many are taken as fit. The single pass has one row: more tokens change "
        "nothing.",
    )

"""Success, its cost, and which differences are real, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ltf_lite.evaluation import compared
from ltf_lite.evaluation.budget import curve
from ltf_lite.evaluation.compare import same_reasoner
from ltf_lite.evaluation.records import read_record, task_named
from ltf_lite.evaluation.success import FEW
from ltf_lite.files import read_json
from ltf_lite.report.results import name_of, records
from ltf_lite.report.tables import Cell, Table, cell, rate, share, without_empty

Files = tuple[tuple[Path, int], ...]  # each with when it was written

ABOUT_SUCCESS = (
    "Tokens are a problem's. Milliseconds: a problem's share of the test set asked in bulk, and "
    "the median problem asked by itself. Calls are of the whole set. A sampled rate is the mean "
    "over all samples. An oracle is an upper bound, not a search: the verifier picks. Intervals "
    "are of 95 %: Wilson's, over the problems."
)
ABOUT_DIFFERENCE = (
    "On the problems that both were asked. p is how often chance alone would split the problems "
    "that only one of them solved at least this unevenly (McNemar's exact test); below 0.05 the "
    "difference is called real, and above it these problems can't tell the two apart, which does "
    "not prove them equal. Intervals: paired bootstrap over problems. p is not corrected for the "
    "number of rows."
)


def headline_table(facts: dict[str, Any]) -> Table:
    """What `report.results.headline` found, a fact a row: its name, its value, and beside it."""
    tuned, base, search = facts["tuned"], facts["base"], facts["search"]
    rows = [_fact("Single pass, tuned", tuned), _fact("Single pass, base", base)]
    if search:
        times = f"times the tuned single pass's seconds for {search['answer']}"
        rows += [_fact("Best search, base", search),
                 (cell("Search against single pass"), cell(facts["speedup"], "{:,.0f}×"),
                  cell(times))]  # fmt: skip
    return Table("headline", "", ("fact", "value", "beside it"), rows)


def _fact(name: str, row: dict[str, Any]) -> tuple[Cell, Cell, Cell]:
    value = Cell(row["rate"], f"{100 * row['rate']:.1f} %", row["low"], row["high"])
    interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"
    beside = f"{interval}, {row['n']} problems, {1000 * row['seconds']:.2f} ms each"
    return cell(name), value, cell(beside)


def success_table(results: Sequence[dict[str, Any]]) -> Table:
    """A row for each of `report.results.rows`: its rate and what a problem cost."""
    table = Table(
        "success", "Success on the test problems",
        ("model", "answer", "solved [95 %]", "n", "tokens in", "tokens out", "calls",
         "ms in bulk", "ms alone", "valid steps"),
        [
            (Cell(r["model"], {"none": "–"}.get(r["model"], r["model"])), cell(r["answer"]),
             rate(r), cell(r["n"]), cell(r.get("tokens_in") or None, "{:.0f}"),
             cell(r["tokens"] or None, "{:.0f}"), cell(r.get("calls") or None, "{:,}"),
             cell(r["seconds"], "{:,.2f}", 1000), cell(r.get("alone"), "{:,.1f}", 1000),
             share(r["valid_steps"]))
            for r in results
        ],
        ABOUT_SUCCESS,
    )  # fmt: skip
    return without_empty(table)


def difference_table(folder: Path) -> Table | None:
    """The tuned single pass against the base's answers to the same problems; None without any."""
    return _differences(
        "single_pass_differences", "The tuned single pass against each answer of the base",
        ("the base's", "tuned single pass", "base"),
        [(name_of(r["second"]["choice"], r["second"]["label"]), r)
         for r in differences(folder)[0]],
    )  # fmt: skip


def same_table(folder: Path) -> Table | None:
    """Every way of answering before and after tuning, on the same problems; None without any."""
    return _differences(
        "same_reasoner_differences", "Each answer after tuning against the same before it",
        ("answer", "tuned", "base"),
        [(name_of(r["second"]["choice"], r["second"]["label"]), r)
         for r in differences(folder)[1]],
    )  # fmt: skip


def differences(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of `compared` and of `same_reasoner` for a run."""
    return _differences_of(_written(folder, "evaluation/*/*.test.json"))


def _written(folder: Path, pattern: str) -> Files:
    return tuple((file, file.stat().st_mtime_ns) for file in sorted(folder.glob(pattern)))


@lru_cache(maxsize=8)  # thousands of resamples a row: a moment, but not at every look at a run
def _differences_of(files: Files) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = [read_json(file) for file, _ in files]
    return compared(found), same_reasoner(found)


def _differences(
    name: str, title: str, head: tuple[str, str, str], rows: list[tuple[str, dict[str, Any]]]
) -> Table | None:
    if not rows:
        return None
    first, *sides = head
    return Table(
        name, title,
        (first, "n", *sides, "difference, points [95 %]", "only tuned solved", "only base solved",
         "p", "real?"),
        [
            (cell(answer), cell(r["n"]), share(r["first"]["rate"]), share(r["second"]["rate"]),
             points(r), cell(r["b"]), cell(r["c"]),
             Cell(r["p"], f"{r['p']:.2g}" if r["p"] >= 1e-4 else "< 0.0001"), cell(real(r)))
            for answer, r in rows
        ],
        ABOUT_DIFFERENCE,
    )  # fmt: skip


def points(row: dict[str, Any]) -> Cell:
    """A difference in points with its interval."""
    shown = f"{row['points']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]"
    return Cell(row["points"], shown, row["low"], row["high"])


def real(row: dict[str, Any]) -> str:
    """What a row of `compared` allows to say."""
    if row["n"] < FEW:
        return "too few problems to conclude anything"
    return "yes" if row["p"] < 0.05 else "can't tell"


def pass_table(folder: Path) -> Table | None:
    """How many problems k samples would solve if the verifier picked; None where nobody sampled."""
    found = [r for r in records(folder) if r.get("pass_at")]
    if not found:
        return None
    sizes = sorted({int(k) for r in found for k in r["pass_at"]})
    return Table(
        "pass_at_k", "pass@k: is a right path among k samples?",
        ("model", "reasoner", *(f"pass@{k} [95 %]" for k in sizes)),
        [
            (cell(r["model"]), cell(r["label"]),
             *(rate(r["pass_at"][str(k)]) if str(k) in r["pass_at"] else cell(None)
               for k in sizes))
            for r in found
        ],
        "The unbiased estimate from all samples; the interval is over problems.",
    )  # fmt: skip


def budget_points(folder: Path, tokens: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of `evaluation.budget.curve` for a run; none where no budget was asked."""
    asked = _written(folder, "evaluation/*/budgets/*.test.json")
    whole = _written(folder, "evaluation/*/*.test.json")
    return _points_of(asked, whole, tuple(tokens), task_named(folder)) if asked else []


@lru_cache(maxsize=8)  # the records' paths are megabytes to read
def _points_of(
    asked: Files, whole: Files, tokens: tuple[int, ...], task: str | None
) -> list[dict[str, Any]]:
    at_budgets = [read_record(file, task) for file, _ in asked]
    return curve([read_json(file) for file, _ in whole], at_budgets, tokens)


def budget_table(found: Sequence[dict[str, Any]]) -> Table | None:
    """Success of each way of answering at each token budget; None where there is no point."""
    if not found:
        return None
    return Table(
        "budgets", "Success at equal token budgets",
        ("model", "answer", "samples", "budget, tokens", "generated tokens", "solved [95 %]", "n"),
        [
            (cell(p["model"]), cell(p["answer"]), cell(p.get("samples")), cell(p["budget"], "{:,}"),
             cell(p["tokens"], "{:,.0f}"), rate(p), cell(p["n"]))
            for p in found
        ],
        "Tokens are a problem's. A search stops before it generates more than its budget; of "
        "samples as many are taken as fit. The single pass has one row: more tokens change "
        "nothing.",
    )  # fmt: skip

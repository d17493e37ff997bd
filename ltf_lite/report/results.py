"""What a run found, read from its own records: one row a model and way of answering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ltf_lite.core.folder import RunFolder
from ltf_lite.evaluation.naming import results_of
from ltf_lite.evaluation.types import Rate, Record, Result, read_record

MODELS = ("none", "base", "tuned")  # in this order; the exported files come after them
TEST = "*.test.json"  # the records of test problems


@dataclass(frozen=True)
class Headline:
    """Single pass before and after tuning, and the base's best search without a verifier.

    `tokens` and `seconds` are that search's over the tuned single pass's, a problem; None without a
    search, and `seconds` where the two are not of one engine and precision.
    """

    base: Result
    tuned: Result
    search: Result | None
    tokens: float | None
    seconds: float | None


def record_files(folder: RunFolder) -> list[Path]:
    """The records of base and tuned model on the test problems."""
    return [file for model in ("base", "tuned") for file in sorted_files(folder.evaluation(model))]


def sorted_files(folder: Path) -> list[Path]:
    """The records that lie in a folder."""
    return sorted(folder.glob(TEST))


def records(folder: RunFolder, task: str | None = None) -> list[Record]:
    """Every evaluation record of a run, base before tuned, without the paths it was made from.

    Raises BrokenFile, and ForeignFile where one is of another schema, or not of `task`.
    """
    files = [*record_files(folder), *sorted_files(folder.gguf)]
    found = [_record(file, file.stat().st_mtime_ns, task) for file in files]
    return sorted(found, key=lambda r: MODELS.index(r.model) if r.model in MODELS else len(MODELS))


@lru_cache(maxsize=256)
def _record(file: Path, changed: int, task: str | None) -> Record:
    """A record, read once as long as it stays the same: its paths may be megabytes."""
    return replace(read_record(file, task), paths=())


def results(folder: RunFolder, task: str | None = None) -> list[Result]:
    """One row a model and way of answering."""
    return rows_of(records(folder, task))


def rows_of(found: Sequence[Record]) -> list[Result]:
    return [row for record in found for row in results_of(record)]


def single_pass(rows: Sequence[Result], model: str) -> Result | None:
    """A model's single pass."""
    own = (row for row in rows if row.model == model and row.choice.kind == "single_pass")
    return next(own, None)


def searches(rows: Sequence[Result]) -> list[Result]:
    """The searches of the base that ask no verifier."""
    return [row for row in rows if row.model == "base" and row.choice.is_search]


def sure(rate: Rate) -> float:
    """By what the best of several rates is picked: the share that its problems leave no doubt of.

    A search of few problems is not the best of all because of a lucky one.
    """
    return rate.low


def headline(rows: Sequence[Result]) -> Headline | None:
    """The headline; None until both models were asked for a single pass."""
    base, tuned = single_pass(rows, "base"), single_pass(rows, "tuned")
    if base is None or tuned is None:
        return None
    best = max(searches(rows), key=lambda row: sure(row.rate), default=None)
    if best is None:
        return Headline(base, tuned, None, None, None)
    tokens = best.cost.tokens / tuned.cost.tokens if tuned.cost.tokens else None
    alike = best.runtime == tuned.runtime
    return Headline(
        base, tuned, best, tokens, best.cost.seconds / tuned.cost.seconds if alike else None
    )

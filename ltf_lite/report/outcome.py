"""What a run comes to for who has to decide: quality, cost, and from when on training pays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ltf_lite.core.manifest import StageEntry
from ltf_lite.evaluation.compare import Difference
from ltf_lite.evaluation.cost import Paid, Price, Quality, in_questions, quality_of
from ltf_lite.evaluation.success import FEW
from ltf_lite.evaluation.types import Result
from ltf_lite.report.figures.drawing import WORDS
from ltf_lite.report.results import headline
from ltf_lite.report.tables.cost import paid


class Outcome(NamedTuple):
    """The base's single pass, the tuned one, and the base's best search without a verifier.

    `quality` is what may be said of the tuned single pass beside that search. `seconds` are those
    of the whole run, which training has cost. `paid` is None where the two were measured in two
    engines or precisions: their seconds are not compared.
    """

    base: Result
    tuned: Result
    search: Result
    quality: Quality
    seconds: float
    paid: Paid | None

    @property
    def few(self) -> bool:
        return self.tuned.rate.n < FEW


def outcome(
    stages: Mapping[str, StageEntry], results: Sequence[Result], differences: Sequence[Difference]
) -> Outcome | None:
    """What a run comes to; None until both models were measured, and without a search."""
    found = headline(results)
    if found is None or found.search is None:
        return None
    search, costs = found.search, paid(stages, results, differences, Price())
    assert costs is not None
    own = (row for row in costs.searches if row.cost.result == search)
    quality = quality_of(search, differences)
    return Outcome(found.base, found.tuned, search, quality, costs.seconds, next(own, None))


def sentence(found: Outcome, words: Mapping[str, str] = WORDS) -> str:
    """Which solves more, and from how many questions on training has paid."""
    return " ".join(_sentences(found, words))


def _sentences(found: Outcome, words: Mapping[str, str]) -> Iterator[str]:
    if found.few:
        yield words["comes_to_few"].format(n=found.tuned.rate.n)
    else:
        same = {"better": "better", "worse": "worse"}.get(found.quality, "same")
        yield words[f"comes_to_{same}"]
    yield words[f"comes_to_{word_of(found)}"].format(n=questions(found))


def word_of(found: Outcome) -> str:
    """The word for when training pays: it only does at a quality that is known to be no less."""
    if found.paid is None:
        return "two_engines"
    if found.paid.questions is None:
        return "no_saving"
    return "from" if found.quality == "better" and not found.few else "cheaper"


def questions(found: Outcome) -> str:
    """After how many questions, as the report tells it everywhere; "" for never."""
    return in_questions(found.paid.questions if found.paid else None)

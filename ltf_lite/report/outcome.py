"""What a run comes to for who has to decide: quality, cost, and from when on training pays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ltf_lite.core.manifest import Manifest, StageEntry, quiet_share
from ltf_lite.core.text import in_questions
from ltf_lite.evaluation.compare import Difference
from ltf_lite.evaluation.cost import Paid, Price, Quality, quality_of
from ltf_lite.evaluation.success import FEW
from ltf_lite.evaluation.types import Result
from ltf_lite.report.figures.drawing import WORDS
from ltf_lite.report.results import Headline, headline
from ltf_lite.report.tables.base import percent
from ltf_lite.report.tables.cost import paid

QUIET = 0.85  # of its wall time that a process on a quiet machine has a CPU


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
        return
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


def times(value: float | None) -> str:
    return "an unknown share of" if value is None else f"{value:,.0f} times"


def busy(manifest: Manifest) -> float | None:
    """The share of their time for which the evaluations had a CPU, where other work took of it.

    None where the machine was quiet, or nobody counted.
    """
    waited = quiet_share(manifest, ("baseline", "evaluate"))
    return None if waited is None or waited >= QUIET else waited


def busy_sentence(manifest: Manifest) -> str:
    """That times are those of a busy machine; "" where it was quiet."""
    waited = busy(manifest)
    if waited is None:
        return ""
    return (
        f"Other work shared the machine: the evaluations had a CPU for {100 * waited:.0f} % of "
        "their time, so times are longer than on a quiet one."
    )


def headline_sentence(
    facts: Headline, single: Sequence[Difference], manifest: Manifest | None = None
) -> str:
    """The headline, and which of its numbers these problems can't tell apart.

    `single` are the differences of the tuned single pass from the base's answers. Of a run whose
    `manifest` tells of other work no times are compared.
    """
    quiet = manifest is None or busy(manifest) is None
    base, tuned, search = facts.base, facts.tuned, facts.search
    after, before = percent(tuned.rate), percent(base.rate)
    text = f"Single pass: {after} after tuning, {before} before (n = {tuned.rate.n})"
    if search:
        text += (
            f"; the base's best search without a verifier ({search.answer}, n = {search.rate.n}) "
            f"{percent(search.rate)}, at {times(facts.tokens)} the tuned single pass's tokens"
        )
        if facts.seconds is not None and quiet:
            text += f" and {times(facts.seconds)} its seconds"
    return " ".join((f"{text}.", *_not_told(facts, single)))


def _not_told(facts: Headline, single: Sequence[Difference]) -> Iterator[str]:
    """What is too few problems altogether is said apart, and louder."""
    if facts.tuned.rate.n < FEW:
        return
    apart = {(row.second.choice, row.second.label): row.real for row in single}
    if apart.get((facts.base.choice, facts.base.label)) is False:
        yield "These problems can't tell the single pass after tuning from the one before."
    if facts.search and apart.get((facts.search.choice, facts.search.label)) is False:
        yield (
            "Which of the two solves more, the single pass after tuning or that search, these "
            "problems can't tell."
        )

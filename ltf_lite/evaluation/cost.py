"""What a run has cost, what a question costs, and after how many questions training has paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.manifest import Spent
from ltf_lite.evaluation.compare import Difference
from ltf_lite.evaluation.types import Result

PER_HOUR = 0.50  # of the machine, in whatever currency: what is assumed where nobody says
JOULES = 3.6e6  # in a kilowatt-hour
FORMULA = "N = C / (c_search - c_single)"
WHERE = (
    "C is the cost of the whole training run, c_search and c_single are the costs of a question by "
    "search with the base and by the tuned single pass: their seconds times the price of a second."
)


Quality = Literal["better", "worse", "can't tell"]


class CostError(LtfError, ValueError):
    """A price that cannot be applied."""

    code = USAGE


class Price(NamedTuple):
    """Of an hour of the machine, or of a kilowatt-hour.

    `watts` is the power where the machine does not measure its energy.
    """

    per_hour: float | None = PER_HOUR
    per_kwh: float | None = None
    watts: float | None = None


def price_of(
    per_hour: float | None = None, per_kwh: float | None = None, watts: float | None = None
) -> Price:
    """The price that was asked for, PER_HOUR where none was; raises CostError."""
    for name, value in (("an hour", per_hour), ("a kWh", per_kwh), ("watts", watts)):
        if value is not None and not 0 < value < 1e9:
            raise CostError(f"the price or power of {name} must be above 0, not {value:g}")
    if per_hour is not None and per_kwh is not None:
        raise CostError("a price is given an hour or a kWh: leave one of them out")
    if watts is not None and per_kwh is None:
        raise CostError("watts only matter for a price a kWh: give --per-kwh too")
    if per_kwh is not None:
        return Price(None, per_kwh, watts)
    return Price(PER_HOUR if per_hour is None else per_hour)


@dataclass(frozen=True)
class AnswerCost:
    """What a question costs that is answered in one way, in units of the price.

    `each` is in bulk, `alone` one at a time (None where nobody asked so), `solved` is the cost of a
    solved question, in bulk.
    """

    result: Result
    each: float
    alone: float | None
    solved: float | None


@dataclass(frozen=True)
class Paid:
    """A search of the base beside the tuned single pass.

    Training has cost as much after `questions` in bulk, or `questions_alone`: None where the search
    is no dearer, or was not asked alone. `quality` is what may be said of the single pass beside
    it. Where that is worse there is no break-even at equal quality, whatever the questions.
    """

    cost: AnswerCost
    saving: float
    questions: float | None
    questions_alone: float | None
    quality: Quality


@dataclass(frozen=True)
class BreakEven:
    """What training has cost, and when the tuned single pass has paid for it."""

    price: Price
    per_second: float
    seconds: float
    training: float
    single: AnswerCost
    searches: tuple[Paid, ...]


class CostLine(NamedTuple):
    """Total cost by number of questions: what is fixed, and what each question adds."""

    name: str
    fixed: float
    each: float


def per_second(price: Price, stages: Mapping[str, Spent]) -> float:
    """The price of a second of the machine; of energy, by `watts` or what the stages measured.

    Raises CostError where energy is to be paid and its power is not known.
    """
    if price.per_hour is not None:
        return price.per_hour / 3600
    watts = price.watts
    if watts is None:
        told = [(s.joules, s.seconds) for s in stages.values() if s.joules and s.seconds]
        if not told:
            raise CostError(
                "this machine told no energy, so a price a kWh needs its power too: give --watts"
            )
        watts = sum(joules for joules, _ in told) / sum(seconds for _, seconds in told)
    return (price.per_kwh or 0.0) * watts / JOULES


def break_even(
    stages: Mapping[str, Spent],
    single: Result,
    searches: Iterable[Result],
    differences: Sequence[Difference],
    price: Price,
) -> BreakEven:
    """When the tuned single pass has paid for its training, against each search of the base.

    `differences` are those of `compared`. A search of another engine or precision than the single
    pass is left out: its seconds say nothing beside those. Raises CostError.
    """
    alike = [search for search in searches if search.runtime == single.runtime]
    second = per_second(price, stages)
    seconds = sum(stage.seconds for stage in stages.values())
    ours, total = _cost(single, second), seconds * second
    paid = [_paid(_cost(search, second), ours, total, differences) for search in alike]
    return BreakEven(price, second, seconds, total, ours, tuple(paid))


def _paid(
    theirs: AnswerCost, ours: AnswerCost, total: float, differences: Sequence[Difference]
) -> Paid:
    return Paid(
        theirs,
        theirs.each - ours.each,
        _questions(total, theirs.each, ours.each),
        _questions(total, theirs.alone, ours.alone),
        quality_of(theirs.result, differences),
    )


def _cost(result: Result, second: float) -> AnswerCost:
    each, alone, rate = result.cost.seconds * second, result.cost.alone, result.rate.rate
    return AnswerCost(
        result, each, None if alone is None else alone * second, each / rate if rate else None
    )


def _questions(total: float, search: float | None, single: float | None) -> float | None:
    if search is None or single is None or search <= single:
        return None
    return total / (search - single)


def quality_of(search: Result, differences: Sequence[Difference]) -> Quality:
    """What McNemar's test allows to say of the single pass beside this search."""
    for row in differences:
        if (row.second.choice, row.second.label) == (search.choice, search.label):
            if not row.real:
                return "can't tell"
            return "better" if row.points > 0 else "worse"
    return "can't tell"


def lines(found: BreakEven) -> list[CostLine]:
    """Total cost by number of questions, in bulk: the tuned single pass, then each search."""
    ours = found.single
    first = CostLine(ours.result.answer, found.training, ours.each)
    others = (CostLine(row.cost.result.answer, 0.0, row.cost.each) for row in found.searches)
    return [first, *others]


def verdict(row: Paid) -> str:
    """What a search beside the single pass comes to, in words."""
    if row.questions is None:
        return "never: the search costs no more than the single pass"
    if row.quality == "worse":
        return "none at equal quality: the single pass solves less"
    if row.quality == "better":
        return "yes, and the single pass solves more"
    return "yes, as far as these problems can tell the two apart"

"""What a run has cost, what a question costs, and after how many questions training has paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ltf_lite.evaluation.success import FEW

PER_HOUR = 0.50  # of the machine, in whatever currency: what is assumed where nobody says
JOULES = 3.6e6  # in a kilowatt-hour
FORMULA = "N = C / (c_search - c_single)"
WHERE = (
    "C is the cost of the whole training run, c_search and c_single are the costs of a question by "
    "search with the base and by the tuned single pass: their seconds times the price of a second."
)


class CostError(ValueError):
    """A price that can't be applied, with a sentence for the user."""


class Price(NamedTuple):
    """Of an hour of the machine, or of a kilowatt-hour; `watts` where the machine tells none."""

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


def per_second(price: Price, stages: Mapping[str, Mapping[str, Any]]) -> float:
    """The price of a second of the machine; of energy, by `watts` or what the stages measured.

    Raises CostError where energy is to be paid and its power is not known.
    """
    if price.per_hour is not None:
        return price.per_hour / 3600
    watts = price.watts
    if watts is None:
        told = [stage for stage in stages.values() if stage.get("joules") and stage.get("seconds")]
        if not told:
            raise CostError(
                "this machine told no energy, so a price a kWh needs its power too: give --watts"
            )
        watts = sum(s["joules"] for s in told) / sum(s["seconds"] for s in told)
    return (price.per_kwh or 0.0) * watts / JOULES


def break_even(
    stages: Mapping[str, Mapping[str, Any]],
    single: Mapping[str, Any],
    searches: Iterable[Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    price: Price,
) -> dict[str, Any]:
    """When the tuned single pass has paid for its training, against each search of the base.

    `stages` are the manifest's; `single` and `searches` rows of results with `rate`, `seconds` (a
    problem, in bulk) and `alone` (asked one by one, or None); `differences` rows of `compared`.
    Each row of the result's `searches` has its costs and those of the single pass (`each`, `alone`,
    and `solved`: a solved question), `questions` and `questions_alone` until break-even (None where
    the search is no dearer, or was not asked alone), and `quality` of the single pass beside it:
    better, worse or can't tell. Where it is worse there is no break-even at equal quality, whatever
    the questions. Raises CostError.
    """
    second = per_second(price, stages)
    seconds = sum(stage.get("seconds", 0.0) for stage in stages.values())
    ours, total = _costs(single, second), seconds * second
    rows = []
    for search in searches:
        theirs = _costs(search, second)
        rows.append(
            {
                **theirs,
                "saving": theirs["each"] - ours["each"],
                "questions": _questions(total, theirs["each"], ours["each"]),
                "questions_alone": _questions(total, theirs["alone"], ours["alone"]),
                "quality": _quality(search, differences),
            }
        )
    return {"price": price._asdict(), "per_second": second,
            "training": {"seconds": seconds, "cost": total}, "single": ours,
            "searches": rows}  # fmt: skip


def _costs(row: Mapping[str, Any], second: float) -> dict[str, Any]:
    each, alone = row["seconds"] * second, row.get("alone")
    return {
        "model": row["model"], "answer": row["answer"], "rate": row["rate"], "n": row["n"],
        "each": each, "alone": None if alone is None else alone * second,
        "solved": each / row["rate"] if row["rate"] else None,
    }  # fmt: skip


def _questions(total: float, search: float | None, single: float | None) -> float | None:
    if search is None or single is None or search <= single:
        return None
    return total / (search - single)


def _quality(search: Mapping[str, Any], differences: Sequence[Mapping[str, Any]]) -> str:
    """What McNemar's test allows to say of the single pass beside this search."""
    for row in differences:
        second = row["second"]
        if (second["choice"], second["label"]) == (search["choice"], search["label"]):
            if row["n"] < FEW or row["p"] >= 0.05:
                return "can't tell"
            return "better" if row["points"] > 0 else "worse"
    return "can't tell"


def lines(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Total cost by number of questions, in bulk: {"name", "fixed", "each", "quality"}.

    The tuned single pass, whose training is fixed, comes first.
    """
    ours = result["single"]
    first = {"name": ours["answer"], "fixed": result["training"]["cost"], "each": ours["each"],
             "quality": None}  # fmt: skip
    return [first, *({"name": row["answer"], "fixed": 0.0, "each": row["each"],
                      "quality": row["quality"]} for row in result["searches"])]  # fmt: skip


def verdict(row: Mapping[str, Any]) -> str:
    """What a row of `break_even` comes to, in words."""
    if row["questions"] is None:
        return "never: the search costs no more than the single pass"
    if row["quality"] == "worse":
        return "none at equal quality: the single pass solves less"
    if row["quality"] == "better":
        return "yes, and the single pass solves more"
    return "yes, as far as these problems can tell the two apart"

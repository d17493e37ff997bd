"""What tuning kept of the base's abilities: every measure after it over the same before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltf_lite.evaluation.records import read_record, task_named

VALID_STEPS = "valid steps"
HELDOUT_NLL = "heldout_nll"  # the one measure that is better when it is lower
NOISE = 1e-9  # of a division

RETENTION = "retention.json"  # of evaluation/<model>: what the run does not tune on


def retention(
    records: Sequence[dict[str, Any]], elsewhere: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """One row an ability that base and tuned model were both measured for, and their ratio.

    `records` are of reasoners: the rate of every way of answering, and the share of valid steps.
    `elsewhere` are those of retention.json: the rate on the sibling task, whose name stands as
    `reasoner`, and the NLL of the held-out text (`heldout_nll`, nats a token; a ratio above 1 is a
    loss). `ratio` is None where the base has 0.
    """
    before, after = (
        _abilities(records, model) | _elsewhere(elsewhere, model) for model in ("base", "tuned")
    )
    return [
        {
            "reasoner": label,
            "ability": ability,
            "base": value,
            "tuned": after[label, ability],
            "ratio": after[label, ability] / value if value else None,
        }
        for (label, ability), value in before.items()
        if (label, ability) in after
    ]


def _abilities(records: Sequence[dict[str, Any]], model: str) -> dict[tuple[str, str], float]:
    """Rates by reasoner (with its settings) and way of choosing."""
    found: dict[tuple[str, str], float] = {}
    for record in records:
        if record["model"] == model:
            label = record["label"]
            found |= {(label, choice): rate["rate"] for choice, rate in record["rates"].items()}
            if record["valid_steps"] is not None:
                found[label, VALID_STEPS] = record["valid_steps"]
    return found


def _elsewhere(records: Sequence[dict[str, Any]], model: str) -> dict[tuple[str, str], float]:
    return {
        (ability["label"], name): value_of(ability)
        for record in records
        if record["model"] == model
        for name, ability in record["abilities"].items()
    }


def read_elsewhere(folder: Path) -> list[dict[str, Any]]:
    """A run's records of what it does not tune on, as many as there are.

    Raises BrokenFile, and ForeignFile where one is of another schema or of another task.
    """
    files = (folder / "evaluation" / model / RETENTION for model in ("base", "tuned"))
    task = task_named(folder)
    return [read_record(file, task) for file in files if file.is_file()]


def value_of(ability: Mapping[str, Any]) -> float:
    """The number of an ability: its rate, or its NLL in nats a token."""
    return ability["nll"] if "nll" in ability else ability["rate"]


def kept(base: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float | None]:
    """Each ability over the base's; None where the base has 0, and so nothing to lose."""
    return {name: now[name] / value if value else None for name, value in base.items()}


def unheld(base: Mapping[str, float], floors: Mapping[str, float]) -> list[str]:
    """The abilities with a floor that hold nothing, because the base has 0 of them."""
    return [name for name, value in base.items() if not value and _floor(name, floors)]


def _floor(ability: str, floors: Mapping[str, float]) -> float | None:
    """The floor of an ability: that of its kind, of `tot` also for `tot beam=8`."""
    return floors.get(ability.partition(" ")[0])


def missed(kept: Mapping[str, float | None], floors: Mapping[str, float]) -> list[dict[str, Any]]:
    """The abilities that were not kept, the worst first: each with its floor and its shortfall.

    `shortfall` is relative to the floor; the NLL's floor is a ceiling.
    """
    found = []
    for ability, ratio in kept.items():
        floor = _floor(ability, floors)
        if floor is None or ratio is None:
            continue
        shortfall = (ratio / floor - 1) * (1 if ability == HELDOUT_NLL else -1)
        if shortfall > NOISE:
            found.append(
                {"ability": ability, "kept": ratio, "floor": floor, "shortfall": shortfall}
            )
    return sorted(found, key=lambda row: -row["shortfall"])


def said(row: Mapping[str, Any]) -> str:
    """A missed floor in words."""
    kept, floor = f"{row['kept']:.2f}", f"{row['floor']:g}"
    if row["ability"] == HELDOUT_NLL:
        return f"the NLL of the held-out text is {kept} times the base's (at most {floor})"
    return f"{row['ability']} is {kept} of the base's (at least {floor})"

"""What tuning kept of the base's abilities: every measure after it over the same before it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltf_lite.core.folder import RunFolder
from ltf_lite.evaluation.naming import results_of
from ltf_lite.evaluation.types import Abilities, Ability, Record, read_abilities

SINGLE_PASS, VALID_STEPS, SAMPLE = "single_pass", "valid_steps", "sample"
SIBLING, OTHER = "sibling", "other_task"
HELDOUT_NLL = "heldout_nll"  # the one measure that is better when it is lower
WORDS = {
    VALID_STEPS: "valid steps",
    SIBLING: "single pass on the sibling task",
    OTHER: "single pass on another task",
    HELDOUT_NLL: "NLL of a held-out text",
}
NOISE = 1e-9  # of a division


@dataclass(frozen=True)
class RetentionRow:
    """An ability of base and tuned model on the test problems, and tuned over base.

    `label` is the reasoner with its settings, the other task or the text's file. `answer` is the
    ability in words. The NLL is in nats a token; a ratio above 1 is then a loss. `ratio` is None
    where the base has 0.
    """

    label: str
    kind: str
    answer: str
    base: float
    tuned: float
    ratio: float | None


@dataclass(frozen=True)
class Missed:
    """An ability that is below its floor; `shortfall` is relative to the floor.

    The floor of the NLL is a ceiling.
    """

    ability: str
    kept: float
    floor: float
    shortfall: float


@dataclass(frozen=True)
class _Measured:
    kind: str
    answer: str
    value: float


def retention(records: Sequence[Record], elsewhere: Sequence[Abilities] = ()) -> list[RetentionRow]:
    """A row for each ability that base and tuned model were both measured for.

    `records` are of reasoners: the rate of every way of answering, and the share of valid steps.
    `elsewhere` are the abilities that the run does not tune on.
    """
    before, after = (_measured(records, elsewhere, model) for model in ("base", "tuned"))
    return [
        RetentionRow(
            label,
            one.kind,
            one.answer,
            one.value,
            now := after[label, what].value,
            now / one.value if one.value else None,
        )
        for (label, what), one in before.items()
        if (label, what) in after
    ]


def _measured(
    records: Sequence[Record], elsewhere: Sequence[Abilities], model: str
) -> dict[tuple[str, Hashable], _Measured]:
    """Abilities by reasoner (with its settings) and way of choosing, or by their kind."""
    found: dict[tuple[str, Hashable], _Measured] = {}
    for record in records:
        if record.model != model:
            continue
        for row in results_of(record):
            measured = _Measured(row.choice.kind, row.answer, row.rate.rate)
            found[record.label, row.choice] = measured
        if (valid := record.valid_steps) is not None:
            found[record.label, VALID_STEPS] = _Measured(VALID_STEPS, WORDS[VALID_STEPS], valid)
    for one in elsewhere:
        for ability in one.abilities if one.model == model else ():
            kind = ability.kind
            found[ability.label, kind] = _Measured(kind, WORDS.get(kind, kind), ability.value)
    return found


def read_elsewhere(folder: RunFolder, task: str | None = None) -> list[Abilities]:
    """A run's records of what it does not tune on, as many as there are.

    Raises BrokenFile, and ForeignFile where one is of another schema, or not of `task`.
    """
    files = (folder.elsewhere(model) for model in ("base", "tuned"))
    return [read_abilities(file, task) for file in files if file.is_file()]


def kept(base: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float | None]:
    """Each ability over the base's; None where the base has 0, and so nothing to lose."""
    return {name: now[name] / value if value else None for name, value in base.items()}


def floors_of(abilities: Iterable[Ability], floors: Mapping[str, float]) -> dict[str, float]:
    """The floor of each ability by its name; `floors` are by kind."""
    return {one.name: floors[one.kind] for one in abilities if one.kind in floors}


def unheld(base: Mapping[str, float], floors: Mapping[str, float]) -> list[str]:
    """The abilities with a floor that hold nothing, because the base has 0 of them."""
    return [name for name, value in base.items() if not value and name in floors]


def missed(kept: Mapping[str, float | None], floors: Mapping[str, float]) -> list[Missed]:
    """The abilities that were not kept, the worst first; both are by name."""
    found = []
    for ability, ratio in kept.items():
        floor = floors.get(ability)
        if floor is None or ratio is None:
            continue
        shortfall = (ratio / floor - 1) * (1 if ability == HELDOUT_NLL else -1)
        if shortfall > NOISE:
            found.append(Missed(ability, ratio, floor, shortfall))
    return sorted(found, key=lambda row: -row.shortfall)


def said(row: Missed) -> str:
    """A missed floor in words."""
    if row.ability == HELDOUT_NLL:
        times = f"{row.kept:.2f} times the base's (at most {row.floor:g})"
        return f"the NLL of the held-out text is {times}"
    return f"{row.ability} is {row.kept:.2f} of the base's (at least {row.floor:g})"

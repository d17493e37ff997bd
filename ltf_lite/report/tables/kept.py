"""What tuning learned and what it kept, checkpoint by checkpoint and at the end, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ltf_lite.evaluation.retention import HELDOUT_NLL, SINGLE_PASS, floors_of, retention
from ltf_lite.evaluation.types import Abilities, Ability, Rate, Record
from ltf_lite.report.kinds import titles_of
from ltf_lite.report.tables.base import Cell, Table, cell, rate, share, without_empty
from ltf_lite.tuning.types import LogLine, TuningResult, Validation

RISEN = 1.05  # times the first loss; less is noise


def curves_table(lines: Sequence[LogLine], kept: int | None) -> Table:
    """Losses and validation at every checkpoint; `kept` is the step that was kept."""
    head = (
        "step",
        "learning, nats a token",
        "forgetting",
        "forgotten token / learnt token",
        "replay",
        "learning rate",
        "validation [95 %]",
        "n",
        "valid steps",
        "training seconds",
    )
    forgets = any(line.forgetting for line in lines)
    rows = [
        (
            _step(line.step, kept),
            cell(line.learning, "{:.4f}"),
            cell(line.forgetting if forgets else None, "{:.4f}"),
            cell(line.weight or None, "{:.2g}"),
            cell(line.replay or None, "{:.4f}"),
            cell(line.rate, "{:.2g}"),
            _validated(line.validation),
            cell(line.validation.n or None),
            share(line.validation.valid_steps),
            cell(line.seconds, "{:.1f}"),
        )
        for line in lines
    ]
    return without_empty(Table("curves", "Learning curves", head, rows))


def splits_table(
    base: Abilities, tuned: Validation, test: Mapping[str, Rate], apart: str
) -> Table | None:
    """The single pass on validation and test problems, which differ by what `apart` says.

    `test` has the rates of `base` and `tuned`; None where they do not differ.
    """
    before = next((each for each in base.abilities if each.name == SINGLE_PASS), None)
    if not apart or before is None or before.low is None or before.high is None or len(test) < 2:
        return None
    known = Rate(before.value, before.low, before.high, before.n)
    rows = [
        (cell("new, of the kind trained on (validation)"), rate(known), _validated(tuned)),
        (cell(f"new, with {apart} (test)"), rate(test["base"]), rate(test["tuned"])),
    ]
    note = "The kept checkpoint was chosen on the validation problems, which favours it there."
    head = ("problems", "base", "tuned")
    return Table("splits", "The single pass on either kind of new problems", head, rows, note)


def _validated(found: Validation) -> Cell:
    """The success on the validation problems."""
    return rate(Rate(found.success, found.low, found.high, found.n))


def _step(step: int, kept: int | None) -> Cell:
    return Cell(step, f"{step} (kept)" if step == kept else f"{step}")


def checkpoints_table(
    base: Abilities, lines: Sequence[LogLine], floors: Mapping[str, float], kept: int | None
) -> Table | None:
    """Every ability over the base's at every checkpoint; None where none was measured.

    `floors` are by kind of ability and relative to the base, a ceiling for the held-out NLL.
    """
    abilities = base.abilities
    measured = [line for line in lines if line.validation.kept]
    if not measured or not abilities:
        return None
    rows = [
        (cell("base"), *(_value(one.kind, one.value) for one in abilities)),
        *(_checkpoint(line, abilities, kept) for line in measured),
    ]
    if bounds := floors_of(abilities, floors):
        rows.append(
            (cell("floor"), *(cell(bounds.get(one.name), _bound(one.kind)) for one in abilities))
        )
    return Table(
        "checkpoints",
        "What every checkpoint kept of the base's abilities",
        ("step", *(one.name for one in abilities)),
        rows,
        "On validation problems: the value, and in brackets how many times the base's it is. "
        f"{HELDOUT_NLL} is in nats a token on a held-out text, and less is better.",
    )


def _checkpoint(line: LogLine, abilities: Sequence[Ability], kept: int | None) -> tuple[Cell, ...]:
    found = line.validation
    return (
        _step(line.step, kept),
        *(
            _value(one.kind, found.abilities.get(one.name), found.kept.get(one.name))
            for one in abilities
        ),
    )


def _value(kind: str, value: float | None, ratio: float | None = None) -> Cell:
    """The number of an ability, and how many times the base's it is."""
    if value is None:
        return cell(None)
    shown = f"{value:.4f}" if kind == HELDOUT_NLL else f"{100 * value:.1f} %"
    return Cell(value, shown if ratio is None else f"{shown} (×{ratio:.2f})")


def _bound(kind: str) -> str:
    return "at most ×{:.2f}" if kind == HELDOUT_NLL else "at least ×{:.2f}"


def forgetting_sentence(lines: Sequence[LogLine]) -> str:
    """A warning where the forgetting loss rises while it is trained; else nothing."""
    losses = [line.forgetting for line in lines if line.forgetting]
    if len(losses) < 2 or losses[-1] <= RISEN * losses[0]:
        return ""
    return (
        f"WARNING: the forgetting loss rose from {losses[0]:.2f} to {losses[-1]:.2f} nats a token "
        "while it was trained: following outweighs forgetting here, and the failures became "
        "likelier."
    )


def choice_sentence(result: TuningResult, floors: Mapping[str, float]) -> str:
    """Which checkpoint was kept, and why."""
    found = result.validation
    solved = (
        f"Kept: step {result.step}, with {100 * found.success:.1f} % of the validation problems"
    )
    if not floors:
        return f"{solved}, the most of all checkpoints (of equals the later)."
    if found.shortfall == 0:
        return f"{solved}, the most of the checkpoints above every floor (of equals the later)."
    return f"{solved}: no checkpoint is above every floor, and this one falls short the least."


def retention_table(records: Sequence[Record], elsewhere: Sequence[Abilities]) -> Table | None:
    """Every ability before and after tuning on the test problems; None where none is shared."""
    found, titles = retention(records, elsewhere), titles_of(records)
    if not found:
        return None
    return Table(
        "retention",
        "Before and after tuning, on the test problems",
        ("reasoner", "ability", "base", "tuned", "tuned / base"),
        [
            (
                Cell(row.label, titles.get(row.label, row.label)),
                cell(row.answer),
                _value(row.kind, row.base),
                _value(row.kind, row.tuned),
                cell(row.ratio, "{:.2f}"),
            )
            for row in found
        ],
        "Rates, and where a held-out text was read its mean NLL in nats a token, where less is "
        "better.",
    )

"""What training made a model do worse, as far as the measured problems tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from ltf_lite.core.folder import RunFolder
from ltf_lite.evaluation.compare import REAL, Difference
from ltf_lite.evaluation.fallen import SEED, parts
from ltf_lite.evaluation.naming import name_of, title_of
from ltf_lite.evaluation.retention import HELDOUT_NLL, WORDS
from ltf_lite.evaluation.significance import paired_p
from ltf_lite.evaluation.types import Abilities, Ability, read_abilities
from ltf_lite.report.tables.differences import differences
from ltf_lite.report.tables.success import Files, stamped

MODELS = ("base", "tuned")


def worse_sentences(folder: RunFolder, task: str | None = None) -> str:
    """A sentence for each search and each ability elsewhere that fell; "" where none did.

    The single pass on the task is left out: it has a place of its own wherever this is said.
    """
    there = [file for model in MODELS if (file := folder.elsewhere(model)).is_file()]
    return " ".join([*_searches(differences(folder, task).same), *_elsewhere(stamped(there), task)])


def _searches(same: Sequence[Difference]) -> Iterator[str]:
    for row in same:
        choice = row.first.choice
        if row.real and row.points < 0 and choice.kind != "single_pass":
            way = name_of(choice, title_of(row.first.reasoner), row.first.settings)
            change = f"{row.points:+.1f} points [{row.low:+.1f}, {row.high:+.1f}], n = {row.n:,}"
            yield f"Training made the {way} worse ({change})."


@lru_cache(maxsize=8)  # thousands of draws an ability: a moment, but not at every look at a run
def _elsewhere(files: Files, task: str | None) -> list[str]:
    """Of what the run does not tune on: another task, the text that is held out."""
    if len(files) < len(MODELS):
        return []
    before, after = (_by_what(read_abilities(file, task)) for file, _ in files)
    pairs = [(before[key], after[key]) for key in before if key in after]
    return [_told(old, new) for old, new in pairs if _fell(old, new)]


def _by_what(found: Abilities) -> dict[tuple[str, ...], Ability]:
    return {(one.label, one.kind, one.problems): one for one in found.abilities}


def _told(old: Ability, new: Ability) -> str:
    if new.kind == HELDOUT_NLL:
        change = f"its NLL is {new.value / old.value:.2f} times the base's, n = {new.n:,}"
        return f"Training made the model worse at other text ({change})."
    change = f"{100 * (new.value - old.value):+.1f} points, n = {new.n:,}"
    return f"Training made the {WORDS.get(new.kind, new.kind)} worse ({change})."


def _fell(old: Ability, new: Ability) -> bool:
    lower = new.value < old.value
    if lower == (new.kind == HELDOUT_NLL) or new.value == old.value:
        return False
    first, now = (parts(one.each if one.solved is None else one.solved) for one in (old, new))
    return len(first) == len(now) > 0 and paired_p(first, now, SEED) < REAL

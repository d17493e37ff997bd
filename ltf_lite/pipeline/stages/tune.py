"""Follow the successes, forget the failures; keep the checkpoint that validates best.

That is the one with the most success among those that kept the base's abilities above the floors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltf_lite.core.files import write_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.progress import bar, record_to, say
from ltf_lite.core.prompt import Prompt, chats
from ltf_lite.core.ranks import launch, ranks
from ltf_lite.engines.base import Usage, counted, used
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.evaluation.retention import (
    SINGLE_PASS,
    VALID_STEPS,
    floors_of,
    kept,
    missed,
    said,
    unheld,
)
from ltf_lite.evaluation.types import Ability, read_abilities
from ltf_lite.harvest import Example, Limits, Taken, by_problem, examples, replayed, solved
from ltf_lite.pipeline import abilities
from ltf_lite.pipeline.common import (
    PLAIN,
    asked_in,
    base_of,
    learnt,
    plain,
    previous_of,
    seed_of,
    set_threads,
    threads_of,
)
from ltf_lite.pipeline.hearing import Advance
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.tasks import Solver
from ltf_lite.tuning import TuningError, tune
from ltf_lite.tuning.checkpoints import newest_step
from ltf_lite.tuning.settings import Tuning
from ltf_lite.tuning.types import TuningResult, Validation
from ltf_lite.tuning.watch import Progress

BOLD = 0.1  # alpha of a method that weighs tokens; 0.2 and 0.3 were measured


def main(run: Run) -> dict[str, Any]:
    count = run.preset.tuning.devices
    found = _shared(run, count) if count > 1 else work(run)
    for row in abilities.below(run):
        say(f"  BELOW ITS FLOOR, even at the best checkpoint: {said(row)}")
    return found


def _shared(run: Run, count: int) -> dict[str, Any]:
    """Tune in several processes; what their engine was asked counts as this one's."""
    found, usage = launch(_share, count, run.folder)
    vars(counted()).update(vars(usage))
    told: dict[str, Any] = found
    return told


def _share(folder: Path) -> tuple[dict[str, Any], Usage]:
    """What one of several processes does of the tuning, and what it asked of an engine.

    The first one validates, and tells of it.
    """
    if ranks().first:
        record_to(RunFolder(folder).progress)
    return work(Run.load(folder)), used()


def work(run: Run) -> dict[str, Any]:
    """Tune; of several processes each one its share, and only the first one writes."""
    set_threads(run)
    chosen, taken = _examples(run)
    tuning = fitting(tuning_of(run), len(chosen), taken.failures, run)
    if ranks().first:
        write_as(run.at.examples, taken)
    base = abilities.values(_base(run))
    result = _tune(run, chosen, tuning, base)
    return {
        "best_step": result.step,
        "examples": len(chosen),
        "tokens_trained": result.tokens.total,
        "tokens_per_second": round(result.tokens_per_second, 1),
    }


def _examples(run: Run) -> tuple[Sequence[Example], Taken]:
    """What the harvest gives to train on in the dialect that is learnt, and what that is of."""
    preset, harvest = run.preset, run.preset.harvest
    limits = Limits(
        successes_per_problem=harvest.successes_per_problem,
        failures_per_problem=0 if preset.tuning.method == PLAIN else harvest.failures_per_problem,
        successes=harvest.successes,
        balance=harvest.negatives.balance,
        per_success=harvest.negatives.per_success,
    )
    # what the model itself found is more alike than what its base found
    newest = bool(preset.previous)
    rows = by_problem(run.at.harvest, harvest.reasoners, preset.task.name, newest)
    seed = seed_of(_seed(run), "examples")
    credit = preset.tuning.credited
    return examples(rows, preset.task, credit, limits, seed, learnt(run).name)


def _tune(
    run: Run, chosen: Sequence[Example], tuning: Tuning, base: Mapping[str, float]
) -> TuningResult:
    begun, forgets = newest_step(run.at.checkpoints), tuning.weights()[1] > 0
    with bar("tune: steps", tuning.steps, begun) as advance:
        shown = begun

        def progress(now: Progress) -> None:
            nonlocal shown
            note = f"learning {now.learning:.3f}"
            note += f", forgetting {now.forgetting:.3f}" if forgets else ""
            note += f", replay {now.replay:.3f}" if tuning.replay else ""
            advance(now.step - shown, note)
            shown = now.step

        return tune(
            base_of(run),
            chosen,
            run.at.tuning,
            tuning,
            _validation(run, base, lambda n=1, note="": advance(0, note)),
            progress,
            load_in_4bit=run.preset.model.load_in_4bit,
            threads=threads_of(run),
            dialect=learnt(run),
            replay=_replay(run) if tuning.replay else (),
        )


def _replay(run: Run) -> list[Example]:
    """What the base said while it searched; as text where it was not asked in a chat."""
    said = replayed(run.at.harvest, seed_of(_seed(run), "replay"))
    if chats(asked_in(run).name) or not chats(learnt(run).name):
        return said
    return [replace(each, prompt=_unframed(each.prompt)) for each in said]


def _unframed(prompt: str) -> Prompt:
    told = Prompt.of(prompt)
    return Prompt(told.question, told.reply, False, told.turns)


def tuning_of(run: Run) -> Tuning:
    """The preset's method with a seed of its own.

    Where the preset names no adapter to go on from, that is the one of the run before, if any.
    """
    own: dict[str, Any] = {"seed": seed_of(_seed(run), "tune")}
    if run.preset.tuning.start is None and (before := previous_of(run)):
        own["start"] = str(before.at.adapter)
    return run.preset.tuning.model_copy(update=own)


def _seed(run: Run) -> int:
    own = run.preset.tuning.seed
    return run.preset.seed if own is None else own


def fitting(tuning: Tuning, examples: int, failures: int, run: Run) -> Tuning:
    """The method that the examples allow: SFT where there is nothing to forget.

    Raises TuningError where there is nothing to follow.
    """
    if failures == examples:
        ways = "draw more samples, or add {name: dfs}, which solves them exactly"
        if not isinstance(run.preset.task, Solver):
            ways = "draw more samples, or take a stronger model"
        raise TuningError(
            f"the search found no right path to follow ({solved_by_reasoner(run)}): search more "
            f"problems, {ways}"
        )
    if tuning.method == PLAIN or failures:
        told = tuning.own()
        if tuning.by_token and told["alpha"] > BOLD:
            say(
                f"  WARNING: alpha {told['alpha']:g} is bold: on the embedded base more than "
                f"{BOLD:g} cost 5 to 15 points, whatever the credit"
            )
        return tuning
    say(f"  no failed path to forget among the examples: this is {PLAIN}, not {tuning.method}")
    return plain(tuning)


def solved_by_reasoner(run: Run) -> str:
    """How many of its problems each reasoner of the search solved, in words."""
    found = solved(run.at.harvest)
    return "; ".join(
        f"{name}: {found.get(name, 0)} of {n}" for name, n in run.preset.searched.items()
    )


def _base(run: Run) -> tuple[Ability, ...]:
    """The base's own abilities on the validation problems."""
    found = read_abilities(run.at.base_abilities, run.preset.task.name).abilities
    floors = floors_of(found, run.preset.retention.floors())
    for name in unheld(abilities.values(found), floors):
        say(f"  the base's {name} is 0: its floor is met whatever tuning does")
    return found


def _validation(
    run: Run, base: Mapping[str, float], advance: Advance
) -> Callable[[Any, Any], Validation]:
    """How a checkpoint did: its success, its abilities, what of the base's it kept."""
    dialect = learnt(run)

    def validate(model: Any, tokenizer: Any) -> Validation:
        found = abilities.validate(run, TorchEngine(model, tokenizer, dialect), advance)
        now = abilities.values(found)
        single = next(each for each in found if each.name == SINGLE_PASS)
        share = kept(base, now)
        lost = missed(share, floors_of(found, run.preset.retention.floors()))
        return Validation(
            success=single.value,
            low=single.low or 0.0,
            high=1.0 if single.high is None else single.high,
            n=single.n,
            valid_steps=now.get(VALID_STEPS),
            abilities=now,
            kept=share,
            shortfall=lost[0].shortfall if lost else 0.0,
        )

    return validate

"""What a model can do besides: its abilities, measured alike before, during and after tuning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ltf_lite.core.files import hash_of, read_as
from ltf_lite.core.places import place
from ltf_lite.engines import Engine, base_ref
from ltf_lite.engines.dialect import chats
from ltf_lite.evaluation.heldout import ENGLISH, NAME, nll, paragraphs
from ltf_lite.evaluation.retention import (
    HELDOUT_NLL,
    OTHER,
    SAMPLE,
    SIBLING,
    SINGLE_PASS,
    VALID_STEPS,
    Missed,
    floors_of,
    missed,
)
from ltf_lite.evaluation.types import Abilities, Ability, Scored, read_abilities, write_record
from ltf_lite.pipeline.common import asked_in, problems_of, seed_of, single_pass_of
from ltf_lite.pipeline.hearing import Advance, hearing, quiet
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.presets import Preset
from ltf_lite.reasoners import Reasoner, Solution, solve
from ltf_lite.reasoners.cot import CoT
from ltf_lite.tasks import Problem, Split, Task
from ltf_lite.tasks.steps import valid_steps
from ltf_lite.tuning.types import TuningResult

OWN = (SINGLE_PASS, SAMPLE, "search")  # the way of choosing that is a reasoner's ability


@dataclass(frozen=True)
class Asked:
    """A reasoner that asks a model, and the kind of its ability.

    `by` are the settings that tell it from the first reasoner of that kind.
    """

    kind: str
    reasoner: Reasoner
    by: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.by}".strip()


def measure(
    run: Run,
    engine: Engine,
    split: Split,
    count: int,
    reasoners: Sequence[Reasoner] | None = None,
    heldout: bool = True,
    advance: Advance = quiet,
) -> tuple[Ability, ...]:
    """Every ability of the engine's model, on the first `count` problems of a split.

    `reasoners` are those asked (None: those of the preset's evaluation that ask a model); the
    sibling task and the held-out text come on top. The text is left out with `heldout` False: not
    every server can score. `advance` hears of each that is done. Raises EngineError.
    """
    asked = run.preset.evaluation if reasoners is None else reasoners
    found = _by_reasoners(run, engine, asked, problems_of(run, split)[:count], advance)
    return (*found, *elsewhere(run, engine, split, count, heldout, advance))


def validate(run: Run, engine: Engine, advance: Advance) -> tuple[Ability, ...]:
    """What a checkpoint is judged by: every ability, and the single pass by which it is chosen.

    That is asked every validation problem, all others the first `retention.problems`.
    """
    single = [each for each in run.preset.evaluation if each.single_pass]
    others = [each for each in run.preset.evaluation if not each.single_pass]
    return (
        *_by_reasoners(run, engine, single, problems_of(run, "validation"), advance),
        *measure(run, engine, "validation", run.preset.retention.problems, others, advance=advance),
    )


def write_elsewhere(run: Run, engine: Engine, model: str, advance: Advance) -> None:
    """Write what the model can do that the run does not tune on, unless that is there."""
    file, task = run.at.elsewhere(model), run.preset.task.name
    if file.is_file():
        read_abilities(file, task)
        advance(besides(run.preset))
        return
    found = elsewhere(run, engine, "test", run.preset.problems.test, advance=advance)
    write_record(file, Abilities(task=task, model=model, abilities=found))


def below(run: Run) -> list[Missed]:
    """The floors that the kept checkpoint misses, the worst first; none before tuning is done."""
    if not run.at.tuning_result.is_file():
        return []
    kept = read_as(run.at.tuning_result, TuningResult).validation.kept
    base = read_abilities(run.at.base_abilities, run.preset.task.name).abilities
    return missed(kept, floors_of(base, run.preset.retention.floors()))


def named(reasoners: Iterable[Reasoner]) -> list[Asked]:
    """The reasoners that ask a model, with the names of their abilities.

    The first of a kind has the kind's name: `single_pass`, `sample`, or the reasoner's own. A
    further one has its settings behind it. Where the verifier would pick, the search picks itself:
    an oracle is no ability.
    """
    found: list[Asked] = []
    for reasoner in reasoners:
        if getattr(reasoner, "oracle", False):
            reasoner = reasoner.model_copy(update={"oracle": False})
        if not reasoner.asks_model or any(reasoner == asked.reasoner for asked in found):
            continue
        kind = _kind(reasoner)
        settings = " ".join(f"{k}={v}" for k, v in reasoner.settings().items())
        first = all(asked.kind != kind for asked in found)
        found.append(Asked(kind, reasoner, "" if first else settings))
    return found


def _kind(reasoner: Reasoner) -> str:
    if reasoner.single_pass:
        return SINGLE_PASS
    return SAMPLE if isinstance(reasoner, CoT) else reasoner.name


def besides(preset: Preset) -> int:
    """How many abilities are measured besides those of the reasoners."""
    return 1 + (preset.task.sibling() is not None) + (preset.retention.other is not None)


def elsewhere(
    run: Run,
    engine: Engine,
    split: Split,
    count: int,
    heldout: bool = True,
    advance: Advance = quiet,
) -> tuple[Ability, ...]:
    """What the run does not tune on: the sibling task, another task, and the held-out text."""
    found: list[Ability] = []
    single = single_pass_of(run)
    if (sibling := run.preset.task.sibling()) is not None:
        problems = sibling.up_to(split, count, seed_of(run.preset.seed, SIBLING))
        asked = Asked(SIBLING, single)
        solutions = _solve(run, engine, asked, sibling, problems, advance)
        found.append(_ability(asked, solutions, sibling, sibling.name))
    if (other := run.preset.retention.other) is not None:
        problems = other.up_to(split, count, seed_of(run.preset.seed, OTHER))
        # Its answers have a length of their own, and base and tuned model get the same text.
        asked = Asked(OTHER, single.model_copy(update={"max_tokens": None, "problems": None}))
        solutions = _solve(run, engine, asked, other, problems, advance, _base_dialect(run, engine))
        found.append(_ability(asked, solutions, other, other.name))
    if heldout:
        file = heldout_file(run.preset)
        texts = paragraphs(file)
        with hearing(engine, advance, HELDOUT_NLL):
            said = nll(engine, texts)
        advance(1, HELDOUT_NLL)
        text = Ability(
            name=HELDOUT_NLL,
            kind=HELDOUT_NLL,
            label=file.name,
            problems=hash_of(texts),
            n=said.n,
            value=said.nll,
            each=said.each,
        )
        found.append(text)
    return tuple(found)


def _base_dialect(run: Run, engine: Engine) -> str:
    """The words in which the base is asked, where the engine frames all questions as that does.

    Else the engine's own: a chat's frame goes around whatever is asked.
    """
    asked, own = asked_in(run).name, engine.dialect.name
    return asked if chats(asked) == chats(own) else own


def heldout_file(preset: Preset) -> Path:
    """The held-out text: the preset's, else the one that lies with the base, else the English."""
    if preset.retention.heldout is not None:
        return place(preset.retention.heldout)
    own = Path(base_ref(preset.model.base).place) / NAME
    return own if own.is_file() else ENGLISH


def values(abilities: Iterable[Ability]) -> dict[str, float]:
    """The number of each ability: its rate, or its NLL in nats a token."""
    return {ability.name: ability.value for ability in abilities}


def _by_reasoners(
    run: Run,
    engine: Engine,
    reasoners: Sequence[Reasoner],
    problems: Sequence[Problem],
    advance: Advance,
) -> list[Ability]:
    task, found = run.preset.task, list[Ability]()
    for asked in named(reasoners):
        own = problems[: asked.reasoner.problems]
        solutions = _solve(run, engine, asked, task, own, advance)
        found.append(_ability(asked, solutions, task, asked.reasoner.label))
        if asked.name == SINGLE_PASS and (steps := _valid_steps(asked, solutions, task)):
            found.append(steps)
    return found


def _solve(
    run: Run,
    engine: Engine,
    asked: Asked,
    task: Task,
    problems: Sequence[Problem],
    advance: Advance,
    dialect: str | None = None,
) -> list[Solution]:
    seed = seed_of(run.preset.seed, "retention", asked.reasoner.label)
    with hearing(engine, advance, asked.name):
        found = list(solve(asked.reasoner, problems, task, engine, seed, dialect=dialect))
    advance(1, asked.name)
    return found


def _ability(asked: Asked, solutions: Sequence[Solution], task: Task, label: str) -> Ability:
    """The rate of a reasoner's own way of choosing."""
    scored = own_of(_scored(asked.reasoner, solutions, task))
    means: tuple[float, ...] = ()
    if scored.solved is None:
        rows = ([attempt.verdict.correct for attempt in s.attempts] for s in solutions)
        means = tuple(fmean(row or [False]) for row in rows)
    return Ability(
        name=asked.name,
        kind=asked.kind,
        by=asked.by,
        label=label,
        problems=_hash(solutions),
        n=scored.rate.n,
        value=scored.rate.rate,
        low=scored.rate.low,
        high=scored.rate.high,
        solved=scored.solved,
        each=means,
    )


def _scored(reasoner: Reasoner, solutions: Sequence[Solution], task: Task) -> tuple[Scored, ...]:
    """Every way of choosing and its rate; nobody asks here what it cost."""
    from ltf_lite.evaluation.success import record  # scipy's import takes a second

    free = record(
        solutions, task, model="", reasoner=reasoner, split="test", seed=0, seconds=0.0, calls=0
    )
    return free.scored


def own_of(scored: Sequence[Scored]) -> Scored:
    """Of all ways of choosing the reasoner's own: no bound, and none of those among samples."""
    free = [each for each in scored if not each.choice.is_bound]
    return next((each for each in free if each.choice.kind in OWN), free[0])


def _valid_steps(asked: Asked, solutions: Sequence[Solution], task: Task) -> Ability | None:
    """The share of legal, right steps; its interval is that of a ratio, by the delta method.

    None where the task has no steps that could be checked.
    """
    from ltf_lite.evaluation.success import mean_interval

    paths = [(s.problem, task.parse(s.problem, s.attempts[0].text)) for s in solutions]
    found = [valid_steps(task, problem, path) for problem, path in paths]
    counts = [each for each in found if each is not None]
    good, tried = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    if not tried:
        return None
    value = good / tried
    low, high = mean_interval([value + (g - value * t) * len(counts) / tried for g, t in counts])
    return Ability(
        name=VALID_STEPS,
        kind=VALID_STEPS,
        label=asked.reasoner.label,
        problems=_hash(solutions),
        n=len(counts),
        value=value,
        low=low,
        high=high,
        each=tuple(counts),
    )


def _hash(solutions: Sequence[Solution]) -> str:
    """A hash of what was asked."""
    return hash_of([solution.problem.as_dict() for solution in solutions])

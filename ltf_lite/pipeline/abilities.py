"""What a model can do besides: its abilities, measured alike before, during and after tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ltf_lite.engines import Engine, model_path
from ltf_lite.evaluation import record
from ltf_lite.evaluation.heldout import NAME, HeldoutError, nll, paragraphs
from ltf_lite.evaluation.retention import HELDOUT_NLL, RETENTION, missed, value_of
from ltf_lite.evaluation.success import SCHEMA, mean_interval
from ltf_lite.files import hash_of, read_json, write_json
from ltf_lite.pipeline.common import problems_of, seed_of, task_of
from ltf_lite.pipeline.run import Run
from ltf_lite.presets import Preset, PresetError, ReasonerSection
from ltf_lite.reasoners import Solution, get_reasoner
from ltf_lite.tasks import NumbersGame, Problem, Split, sibling_of
from ltf_lite.tasks.steps import valid_steps

SINGLE_PASS, VALID_STEPS, SAMPLE = "single_pass", "valid_steps", "sample"
SIBLING = "sibling"

Ability = dict[str, Any]


def measure(
    run: Run, engine: Engine, split: Split, count: int,
    sections: Sequence[ReasonerSection] | None = None, heldout: bool = True,
) -> dict[str, Ability]:  # fmt: skip
    """Every ability of the engine's model by name, on the first `count` problems of a split.

    `sections` are the reasoners asked (None: those of the preset's evaluation that ask a model);
    the sibling task and the held-out text come on top. A rate has its 95 % interval `low`..`high`
    and `solved`, one character a problem; where that is None, `each` has what the mean is of.
    `nll` is nats a token, and left out with `heldout` False: not every server can score.
    `problems` is a hash of what was asked. Raises EngineError.
    """
    asked = run.preset.evaluation if sections is None else sections
    found = _by_reasoners(run, engine, asked, problems_of(run, split)[:count])
    return found | elsewhere(run, engine, split, count, heldout)


def validate(run: Run, engine: Engine) -> dict[str, Ability]:
    """What a checkpoint is judged by: every ability, and the single pass by which it is chosen.

    That is asked every validation problem, all others the first `retention.problems`.
    """
    single = [s for s in run.preset.evaluation if s.single_pass]
    others = [s for s in run.preset.evaluation if not s.single_pass]
    return {
        **_by_reasoners(run, engine, single, problems_of(run, "validation")),
        **measure(run, engine, "validation", run.preset.retention.problems, others),
    }


def write_elsewhere(run: Run, engine: Engine, model: str) -> None:
    """Write evaluation/<model>/retention.json: what the run does not tune on; not once more."""
    file = run.folder / "evaluation" / model / RETENTION
    if not file.is_file():
        found = elsewhere(run, engine, "test", run.preset.problems.test)
        write_json(file, {"schema": SCHEMA, "task": run.preset.task.name, "model": model,
                          "abilities": found})  # fmt: skip


def below(run: Run) -> list[dict[str, Any]]:
    """The floors that the kept checkpoint misses, the worst first; none before tuning is done."""
    file = run.folder / "tuning" / "result.json"
    kept = read_json(file)["validation"].get("kept", {}) if file.is_file() else {}
    return missed(kept, run.preset.retention.floors())


def named(sections: Sequence[ReasonerSection]) -> dict[str, ReasonerSection]:
    """The sections that ask a model by the names of their abilities.

    The first of a kind is `single_pass`, `sample`, `tot`, `rap`; further ones have their settings
    behind it. Where the verifier would pick, the search picks itself: an oracle is no ability.
    """
    found: dict[str, ReasonerSection] = {}
    for section in sections:
        if getattr(section, "oracle", None):
            section = section.model_copy(update={"oracle": None})
        if not get_reasoner(section.name).needs_engine or section in found.values():
            continue
        kind = SAMPLE if section.name == "cot" else section.name
        name = SINGLE_PASS if section.single_pass else kind
        found[f"{name} {section.label.partition(' ')[2]}" if name in found else name] = section
    return found


def elsewhere(
    run: Run, engine: Engine, split: Split, count: int, heldout: bool = True
) -> dict[str, Ability]:
    """What the run does not tune on: single pass on the sibling task, and the held-out text."""
    found: dict[str, Ability] = {}
    if (sibling := sibling_of(run.preset.task.name)) is not None:
        single = next(s for s in run.preset.evaluation if s.single_pass)
        problems = sibling.up_to(split, count, seed_of(run.preset.seed, SIBLING))
        solutions = _solve(run, engine, single, sibling, problems)
        rate = _rate(SIBLING, solutions, sibling, "greedy")
        found[SIBLING] = {**rate, "label": sibling.name}
    if heldout and (file := heldout_file(run.preset)) is not None:
        texts = paragraphs(file)
        found[HELDOUT_NLL] = {"ability": HELDOUT_NLL, "label": file.name, **nll(engine, texts),
                              "problems": hash_of(texts)}  # fmt: skip
    return found


def heldout_file(preset: Preset) -> Path | None:
    """The held-out text: the preset's, else the one that lies with the base, if there is one."""
    if preset.retention.heldout is not None:
        return Path(preset.retention.heldout)
    own = Path(model_path(preset.model.base)) / NAME
    return own if own.is_file() else None


def check(preset: Preset) -> None:
    """Refuse a floor without anything to measure it on; raises PresetError."""
    floors, file = preset.retention.floors(), heldout_file(preset)
    if file is not None:
        try:
            paragraphs(file)
        except HeldoutError as error:
            raise PresetError(f"retention.heldout: {error}") from error
    elif HELDOUT_NLL in floors:
        raise PresetError(
            f"retention.heldout_nll needs a text, and {preset.model.base} brings none: name one as "
            "retention.heldout"
        )
    if SIBLING in floors and sibling_of(preset.task.name) is None:
        raise PresetError(f"retention.sibling: the task {preset.task.name} has no sibling task")


def values(abilities: Mapping[str, Ability]) -> dict[str, float]:
    """The number of each ability: its rate, or its NLL in nats a token."""
    return {name: value_of(ability) for name, ability in abilities.items()}


def _by_reasoners(
    run: Run, engine: Engine, sections: Sequence[ReasonerSection], problems: Sequence[Problem]
) -> dict[str, Ability]:
    task, found = task_of(run), dict[str, Ability]()
    for name, section in named(sections).items():
        found |= _by_reasoner(run, engine, name, section, task, problems[: section.problems])
    return found


def _by_reasoner(
    run: Run, engine: Engine, name: str, section: ReasonerSection, task: NumbersGame,
    problems: Sequence[Problem],
) -> dict[str, Ability]:  # fmt: skip
    """The ability of a reasoner; the first single pass also gives the share of valid steps."""
    solutions = _solve(run, engine, section, task, problems)
    choice = next(c for c in ("greedy", "sample", section.name) if c in solutions[0].choices)
    found = {name: {**_rate(name, solutions, task, choice), "label": section.label}}
    if name == SINGLE_PASS:
        steps = _valid_steps(solutions, task)
        found[VALID_STEPS] = {"ability": VALID_STEPS, "label": section.label, **steps}
    return found


def _solve(
    run: Run, engine: Engine, section: ReasonerSection, task: NumbersGame,
    problems: Sequence[Problem],
) -> list[Solution]:  # fmt: skip
    reasoner = get_reasoner(section.name, **section.settings())
    seed = seed_of(run.preset.seed, "retention", section.label)
    return list(reasoner.solve(problems, task, engine, seed))


def _rate(ability: str, solutions: list[Solution], task: NumbersGame, choice: str) -> Ability:
    found = record(solutions, task, 0.0, 0)
    rate = found["rates"][choice]
    verdicts = [[attempt.verdict.correct for attempt in s.attempts] for s in solutions]
    means = None if choice in found["solved"] else [fmean(row or [0]) for row in verdicts]
    return {"ability": ability, **{key: rate[key] for key in ("n", "rate", "low", "high")},
            "solved": found["solved"].get(choice), **({"each": means} if means else {}),
            "problems": _asked(solutions)}  # fmt: skip


def _valid_steps(solutions: list[Solution], task: NumbersGame) -> Ability:
    """The share of legal, right steps; its interval is that of a ratio, by the delta method."""
    counts = [valid_steps(task, s.problem, s.attempts[0].path) for s in solutions]
    good, tried = (sum(column) for column in zip(*counts, strict=True))
    rate = good / tried
    low, high = mean_interval([rate + (g - rate * t) * len(counts) / tried for g, t in counts])
    return {"n": len(counts), "rate": rate, "low": low, "high": high, "solved": None,
            "each": counts, "problems": _asked(solutions)}  # fmt: skip


def _asked(solutions: list[Solution]) -> str:
    return hash_of([solution.problem.as_dict() for solution in solutions])

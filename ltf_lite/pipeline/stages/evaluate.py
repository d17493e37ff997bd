"""Ask the tuned model the test problems with every reasoner; one JSON file each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from ltf_lite.core.progress import bar, say
from ltf_lite.engines import Engine
from ltf_lite.evaluation.success import record, too_few
from ltf_lite.evaluation.types import Record, read_record, write_record
from ltf_lite.pipeline.abilities import besides, write_elsewhere
from ltf_lite.pipeline.asking import ALONE, Answers, Question, together, without_model
from ltf_lite.pipeline.common import asked_in, problems_of, seed_of, set_threads
from ltf_lite.pipeline.executors.part import size
from ltf_lite.pipeline.executors.plugin import executor_of
from ltf_lite.pipeline.hearing import Advance, hearing, quiet
from ltf_lite.pipeline.opening import engine_of, opening_of
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.reasoners import Reasoner, Solution
from ltf_lite.reasoners.base import Budget

NO_MODEL = "none"  # whose record it is where no model was asked


def main(run: Run) -> None:
    set_threads(run)
    reasoners = [each for each in run.preset.evaluation if each.asks_model]
    ask_elsewhere(run, "tuned", reasoners)
    with closing(engine_of(run, "tuned")) as engine:
        ask(run, engine, "tuned", reasoners)


def ask(run: Run, engine: Engine, model: str, reasoners: Sequence[Reasoner]) -> None:
    """Ask the run's `base` or `tuned` model; the records go to evaluation/<model>.

    Those of a reasoner that asks no model say `none`; those of searches at a token budget go to
    evaluation/<model>/budgets.
    """
    _warn(run, [*reasoners, *(few for each in reasoners for few in _limited(run, each))])
    total = len(reasoners) + besides(run.preset)
    with bar(f"evaluate {model}", total) as advance:
        for reasoner in reasoners:
            asked, name = (engine, model) if reasoner.asks_model else (None, NO_MODEL)
            evaluate(run, asked, name, reasoner, run.at.evaluation(model), advance=advance)
            advance(1, reasoner.label)
        write_elsewhere(run, engine, model, advance)


def ask_elsewhere(run: Run, model: str, reasoners: Sequence[Reasoner]) -> None:
    """Ask on the machines of the preset's executor, if it has others; `ask` finds the records."""
    folder, preset, parts = run.at.evaluation(model), run.preset, list[list[Question]]()
    for each in reasoners:
        if each.asks_model and (whole := _question(run, model, each, folder)):
            parts.append(whole.shares(size(each), sum(map(len, parts))))
    if not (every := [*chain(*parts)]):
        return
    opening = opening_of(run, model)
    asker = executor_of(preset).asking(preset.task, every, opening, preset.threads)
    if asker is None:
        return
    total = sum(len(part.problems) for part in every)
    with asker as asked, bar(f"evaluate {model} elsewhere: problems", total) as advance:
        for own in parts:
            found: dict[int, Answers] = {}
            for part, answers in asked.run(own, advance):
                found[part.number] = answers
                advance(len(part.problems), part.reasoner.label)
            _write(run, model, own[0], folder, together([found[part.number] for part in own]))


def _warn(run: Run, reasoners: Sequence[Reasoner]) -> None:
    """Say which answers no conclusion can be drawn from, a line for each number of problems."""
    asked: dict[int, list[str]] = {}
    for reasoner in reasoners:
        test = run.preset.problems.test
        asked.setdefault(min(test, reasoner.problems or test), []).append(reasoner.label)
    for n, labels in sorted(asked.items()):
        if warning := too_few(n):
            say(f"  {', '.join(labels)}: {warning}")


def _limited(run: Run, search: Reasoner) -> list[Reasoner]:
    """A search at each of the preset's budgets, the fewest problems and tokens first.

    One that has a budget of its own, or that the verifier helps, has none.
    """
    budgets = run.preset.budgets
    free = search.asks_model and search.grows_tree and search.budget is None
    if budgets is None or not free or getattr(search, "oracle", False):
        return []
    every = run.preset.problems.test
    few = min(budgets.problems or every, search.problems or every)
    return [
        search.model_copy(update={"budget": Budget(tokens=tokens), "problems": few})
        for tokens in sorted(set(budgets.tokens))
    ]


def record_file(folder: Path, model: str, reasoner: Reasoner) -> Path:
    """Where the record of a model and reasoner on the test split is."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{model} {reasoner.label}")
    return folder / f"{name}.test.json"


def evaluate(
    run: Run,
    engine: Engine | None,
    model: str,
    reasoner: Reasoner,
    folder: Path,
    alone: int = ALONE,
    advance: Advance = quiet,
) -> Record:
    """The record of one model and reasoner on the test split, from its file if it is there.

    The first `alone` problems are asked one by one as well, for the time that one takes. What a
    search comes to at the preset's budgets is written first. `advance` hears, by 0, what is being
    done.
    """
    question = _question(run, model, reasoner, folder, alone)
    if question is None:
        return read_record(record_file(folder, model, reasoner))
    task = run.preset.task
    if engine is None:
        asked = asked_in(run).name
        found = without_model(reasoner, question.problems, task, question.seed, asked)
    else:
        with hearing(engine, advance, reasoner.label):
            found = question.asked(task, engine, advance)
    return _write(run, model, question, folder, found)


def _question(
    run: Run, model: str, reasoner: Reasoner, folder: Path, alone: int = ALONE
) -> Question | None:
    """What is to be asked for a record, and for those at budgets; None where all are there."""
    there = record_file(folder, model, reasoner).is_file()
    limited = _missing(run, model, reasoner)
    if there and not limited:
        return None
    return Question(
        number=0,
        reasoner=reasoner,
        problems=tuple(problems_of(run, "test")[: reasoner.problems]),
        # not from the budget: a search at one is the same search, ended sooner
        seed=seed_of(run.preset.seed, "evaluate", reasoner.unlimited.label),
        budgets=tuple(limited),
        alone=0 if there else alone,
    )


def _write(run: Run, model: str, question: Question, folder: Path, found: Answers) -> Record:
    """Write the records of what was answered: those at budgets, then the whole, if it is lacking.

    The seconds at a budget are the engine's. Calls and tokens read, shared with the whole search,
    count there.
    """

    def written(file: Path, reasoner: Reasoner, solutions: list[Solution], **cost: Any) -> Record:
        result = record(
            solutions,
            run.preset.task,
            model=model,
            reasoner=reasoner,
            split="test",
            seed=question.seed,
            runtime=found.runtime,
            **cost,
        )
        write_record(file, result)
        return result

    limited = _missing(run, model, question.reasoner)
    for tokens, solutions in found.sooner.items():
        own = limited[tokens]
        few = solutions[: own.problems]
        file = record_file(run.at.budgets(model), model, own)
        written(file, own, few, seconds=sum(each.seconds for each in few), calls=0)
    file = record_file(folder, model, question.reasoner)
    if file.is_file():
        return read_record(file)
    return written(
        file,
        question.reasoner,
        found.solutions,
        seconds=found.seconds,
        calls=found.calls,
        tokens_in=found.tokens_in,
        alone=found.alone,
    )


def _missing(run: Run, model: str, search: Reasoner) -> dict[int, Reasoner]:
    """The search at those budgets of which there is no record yet."""
    folder = run.at.budgets(model)
    return {
        own.budget.tokens: own
        for own in _limited(run, search)
        if own.budget and not record_file(folder, model, own).is_file()
    }

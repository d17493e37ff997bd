"""Ask the tuned model the test problems with every reasoner; one JSON file each."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ltf_lite.core.progress import bar, say
from ltf_lite.engines import Engine
from ltf_lite.evaluation.success import record, too_few
from ltf_lite.evaluation.types import Alone, Record, read_record, write_record
from ltf_lite.pipeline.abilities import besides, write_elsewhere
from ltf_lite.pipeline.common import asked_in, problems_of, seed_of, set_threads
from ltf_lite.pipeline.hearing import Advance, hearing, quiet
from ltf_lite.pipeline.opening import engine_of
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.reasoners import Reasoner, Solution, solve, solve_within
from ltf_lite.reasoners.base import Budget
from ltf_lite.tasks import Problem, Task

ALONE = 8  # problems asked one by one: enough for a median, few enough to keep evaluation short
FEW, ENOUGH = 3, 30.0  # of them, once so many seconds went by
FIRST = 8  # problems asked once more before the clock runs
NO_MODEL = "none"  # whose record it is where no model was asked


def main(run: Run) -> None:
    set_threads(run)
    with closing(engine_of(run, "tuned")) as engine:
        ask(run, engine, "tuned", [each for each in run.preset.evaluation if each.asks_model])


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
    file, limited = record_file(folder, model, reasoner), _missing(run, model, reasoner)
    if file.is_file() and not limited:
        return read_record(file)
    task, problems = run.preset.task, problems_of(run, "test")[: reasoner.problems]
    # not from the budget: a search at one is the same search, ended sooner
    seed = seed_of(run.preset.seed, "evaluate", reasoner.unlimited.label)
    told = hearing(engine, advance, reasoner.label) if engine else nullcontext()
    with told:
        asked = _asked(run, engine, model, reasoner, problems, seed, limited)
    if file.is_file():
        return read_record(file)
    lone = None
    if engine and alone:
        lone = one_by_one(reasoner, problems[:alone], task, engine, seed, advance)
    result = record(
        asked.solutions,
        task,
        model=model,
        reasoner=reasoner,
        split="test",
        seed=seed,
        seconds=asked.seconds,
        calls=asked.calls,
        tokens_in=asked.tokens_in,
        alone=lone,
        runtime=engine.runtime if engine else "",
    )
    write_record(file, result)
    return result


@dataclass(frozen=True)
class _Asked:
    """What all problems together came to, and cost."""

    solutions: list[Solution]
    seconds: float
    calls: int = 0
    tokens_in: int = 0


def _asked(
    run: Run,
    engine: Engine | None,
    model: str,
    reasoner: Reasoner,
    problems: Sequence[Problem],
    seed: int,
    limited: Mapping[int, Reasoner],
) -> _Asked:
    """Ask all problems together; what comes of the `limited` searches in it is written."""
    task = run.preset.task
    if engine is None:
        began = time.perf_counter()
        found = list(solve(reasoner, problems, task, seed=seed, dialect=asked_in(run).name))
        return _Asked(found, time.perf_counter() - began)
    # The first call pays for allocations that no later one pays for.
    list(solve(reasoner, problems[:FIRST], task, engine, seed))
    calls, tokens_in = engine.usage.calls, engine.usage.tokens_in
    began = time.perf_counter()
    found, sooner = solve_within(reasoner, problems, task, engine, seed, [*limited])
    for tokens, solutions in sooner.items():
        _write_sooner(run, engine, model, limited[tokens], solutions, seed)
    seconds = time.perf_counter() - began
    usage = engine.usage
    return _Asked(found, seconds, usage.calls - calls, usage.tokens_in - tokens_in)


def _missing(run: Run, model: str, search: Reasoner) -> dict[int, Reasoner]:
    """The search at those budgets of which there is no record yet."""
    folder = run.at.budgets(model)
    return {
        own.budget.tokens: own
        for own in _limited(run, search)
        if own.budget and not record_file(folder, model, own).is_file()
    }


def _write_sooner(
    run: Run, engine: Engine, model: str, search: Reasoner, found: list[Solution], seed: int
) -> None:
    """Write what a search came to at a budget.

    Its seconds are the engine's. Calls and tokens read, shared with the whole search, count there.
    """
    few = found[: search.problems]
    result = record(
        few,
        run.preset.task,
        model=model,
        reasoner=search,
        split="test",
        seed=seed,
        seconds=sum(solution.seconds for solution in few),
        calls=0,
        runtime=engine.runtime,
    )
    write_record(record_file(run.at.budgets(model), model, search), result)


def one_by_one(
    reasoner: Reasoner,
    problems: Sequence[Problem],
    task: Task,
    engine: Engine,
    seed: int,
    advance: Advance = quiet,
) -> Alone:
    """How long a problem takes that is asked by itself, none profiting from another's prompt.

    Where that is long a few problems are enough.
    """
    took: list[float] = []
    for problem in problems:
        if len(took) >= FEW and sum(took) > ENOUGH:
            break
        advance(0, f"{reasoner.label}: {len(took)} of {len(problems)} asked alone")
        engine.clear()
        began = time.perf_counter()
        list(solve(reasoner, [problem], task, engine, seed))
        took.append(time.perf_counter() - began)
    return Alone(n=len(took), seconds=median(took), low=min(took), high=max(took))

"""Ask the tuned model the test problems with every reasoner; one JSON file each."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ltf_lite.engines import Engine
from ltf_lite.evaluation import record
from ltf_lite.evaluation.success import too_few
from ltf_lite.files import read_json, write_json
from ltf_lite.pipeline.abilities import write_elsewhere
from ltf_lite.pipeline.common import engine_of, problems_of, seed_of, set_threads, task_of
from ltf_lite.pipeline.run import Run
from ltf_lite.preset_reasoners import Budget
from ltf_lite.presets import ReasonerSection
from ltf_lite.progress import bar, say
from ltf_lite.reasoners import TREES, Reasoner, get_reasoner
from ltf_lite.tasks import NumbersGame, Problem

ALONE = 8  # problems asked one by one: enough for a median, few enough to keep evaluation short


def main(run: Run) -> None:
    asked = [s for s in run.preset.evaluation if get_reasoner(s.name).needs_engine]
    ask(run, "tuned", asked)


def ask(run: Run, model: str, sections: Sequence[ReasonerSection]) -> None:
    """Ask the run's `base` or `tuned` model; the records go to evaluation/<model>.

    Those of a reasoner that asks no model say `none`; those of searches at a token budget go to
    evaluation/<model>/budgets.
    """
    set_threads(run)
    folder, limited = run.folder / "evaluation" / model, _limited(run, sections)
    _warn(run, [*sections, *limited])
    engine = engine_of(run, model)
    try:
        with bar(f"evaluate {model}", len(sections) + len(limited)) as advance:
            for section in sections:
                own = get_reasoner(section.name).needs_engine
                asked, name = (engine, model) if own else (None, "none")
                evaluate(run, asked, name, section, folder)
                advance(1, section.label)
            for section in limited:
                evaluate(run, engine, model, section, folder / "budgets", alone=0)
                advance(1, section.label)
        write_elsewhere(run, engine, model)
    finally:
        engine.close()


def _warn(run: Run, sections: Sequence[ReasonerSection]) -> None:
    """Say which answers no conclusion can be drawn from, a line for each number of problems."""
    asked: dict[int, list[str]] = {}
    for section in sections:
        test = run.preset.problems.test
        asked.setdefault(min(test, section.problems or test), []).append(section.label)
    for n, labels in sorted(asked.items()):
        if warning := too_few(n):
            say(f"  {', '.join(labels)}: {warning}")


def _limited(run: Run, sections: Sequence[ReasonerSection]) -> list[ReasonerSection]:
    """The searches again, at each of the preset's budgets.

    One that has a budget of its own, or that the verifier helps, is not asked again.
    """
    budgets = run.preset.budgets
    if budgets is None:
        return []
    every = run.preset.problems.test
    searches = [
        s for s in sections
        if s.name in TREES and not any(s.settings().get(name) for name in ("budget", "oracle"))
    ]  # fmt: skip
    return [
        search.model_copy(
            update={
                "budget": Budget(tokens=tokens),
                "problems": min(budgets.problems or every, search.problems or every),
            }
        )
        for search in searches
        for tokens in sorted(set(budgets.tokens))
    ]


def record_file(folder: Path, model: str, section: ReasonerSection) -> Path:
    """Where the record of a model and reasoner on the test split is."""
    return folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', f'{model} {section.label}')}.test.json"


def evaluate(
    run: Run, engine: Engine | None, model: str, section: ReasonerSection, folder: Path,
    alone: int = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """The record of one model and reasoner on the test split, from its file if it is there.

    The first `alone` problems are asked one by one as well, for the time that one takes.
    """
    file = record_file(folder, model, section)
    if file.is_file():
        return read_json(file)
    task, problems = task_of(run), problems_of(run, "test")[: section.problems]
    reasoner = get_reasoner(section.name, **section.settings())
    # not from the budget: a search at one is the same search, ended sooner
    seed = seed_of(run.preset.seed, "evaluate", re.sub(r" budget=\d+", "", section.label))
    if engine is not None:  # the first call pays for allocations that no later one pays for
        list(reasoner.solve(problems[:8], task, engine, seed))
    calls, tokens_in = (engine.usage.calls, engine.usage.tokens_in) if engine else (0, 0)
    began = time.perf_counter()
    solutions = list(reasoner.solve(problems, task, engine, seed))
    seconds = time.perf_counter() - began
    lone = None
    if engine is not None:
        calls, tokens_in = engine.usage.calls - calls, engine.usage.tokens_in - tokens_in
        lone = one_by_one(reasoner, problems[:alone], task, engine, seed) if alone else None
    facts = {"model": model, "reasoner": section.name, "settings": section.settings(),
             "label": section.label, "split": "test", "seed": seed}  # fmt: skip
    result = {**facts, **record(solutions, task, seconds, calls, tokens_in, lone)}
    write_json(file, result)
    return result


def one_by_one(
    reasoner: Reasoner, problems: Sequence[Problem], task: NumbersGame, engine: Engine, seed: int
) -> dict[str, Any]:
    """How long a problem takes that is asked by itself, none profiting from another's prompt."""
    took = []
    for problem in problems:
        engine.clear()
        began = time.perf_counter()
        list(reasoner.solve([problem], task, engine, seed))
        took.append(time.perf_counter() - began)
    return {"n": len(took), "seconds": median(took), "low": min(took), "high": max(took)}

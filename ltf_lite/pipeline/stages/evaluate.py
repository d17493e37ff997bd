"""Ask the tuned model the test problems with every reasoner; one JSON file each."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltf_lite.engines import Engine
from ltf_lite.evaluation import record
from ltf_lite.files import read_json, write_json
from ltf_lite.pipeline.common import engine_of, problems_of, seed_of, set_threads, task_of
from ltf_lite.pipeline.run import Run
from ltf_lite.presets import ReasonerSection
from ltf_lite.progress import bar
from ltf_lite.reasoners import get_reasoner


def main(run: Run) -> dict[str, Any]:
    asked = [s for s in run.preset.evaluation if get_reasoner(s.name).needs_engine]
    return ask(run, "tuned", asked)


def ask(run: Run, model: str, sections: Sequence[ReasonerSection]) -> dict[str, Any]:
    """Ask the run's `base` or `tuned` model; the records go to evaluation/<model>.

    Those of a reasoner that asks no model say `none`.
    """
    set_threads(run)
    engine = engine_of(run, model)
    try:
        with bar(f"evaluate {model}", len(sections)) as advance:
            for section in sections:
                own = get_reasoner(section.name).needs_engine
                asked, name = (engine, model) if own else (None, "none")
                evaluate(run, asked, name, section, run.folder / "evaluation" / model)
                advance(1, section.label)
        return {"tokens_out": engine.usage.tokens_out}
    finally:
        engine.close()


def record_file(folder: Path, model: str, section: ReasonerSection) -> Path:
    """Where the record of a model and reasoner on the test split is."""
    return folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', f'{model} {section.label}')}.test.json"


def evaluate(
    run: Run, engine: Engine | None, model: str, section: ReasonerSection, folder: Path
) -> dict[str, Any]:
    """The record of one model and reasoner on the test split, from its file if it is there."""
    file = record_file(folder, model, section)
    if file.is_file():
        return read_json(file)
    task, problems = task_of(run), problems_of(run, "test")[: section.problems]
    reasoner = get_reasoner(section.name, **section.settings())
    seed = seed_of(run.preset.seed, "evaluate", section.label)
    if engine is not None:  # the first call pays for allocations that no later one pays for
        list(reasoner.solve(problems[:8], task, engine, seed))
    calls = engine.usage.calls if engine else 0
    began = time.perf_counter()
    solutions = list(reasoner.solve(problems, task, engine, seed))
    seconds = time.perf_counter() - began
    calls = engine.usage.calls - calls if engine else 0
    facts = {"model": model, "reasoner": section.name, "settings": section.settings(),
             "label": section.label, "split": "test", "seed": seed}  # fmt: skip
    result = {**facts, **record(solutions, task, seconds, calls)}
    write_json(file, result)
    return result

"""Problems that are a click away: most are measured to be solved by the tuned model."""

from __future__ import annotations

from pathlib import Path

from ltf_lite.app.answer.ask import SINGLE_PASS, answers, way_of
from ltf_lite.app.web.asked import LONGEST, examples
from ltf_lite.app.web.catalogue import RUN, named
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.shelf import Model
from ltf_lite.evaluation.types import Record, single_pass_of
from ltf_lite.pipeline import Run
from ltf_lite.report.results import records
from ltf_lite.tasks import Problem

SOLVED, MISSED = 3, 1  # examples that the tuned model solved, and that it did not
MOST = 6  # examples
ASKED = 12  # test problems that a model without a run is asked
SEED = 1  # the problems of a run have its preset's seed, 0

Example = tuple[str, Problem]  # with the key of its task


def examples_for(desk: Desk, model: Model) -> list[Example]:
    """Examples for a model: of its own test problems first, then of other tasks here."""
    own = _of_run(model.folder) if model.folder else desk.measured.get(model.name, [])
    task = model.task
    key = "" if task is None else task.name
    if model.folder is not None and key not in named():
        key = f"{RUN}{model.folder.name}"
    found = [(key, problem) for problem in own if len(problem.text) <= LONGEST]
    others = [(other, problem) for other, problem in examples(desk) if other != key]
    return [*found, *others][:MOST] if found else examples(desk)[:MOST]


def _of_run(folder: Path) -> list[Problem]:
    try:
        run = Run.load(folder)
        found = records(run.at, run.preset.task.name)
    except Exception:  # a file of the run is broken; its own tab says which
        return []
    tuned, base = (single_pass_of(found, name) for name in ("tuned", "base"))
    if tuned is None:
        return []
    return _picked(list(tuned.problems), _marks(tuned), _marks(base) if base else {})


def _marks(record: Record) -> dict[str, bool]:
    """Problem → whether the single pass solved it."""
    scored = record.single_pass
    solved = (scored.solved if scored else None) or ""
    return {each.id: mark == "1" for each, mark in zip(record.problems, solved, strict=False)}


def _picked(
    problems: list[Problem], tuned: dict[str, bool], base: dict[str, bool]
) -> list[Problem]:
    """Some that the tuned model solved and the base did not, then one that it missed."""
    solved = [each for each in problems if tuned.get(each.id)]
    solved.sort(key=lambda each: base.get(each.id, False))  # it is stable
    missed = [each for each in problems if not tuned.get(each.id)]
    return [*solved[:SOLVED], *missed[:MISSED]]


def measure(desk: Desk, model: Model) -> None:
    """Ask a tuned model that has no run some test problems of its task, and remember which."""
    if model.folder is not None or model.task is None or model.name in desk.measured:
        return
    problems = _test_problems(model)
    with desk.pool.borrow(model.opens) as engine:
        found = list(answers(problems, model.task, way_of(SINGLE_PASS), engine))
    marks = {each.problem.id: each.correct for each in found if each.problem}
    desk.measured[model.name] = _picked(problems, marks, {})


def _test_problems(model: Model) -> list[Problem]:
    assert model.task is not None
    return model.task.up_to("test", ASKED, SEED)

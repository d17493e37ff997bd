"""From what stands on the page to a problem and two sides; each bad input is one sentence."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from ltf_lite.app.answer import live
from ltf_lite.app.answer.ask import CHAINS, SINGLE_PASS, posed, ways
from ltf_lite.app.answer.live import Side
from ltf_lite.app.web.catalogue import RUN, chosen, named, offers
from ltf_lite.app.web.desk import Desk, bounded
from ltf_lite.core.errors import UsageError
from ltf_lite.reasoners import REASONERS
from ltf_lite.tasks import Problem, Task, TaskError, get_task

LONGEST = 2000  # characters of a typed problem
SEEDS = 10**9
SLIDERS = {  # of a search: the least, the most, and what it begins with
    "n": (2, 128, 32),
    "beam": (1, 20, 5),
    "iterations": (1, 50, 10),
    "budget": (100, 20_000, 5_000),
}
EXAMPLES, TASKS_SHOWN = 3, 4  # problems a click away: of the first task; of so many tasks
MOST_PROBLEMS = 200  # in a batch
CODE = "python"  # the task that is a Python file
DRAWN = 8  # problems of which the first that is short enough is shown


class Form(NamedTuple):
    """The inputs of the tab, in their order on the page."""

    task: Any
    problem: Any
    single: Any
    search: Any
    way: Any
    n: Any
    beam: Any
    iterations: Any
    budget: Any
    seed: Any


def begins() -> dict[str, int]:
    """What every setting of a search begins with."""
    return {name: first for name, (_, _, first) in SLIDERS.items()}


def searches() -> list[str]:
    """Every way to search: reasoners that ask a model, choices among samples, the others."""
    own = [name for name in REASONERS.names() if name != "cot"]
    ask = [name for name in own if REASONERS.get(name).asks_model]
    chains = [name for name in CHAINS if name != SINGLE_PASS]
    return [
        *sorted(ask, key=lambda name: name != "tot"),
        *chains,
        *(name for name in own if name not in ask),
    ]


def asks_model(way: str) -> bool:
    """Whether a way asks a model."""
    return way in CHAINS or REASONERS.get(way).asks_model


def sliders_of(way: Any) -> list[str]:
    """The sliders that a way of searching has: settings of its reasoner that mean something."""
    if way not in ways():
        return []
    fields = REASONERS.get("cot" if way in CHAINS else way).model_fields
    return [name for name in SLIDERS if name in fields and (name != "budget" or asks_model(way))]


def task_of(desk: Desk, form: Form) -> Task:
    """The chosen task, by the rules under which the single pass's model was tuned."""
    if form.task in named():
        own = desk.shelf.model(form.single).task
        if own is not None and own.name == form.task:
            return own
    return chosen(desk.shelf, desk.say, form.task)


def problem_of(desk: Desk, form: Form) -> Problem:
    """The typed problem; raises UsageError if it is none or has no solution."""
    return _made(desk, form, posed)


def read(desk: Desk, form: Form) -> Problem:
    """The typed problem, without asking whether it has a solution, which may take a while."""
    return _made(desk, form, lambda task, typed: task.problem(typed))


def _made(desk: Desk, form: Form, make: Callable[[Task, str], Problem]) -> Problem:
    task, typed = task_of(desk, form), str(form.problem or "")
    if len(typed) > LONGEST:
        raise UsageError(desk.say("too_long", most=f"{LONGEST:,}"))
    try:
        return make(task, typed)
    except TaskError as error:
        how = desk.say.known(f"how.{task.name}", "")
        raise UsageError(
            desk.say("no_problem", why=desk.say.told(str(error)), how=how).strip()
        ) from error


def sides_of(desk: Desk, form: Form, task: Task) -> tuple[Side, Side]:
    """(single pass, search); raises LtfError for what can't be asked."""
    seed = bounded(form.seed, desk.say("seed"), 0, SEEDS, desk.say)
    single = Side(desk.shelf.model(form.single).opens, SINGLE_PASS, {}, seed)
    if form.way not in searches():
        raise UsageError(desk.say("no_way", ways=", ".join(searches())))
    settings: dict[str, Any] = {}
    for name in sliders_of(form.way):
        low, high, _ = SLIDERS[name]
        value = bounded(getattr(form, name), desk.say(f"slider.{name}"), low, high, desk.say)
        settings[name] = {"tokens": value} if name == "budget" else value
    search = Side(desk.shelf.model(form.search).opens, form.way, settings, seed)
    live.check(search, task)
    return single, search


def before_of(search: Side) -> Side:
    """The single pass of the model that searches: what the other was tuned from."""
    return Side(search.model, SINGLE_PASS, {}, search.seed)


def drawn(desk: Desk, form: Form) -> Problem:
    """A random test problem of the task."""
    task, seed = task_of(desk, form), secrets.randbelow(SEEDS)
    found = next(filter(None, (task.up_to(split, DRAWN, seed) for split in ("test", "train"))), [])
    if not found:
        return task.problems("test", 1, seed)[0]  # it says that it has none
    return next((problem for problem in found if len(problem.text) <= LONGEST), found[0])


def examples(desk: Desk) -> list[tuple[str, Problem]]:
    """Keys of tasks and test problems: of the tasks that runs here tuned on, of the first by name.

    They are the same every time. To draw one can take seconds, so no other task is asked, and no
    Python file is run because the page is opened.
    """
    tasks: dict[str, Task | None] = {}
    there = offers(desk.shelf, desk.say)
    for run, task in desk.shelf.tasks().items():
        key = task.name if task.name in named() else f"{RUN}{run}"
        if key in there and task.name != CODE:
            tasks.setdefault(key, task)
    tasks.setdefault(named()[0], None)
    found: list[tuple[str, Problem]] = []
    for key, known in list(tasks.items())[:TASKS_SHOWN]:
        try:
            task = known or get_task(key)
            drawn = task.up_to("test", 1 if found else EXAMPLES, 0)
        except Exception:  # its file is gone, or it is another's and broken: the page opens
            continue
        found += [(key, problem) for problem in drawn if len(problem.text) <= LONGEST]
    return found


def batch_of(desk: Desk, form: Form, task: Task, count: Any) -> list[Problem]:
    """So many test problems, or all if there are fewer, drawn from the form's seed."""
    most = bounded(count, desk.say("batch.count"), 1, MOST_PROBLEMS, desk.say)
    return task.up_to("test", most, int(form.seed))

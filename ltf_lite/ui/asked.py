"""From what stands on the page to a problem and two sides; each bad input is one sentence."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from ltf_lite import live
from ltf_lite.live import Side
from ltf_lite.solving import BEST_OF_N, SELF_CONSISTENCY, SINGLE_PASS, typed_problem
from ltf_lite.tasks import TASKS, NumbersGame, Problem, TaskError, get_task
from ltf_lite.ui.desk import Desk, bounded
from ltf_lite.ui.shelf import Model

LONGEST = 60  # characters of a typed problem
SEEDS = 10**9
SLIDERS = {  # of a search: the least, the most, and what it begins with
    "n": (2, 128, 32),
    "beam": (1, 20, 5),
    "iterations": (1, 50, 10),
    "budget": (100, 20_000, 5_000),
}
# Which of them a way of searching has; exact search and random steps have none.
HAS: dict[str, tuple[str, ...]] = {
    SELF_CONSISTENCY: ("n", "budget"),
    BEST_OF_N: ("n", "budget"),
    "tot": ("beam", "budget"),
    "rap": ("iterations", "budget"),
}
SEARCHES = ("tot", "rap", SELF_CONSISTENCY, BEST_OF_N, "dfs", "bfs", "random")
TEMPERATURE = 0.7
MOST_PROBLEMS = 200  # in a batch


class Form(NamedTuple):
    """The inputs of the tab, in their order on the page."""

    task: Any
    numbers: Any
    target: Any
    single: Any
    search: Any
    way: Any
    n: Any
    beam: Any
    iterations: Any
    budget: Any
    seed: Any


def task_of(desk: Desk, form: Form) -> NumbersGame:
    """The chosen task, by the rules under which the single pass's model was tuned."""
    if form.task not in TASKS:
        raise TaskError(desk.say("no_task", tasks=", ".join(TASKS)))
    return get_task(form.task, **_settings(desk.shelf.model(form.single), form.task))


def _settings(model: Model, task: str) -> dict[str, Any]:
    own = {key: value for key, value in model.task.items() if key != "name"}
    return own if model.task.get("name") == task else {}


def problem_of(desk: Desk, form: Form) -> Problem:
    """The typed problem; raises TaskError if it is none or has no solution."""
    task = task_of(desk, form)
    typed = str(form.numbers or ""), str(form.target or "").strip()
    if max(map(len, typed)) > LONGEST:
        raise TaskError(desk.say("too_long", most=LONGEST))
    return typed_problem(task, typed[0], typed[1])


def sides_of(desk: Desk, form: Form) -> tuple[Side, Side]:
    """(single pass, search); raises TaskError or PresetError for what can't be asked."""
    seed = bounded(form.seed, desk.say("seed"), 0, SEEDS, desk.say)
    single = Side(desk.shelf.model(form.single).opens, SINGLE_PASS, {}, seed)
    if form.way not in SEARCHES:
        raise TaskError(desk.say("no_way", ways=", ".join(SEARCHES)))
    settings: dict[str, Any] = {}
    for name in HAS.get(form.way, ()):
        low, high, _ = SLIDERS[name]
        value = bounded(getattr(form, name), desk.say(f"slider.{name}"), low, high, desk.say)
        settings[name] = {"tokens": value} if name == "budget" else value
    if "n" in settings:
        settings["temperature"] = TEMPERATURE
    search = Side(desk.shelf.model(form.search).opens, form.way, settings, seed)
    live.check(search)
    return single, search


def drawn(desk: Desk, form: Form) -> Problem:
    """A random test problem of the task, which has a solution."""
    return task_of(desk, form).problems("test", 1, secrets.randbelow(SEEDS))[0]


def batch_of(desk: Desk, form: Form, count: Any) -> list[Problem]:
    """So many test problems, drawn from the form's seed."""
    most = bounded(count, desk.say("batch.count"), 1, MOST_PROBLEMS, desk.say)
    return task_of(desk, form).problems("test", most, int(form.seed))

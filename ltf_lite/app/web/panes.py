"""A comparison as HTML: its verdict, three answers side by side, and the searched tree."""

from __future__ import annotations

from typing import NamedTuple

from ltf_lite.app.answer import live
from ltf_lite.app.web import cards
from ltf_lite.app.web.asked import Form, asks_model
from ltf_lite.app.web.catalogue import titles
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.ways import within
from ltf_lite.tasks import Problem, Task

SIDES = ("before", "single", "search")


class Compared(NamedTuple):
    """A comparison as far as it has come."""

    form: Form
    task: Task
    problem: Problem
    sides: tuple[live.Snapshot, ...]


def shown(found: Compared, desk: Desk) -> tuple[str, ...]:
    """(verdict, before, after, search, tree) as HTML."""
    say, form, task = desk.say, found.form, found.task
    before, after, search = found.sides
    called = {name: title for title, name in titles(desk.shelf, say)}
    base, tuned = (called.get(name, str(name)) for name in (form.search, form.single))
    way = say("search.of", way=within(form.way, say))
    asked = base if asks_model(form.way) else ""
    return (
        cards.verdict_of(before, after, search, say, task.spared),
        cards.pane(before, say("before.title"), task, say, base),
        cards.pane(after, say("single.title"), task, say, tuned),
        cards.pane(search, way, task, say, asked),
        cards.tree_block(search, found.problem.text, task, say),
    )


def blank(desk: Desk) -> tuple[str, ...]:
    """The same before anything is asked."""
    say = desk.say
    panes = (cards.empty(say(f"{name}.title"), say(f"{name}.empty")) for name in SIDES)
    return ("", *panes, "")

"""What may be chosen: tasks by name, of runs, files that were brought, generators; and models.

A task is chosen by the key under which it is found here. Only the name of a reasoning-gym generator
may be typed: it is no path and no code. A Python file is never named from the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.uploads import uploaded
from ltf_lite.app.web.words import Say
from ltf_lite.core.errors import UsageError
from ltf_lite.core.text import printable
from ltf_lite.tasks import TASKS, Task, get_task
from ltf_lite.tasks.gym import PREFIX

RUN, FILE = "run:", "file:"  # before the names of runs and files in a key
TYPED = re.compile(rf"{PREFIX}[A-Za-z0-9_]{{1,60}}")


@dataclass(frozen=True)
class Offer:
    """A task that may be chosen, what it is called, and how it is made; that raises TaskError."""

    title: str
    make: Callable[[], Task]


def title_of_task(name: str, say: Say) -> str:
    """What a kind of task is called."""
    title = TASKS.get(name).title
    return say.known(f"task.{name}", title[:1].upper() + title[1:] or name)


def named() -> list[str]:
    """The tasks that need no settings."""
    return [name for name in TASKS.names() if _stands_alone(name)]


def _stands_alone(name: str) -> bool:
    try:
        TASKS.get(name).model_validate({"name": name})
    except ValidationError:
        return False
    return True


def offers(shelf: Shelf, say: Say) -> dict[str, Offer]:
    """Key → task: what was brought first, the newest before, then by name, then of runs."""
    files = sorted(uploaded(shelf.runs).items(), key=lambda each: -_changed(each[1]))
    found = {f"{FILE}{name}": Offer(name, partial(_of_file, file)) for name, file in files}
    for name in named():
        found[name] = Offer(title_of_task(name, say), partial(get_task, name))
    seen: list[Task] = [get_task(name) for name in named()]
    for run, task in shelf.tasks().items():
        if task in seen:
            continue
        seen.append(task)
        title = say("task.of_run", task=printable(task.sign, 40), run=run)
        found[f"{RUN}{run}"] = Offer(title, partial(_same, task))
    return found


def choices(shelf: Shelf, say: Say) -> list[tuple[str, str]]:
    """Titles and keys for a list to choose from."""
    return [(offer.title, key) for key, offer in offers(shelf, say).items()]


def titles(shelf: Shelf, say: Say) -> list[tuple[str, str]]:
    """Titles and names of the models, for a list to choose from."""
    return [(say.known(f"model.{name}", name), name) for name in shelf.models()]


def chosen(shelf: Shelf, say: Say, key: Any) -> Task:
    """The task of a key; raises UsageError where there is none, TaskError where it can't be."""
    if isinstance(key, str):
        found = offers(shelf, say)
        if key in found:
            return found[key].make()
        if TYPED.fullmatch(key.strip()):
            return _typed(key.strip())
    shown = ", ".join(offers(shelf, say)) + f", {PREFIX}…"
    raise UsageError(say("no_task", tasks=shown))


def _same(task: Task) -> Task:
    return task


def _of_file(file: Path) -> Task:
    return _read(file, _changed(file))


@lru_cache(maxsize=64)
def _read(file: Path, changed: int) -> Task:
    """The task of a file, made once as long as the file stays the same."""
    return get_task("reference", file=str(file))


@lru_cache(maxsize=8)
def _typed(key: str) -> Task:
    """A generator's task, made once: it has a process of its own."""
    return get_task(key)


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0

"""Who may press what on the Compare tab: a page has one thing under way, which can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import gradio as gr

from ltf_lite.app.web import cards
from ltf_lite.app.web.desk import Desk, who

T = TypeVar("T")
U = TypeVar("U")
PARTS = 4  # that start something: one problem, many, a file, a blind pair
WAITING = 16  # of each that gradio lets go on at once; they take turns at the models


def turns(public: bool) -> dict[str, Any]:
    """Of an event that asks models."""
    seen = "public" if public else "private"
    return {"concurrency_limit": WAITING, "show_progress": "hidden", "api_visibility": seen}


def begin(desk: Desk) -> Callable[[gr.Request], list[Any]]:
    def begun(request: gr.Request) -> list[Any]:
        """The buttons, and how many come before where there is no room to begin at once."""
        desk.tickets.begin(who(request))
        others = desk.tickets.others(who(request))
        full = desk.say("queue.full", n=others) if others >= WAITING else ""
        return [*_buttons(running=True), cards.remark(full)]

    return begun


def ahead(n: int, desk: Desk) -> str:
    """How many come before whoever waits for a model; "" for nobody."""
    return cards.remark(desk.say("state.ahead", n=n)) if n else ""


def waiting(work: Generator[int, None, T], show: Callable[[int], U]) -> Generator[U, None, T]:
    """What is shown of how many come first, whenever that changes; returns what the work does."""
    while True:
        try:
            n = next(work)
        except StopIteration as end:
            return end.value
        yield show(n)


def still() -> list[Any]:
    """The buttons as they are."""
    return [gr.skip()] * (2 * PARTS)


def ended() -> list[Any]:
    return _buttons(running=False)


def _buttons(running: bool) -> list[Any]:
    """Of all parts: to start, where nothing runs; to stop, where something does."""
    return [gr.update(interactive=not running), gr.update(visible=running)] * PARTS


def stop(desk: Desk) -> Callable[[gr.Request], None]:
    def stopped(request: gr.Request) -> None:
        desk.tickets.stop(who(request))

    return stopped


def leave(desk: Desk) -> Callable[[gr.Request], None]:
    def left(request: gr.Request) -> None:
        desk.tickets.leave(who(request))

    return left

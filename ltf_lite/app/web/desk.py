"""What the tabs share: models and runs, engines, words, and who may be stopped."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from threading import Event, Lock
from typing import Any

import gradio as gr

from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web.cards import notice
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import Say
from ltf_lite.core.errors import LtfError, UsageError
from ltf_lite.tasks import Problem

RECENT = 16  # comparisons that are remembered
# Of an event that no program calls, that waits for nobody, and whose answer comes at once.
SIGNED = "(...all) => [...all.slice(0, -1), window.ltfToken]"  # puts the token in the last input
QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}


def choice(choices: Sequence[Any], **options: Any) -> gr.Dropdown:
    """A list to choose from; what isn't in it is answered by the tab, in a sentence of its own."""
    box = gr.Dropdown(choices, **options)
    box.preprocess = lambda payload: payload  # type: ignore[method-assign]
    return box


@dataclass
class Tickets:
    """Who has something running, by session, so that Stop and leaving the page reach it.

    A ticket is made by the click and not by what the click starts, which may wait in the queue:
    whoever waits there can be stopped too.
    """

    held: dict[str, Event] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def begin(self, who: str | None) -> None:
        """A new ticket; what the session had running is stopped."""
        with self.lock:
            self._stop(who)
            self.held[who or ""] = Event()

    def of(self, who: str | None) -> Event:
        """The session's ticket; a new one where it comes without a click."""
        with self.lock:
            return self.held.setdefault(who or "", Event())

    def stop(self, who: str | None) -> None:
        with self.lock:
            self._stop(who)

    def leave(self, who: str | None) -> None:
        """The session is over: what it had running is stopped, and it is forgotten."""
        with self.lock:
            self._stop(who)
            self.held.pop(who or "", None)

    def runs(self, who: str | None) -> bool:
        """Whether the session has something running, or waiting to run."""
        with self.lock:
            return (who or "") in self.held

    def others(self, who: str | None) -> int:
        """How many other sessions have something running, or waiting to run."""
        with self.lock:
            return len(self.held.keys() - {who or ""})

    def end(self, who: str | None, ticket: Event) -> None:
        """Give a ticket back when its work is over."""
        with self.lock:
            if self.held.get(who or "") is ticket:
                del self.held[who or ""]

    def _stop(self, who: str | None) -> None:
        if ticket := self.held.get(who or ""):
            ticket.set()


@dataclass
class Recent:
    """What the last comparisons came to, so that a page that is loaded anew shows its own again."""

    held: dict[tuple[str, ...], Any] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def keep(self, key: tuple[str, ...], value: Any) -> None:
        with self.lock:
            self.held.pop(key, None)
            self.held[key] = value
            while len(self.held) > RECENT:
                del self.held[next(iter(self.held))]

    def get(self, key: tuple[str, ...]) -> Any:
        """None for what is no longer known."""
        with self.lock:
            return self.held.get(key)


@dataclass(frozen=True)
class Desk:
    """Everything a tab works with.

    `measured` has test problems by the name of a model without a run, `recent` the comparisons
    that were shown last, and `warm` is set once the first one has been made. Programs call the
    functions of the `public` one, where there are several languages; `home` is its language.
    What changes anything wants the `token`, which the app's own page has.
    """

    shelf: Shelf
    pool: Pool
    say: Say
    tickets: Tickets = field(default_factory=Tickets)
    measured: dict[str, list[Problem]] = field(default_factory=dict)
    recent: Recent = field(default_factory=lambda: Recent())
    warm: Event = field(default_factory=Event)
    public: bool = True
    home: str = "en"
    token: str = ""

    def signed(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """A handler that changes something: its last input is the token that this app's page has.

        Of another it raises UsageError.
        """

        def checked(*args: Any) -> Any:
            *rest, told = args
            self.vouched(told)
            return handler(*rest)

        return checked

    def vouched(self, token: Any) -> None:
        """Raises UsageError where a token is not that of this app's page."""
        if not secrets.compare_digest(str(token).encode(), self.token.encode()):
            raise UsageError(self.say("upload.token"))

    def speaking(self, say: Say) -> Desk:
        """The same desk in another language."""
        return replace(self, say=say, public=False)


def sentence(error: Exception, say: Say) -> str:
    """An error for the page: our own sentence, or that something failed; the log has the rest."""
    if isinstance(error, LtfError):
        return say.told(str(error))
    logging.getLogger("ltf_lite.app").error("a request failed", exc_info=error)
    return say("failed", kind=type(error).__name__)


def answered(
    handler: Callable[..., Any], blank: Callable[[str], Any], say: Say
) -> Callable[..., Any]:
    """A handler whose every exception becomes what `blank` makes of a notice."""

    @wraps(handler)
    def safe(*args: Any) -> Any:
        try:
            return handler(*args)
        except Exception as error:
            return blank(notice(sentence(error, say)))

    return safe


def streamed(
    handler: Callable[..., Iterator[Any]], blank: Callable[[str], Any], say: Say
) -> Callable[..., Iterator[Any]]:
    """`answered` for a handler that yields."""

    @wraps(handler)
    def safe(*args: Any) -> Iterator[Any]:
        try:
            yield from handler(*args)
        except Exception as error:
            yield blank(notice(sentence(error, say)))

    return safe


def tried(make: Callable[..., str], *args: Any, say: Say) -> str:
    """A part of a page, or why it can't be shown: a broken file takes no other part along."""
    try:
        return make(*args)
    except Exception as error:
        return notice(sentence(error, say))


def bounded(value: Any, name: str, low: int, high: int, say: Say) -> int:
    """A whole number within bounds from whatever the page sent; raises UsageError."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value != int(value) or not low <= value <= high:
        shown = repr(value)[:40]
        raise UsageError(say("bounds", name=name, low=f"{low:,}", high=f"{high:,}", value=shown))
    return int(value)


def who(request: gr.Request | None) -> str | None:
    return request.session_hash if request else None

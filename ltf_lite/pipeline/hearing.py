"""What an engine does while it is asked, for a bar: one call of a slow model takes minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ltf_lite.core.progress import RECORDED
from ltf_lite.engines import Engine, Usage

Advance = Callable[..., None]  # a bar's: by so many units, with a note


def quiet(n: int = 1, note: str = "") -> None:
    """Where no bar is."""


@contextmanager
def hearing(engine: Engine, advance: Advance, what: str) -> Iterator[None]:
    """Meanwhile a bar says what the engine is asked and how much it has written.

    Nothing else is asked, or asked in another way, because of it.
    """
    advance(0, what)
    engine.listener = _Ear(engine.usage, advance, what)
    try:
        yield
    finally:
        engine.listener = None


class _Ear:
    """An engine's listener, which tells a bar once a second."""

    def __init__(self, usage: Usage, advance: Advance, what: str) -> None:
        self.usage, self.advance, self.what = usage, advance, what
        self.first = replace(usage)
        self.call, self.tokens = usage.calls, 0  # the call that was heard last, and its tokens
        self.told = time.monotonic()
        self.telling = threading.Lock()

    def stopped(self) -> bool:
        self.tell()
        return False

    def heard(self, tokens: int, texts: Callable[[], list[str]]) -> None:
        self.call, self.tokens = self.usage.calls, tokens
        self.tell()

    def tell(self) -> None:
        now = time.monotonic()
        if now - self.told < RECORDED or not self.telling.acquire(blocking=False):
            return  # too early, or another thread is at it
        self.told = now
        try:
            self.advance(0, self.note())
        finally:
            self.telling.release()

    def note(self) -> str:
        under_way = self.tokens if self.call == self.usage.calls else 0
        written = self.usage.tokens_out - self.first.tokens_out + under_way
        return f"{self.what}: {written:,} tokens" if written else self.what

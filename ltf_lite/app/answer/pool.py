"""Models that are opened once and shared, and asked one at a time, in the order of who came."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ltf_lite.engines import Dialect, Engine, EngineError, Sampling, Stopped, open_engine

LOOK = 0.1  # seconds between looks at whether who waits for a model still wants it


def _never() -> bool:
    return False


def _nothing() -> None: ...


def _nobody(ahead: int) -> None: ...


class Pool:
    """Engines by their model, at most `most` of them in memory; safe to share between threads.

    Only one is in use at a time, whatever the model: two would share the cores, and the seconds of
    each would tell of the other. Where one more is wanted, the one that was not used for longest is
    closed. `dialects` has those that are asked in another dialect than the one they tell.
    """

    def __init__(self, most: int = 2, dialects: Mapping[str, Dialect] | None = None) -> None:
        self._most, self._dialects = most, dialects or {}
        self._changed = threading.Condition()
        self._idle: dict[str, Engine] = {}  # the one used last comes last
        self._busy: set[str] = set()  # opening, or asked
        self._line: list[object] = []  # who waits, the first comes next
        self._unwanted: set[str] = set()  # to be closed when they come back

    @contextmanager
    def borrow(
        self,
        model: str,
        stopped: Callable[[], bool] = _never,
        loading: Callable[[], None] = _nothing,
        waiting: Callable[[int], None] = _nobody,
    ) -> Iterator[Engine]:
        """The engine of a model, for the borrower alone; `loading` is called before it is opened.

        Who has to wait is told in `waiting` how many come before, whenever that changes.
        Raises EngineError where it cannot be opened, which the next borrower tries again, and
        Stopped where `stopped` is true while others use it. What any other error came out of is
        closed, not used again.
        """
        engine, whole = self._take(model, stopped, waiting), False
        try:
            if engine is None:
                loading()
                engine = _opened(model, self._dialects.get(model))
            yield engine
            whole = True
        except (EngineError, Stopped):
            whole = True
            raise
        finally:
            self._give_back(model, engine, whole)

    def dialect_of(self, model: str) -> str | None:
        """The dialect that was asked for this model; None: the one that it tells."""
        told = self._dialects.get(model)
        return told.name if told else None

    def close(self) -> None:
        """Close all engines, those in use when they come back."""
        with self._changed:
            self._unwanted |= self._busy
            while self._idle:
                self._close_oldest()

    def _take(
        self, model: str, stopped: Callable[[], bool], waiting: Callable[[int], None]
    ) -> Engine | None:
        """The engine, busy from now on; None where its borrower has to open it."""
        with self._changed:
            self._wait(stopped, waiting)
            self._busy.add(model)
            engine = self._idle.pop(model, None)
            while self._idle and len(self._idle) + len(self._busy) > self._most:
                self._close_oldest()
            return engine

    def _wait(self, stopped: Callable[[], bool], waiting: Callable[[int], None]) -> None:
        """Wait for one's turn, the lock held."""
        own, told = object(), 0
        self._line.append(own)
        try:
            while ahead := self._line.index(own) + len(self._busy):
                if stopped():
                    raise Stopped
                if ahead != told:
                    waiting(told := ahead)
                self._changed.wait(LOOK)
        finally:
            self._line.remove(own)
            self._changed.notify_all()

    def _give_back(self, model: str, engine: Engine | None, whole: bool) -> None:
        with self._changed:
            if engine and whole and model not in self._unwanted:
                self._idle[model] = engine
            elif engine:
                engine.close()
            self._busy.discard(model)
            self._unwanted.discard(model)
            self._changed.notify_all()

    def _close_oldest(self) -> None:
        self._idle.pop(next(iter(self._idle))).close()


def _opened(model: str, dialect: Dialect | None) -> Engine:
    """An engine that has answered once: the first time takes longer, and is part of loading."""
    engine = open_engine(model, dialect)
    try:
        engine.generate(["1"], Sampling(max_tokens=2))
    except BaseException:
        engine.close()
        raise
    return engine

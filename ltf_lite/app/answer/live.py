"""Answers while they are made: of one side, of two side by side, of a batch of problems."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from typing import NamedTuple

from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.answer.snapshot import Answering, Side, Snapshot, before, check
from ltf_lite.core.pace import PAUSE
from ltf_lite.engines import EngineError
from ltf_lite.tasks import Problem, Task

STILL = 0.5  # seconds after which the time is told though nothing else is new
PATIENCE = 0.7  # seconds that a stopped answer has to end by itself
ENDS = ("done", "stopped", "failed")


def answer(
    problem: Problem, task: Task, side: Side, pool: Pool, stop: threading.Event
) -> Generator[Snapshot]:
    """One problem answered in a thread of its own: snapshots, ten a second at most, and the last.

    Once `stop` is set the last one comes within a second. Whatever goes wrong is the sentence of a
    snapshot; who closes the iterator ends the answer.
    """
    left = threading.Event()
    answering = Answering(problem, task, side, lambda: stop.is_set() or left.is_set())
    thread = threading.Thread(target=answering.work, args=(pool,), daemon=True)
    thread.start()
    try:
        yield from _snapshots(answering)
    finally:
        left.set()
        if answering.latest.state in ENDS or not stop.is_set():  # else it had its time
            thread.join(PATIENCE)  # a model that is still loading can't be interrupted


def _snapshots(answering: Answering) -> Iterator[Snapshot]:
    """The snapshots of an answer that a thread is working on, to its end."""
    shown: Snapshot | None = None
    told, stopped = monotonic(), 0.0
    while True:
        with answering.changed:
            answering.changed.wait_for(lambda: answering.latest.state in ENDS, PAUSE)
            latest = answering.latest
        now = monotonic()
        if latest.state in ENDS:
            yield latest
            return
        if answering.stopped():
            stopped = stopped or now
            if now - stopped > PATIENCE:
                yield replace(latest, state="stopped")
                return
        elif latest is not shown:
            shown, told = latest, now
            yield latest
        elif answering.began is not None and now - told > STILL:
            told = now
            yield replace(latest, seconds=perf_counter() - answering.began)


def waited(snapshots: Iterator[Snapshot]) -> Generator[int, None, Snapshot]:
    """How many come before, whenever that changes, 0 at one's turn; returns the last snapshot."""
    told, last = 0, None
    for last in snapshots:
        ahead = last.ahead if last.state == "waiting" else 0
        if ahead != told:
            yield (told := ahead)
    assert last is not None  # an answer always ends with one
    return last


def compare(
    problem: Problem, task: Task, sides: Sequence[Side], pool: Pool, stop: threading.Event
) -> Iterator[tuple[Snapshot, ...]]:
    """All sides of a problem, one after the other, so that none shares the cores with another."""
    shown = [before(problem, task, side) for side in sides]
    for place, side in enumerate(sides):
        with closing(answer(problem, task, side, pool, stop)) as snapshots:
            for snapshot in snapshots:
                shown[place] = snapshot
                yield tuple(shown)


class Ratio(NamedTuple):
    """Search over single pass: generated `tokens`, and `seconds` where they may be compared.

    They may within one engine and precision, which answer one after the other; else it is None.
    """

    tokens: float
    seconds: float | None


def ratio(single: Snapshot, search: Snapshot) -> Ratio | None:
    """What the search cost beside the single pass; None until both are done, and without tokens."""
    if single.state != "done" or search.state != "done" or not (single.tokens and search.tokens):
        return None
    alike = single.runtime == search.runtime and single.seconds > 0
    seconds = search.seconds / single.seconds if alike else None
    return Ratio(search.tokens / single.tokens, seconds)


class Tally(NamedTuple):
    """One side of a batch so far: `rate` of `solved` with its 95 % interval, means a problem.

    `runtime` is the engine and precision that the seconds are of.
    """

    solved: int
    rate: float
    low: float
    high: float
    seconds: float
    tokens: float
    runtime: str = ""


class Point(NamedTuple):
    """A batch after `n` problems; `ratio` is of the mean generated tokens, search to single pass.

    It is None where one side generates none.
    """

    n: int
    single: Tally
    search: Tally
    ratio: float | None


def batch(
    problems: Sequence[Problem],
    task: Task,
    single: Side,
    search: Side,
    pool: Pool,
    stop: threading.Event,
) -> Iterator[Point | int]:
    """A point after each problem, which both sides answer alone as they answer a user.

    Before that how many others come first, as `waited` tells it. Ends at once when stopped. Raises
    EngineError with the sentence of a side that failed.
    """
    sums = [_Sums(), _Sums()]
    for n, problem in enumerate(problems, 1):
        for own, side in zip(sums, (single, search), strict=True):
            last = yield from waited(answer(problem, task, side, pool, stop))
            if last.state == "failed":
                raise EngineError(last.error)
            if last.state == "stopped":
                return
            own.add(last)
        one, other = (own.tally(n) for own in sums)
        compared = one.tokens > 0 and other.tokens > 0
        yield Point(n, one, other, other.tokens / one.tokens if compared else None)


@dataclass
class _Sums:
    """Sums over one side's answers."""

    solved: int = 0
    seconds: float = 0.0
    tokens: int = 0
    runtime: str = ""

    def add(self, last: Snapshot) -> None:
        self.solved += bool(last.verdict and last.verdict.correct)
        self.seconds += last.seconds
        self.tokens += last.tokens
        self.runtime = last.runtime

    def tally(self, n: int) -> Tally:
        from ltf_lite.evaluation.success import wilson  # scipy takes a second to import

        low, high = wilson(self.solved, n)
        seconds, tokens = self.seconds / n, self.tokens / n
        return Tally(self.solved, self.solved / n, low, high, seconds, tokens, self.runtime)


__all__ = [
    "Answering",
    "Point",
    "Pool",
    "Side",
    "Snapshot",
    "Tally",
    "answer",
    "batch",
    "check",
    "compare",
    "ratio",
    "waited",
]

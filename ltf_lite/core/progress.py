"""Progress bars with the time left; plain lines where the output is no terminal.

Either is also recorded in a small file, for whoever watches from another process.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ltf_lite.core.json_text import as_json
from ltf_lite.core.text import signs

EVERY = 15.0  # seconds between lines where there is no terminal
RECORDED = 1.0  # seconds between two records


@dataclass(frozen=True)
class Progress:
    """How far a bar is: `left` is seconds or None, `at` when that was, seconds of the epoch."""

    title: str
    done: int
    total: int
    note: str = ""
    left: float | None = None
    at: float = 0.0


_record: Path | None = None  # where the bars of this process are recorded


def say(text: str) -> None:
    """A line for the person watching; the results of a command go to standard output, not this."""
    # in one piece: a bar may speak from another thread
    print(signs(text) + "\n", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as `7.4 s`, `3 min 20 s` or `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def record_to(file: Path | None) -> None:
    """From now on, every bar of this process is recorded in this file (None: in none)."""
    global _record
    _record = file


def recorded(file: Path) -> Progress | None:
    """The progress that is recorded in a file; None where there is none, or half of one."""
    from pydantic import TypeAdapter, ValidationError  # a command's first line need not wait for it

    try:
        found = TypeAdapter(Progress).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return found if math.isfinite(found.at) and math.isfinite(found.left or 0) else None


def forget(file: Path) -> None:
    """Remove a record and what a kill may have left half written of it."""
    for each in (file, _half(file)):
        with suppress(OSError):
            each.unlink()


@contextmanager
def bar(title: str, total: int, done: int = 0) -> Iterator[Callable[..., None]]:
    """A bar of `total` units; the yielded function advances it by n and shows a note.

    By 0 it only shows what is being done. Also while nothing advances, time passes on the bar.
    """
    with _shown(title, total, done) as show, _recorded(title, total, done) as record:

        def advance(n: int = 1, note: str = "") -> None:
            show(n, note)
            record(n, note)

        yield advance


@contextmanager
def _shown(title: str, total: int, done: int) -> Iterator[Callable[..., None]]:
    if sys.stderr.isatty():
        with _terminal(title, total, done) as advance:
            yield advance
    else:
        with _lines(title, total, done) as advance:
            yield advance


@contextmanager
def _recorded(title: str, total: int, done: int) -> Iterator[Callable[..., None]]:
    """Record the beginning, the end, and once a second in between."""
    began = moved = written = time.monotonic()
    first, last = done, ""

    def write(left: float | None) -> None:
        if _record is not None:
            now = Progress(title, done, total, last, left, time.time())
            replace_quietly(_record, asdict(now))

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last, moved, written
        done, last, now = done + n, note, time.monotonic()
        moved = now if n else moved
        if now - written >= RECORDED or done >= total:
            written = now
            write(_left(began, moved, now, done - first, total - done))

    write(None)
    try:
        yield advance
    finally:
        write(0.0 if done >= total else None)


def replace_quietly(file: Path, facts: dict[str, object]) -> None:
    """Write a small JSON file anew, unless it can't be written; `forget` removes it."""
    half = _half(file)
    with suppress(OSError):  # a full disk must not end the work that is only watched
        half.write_text(as_json(facts), encoding="utf-8")
        os.replace(half, file)


def _half(file: Path) -> Path:
    return file.with_name(file.name + ".tmp")


@contextmanager
def _terminal(title: str, total: int, done: int) -> Iterator[Callable[..., None]]:
    from rich.console import Console

    from ltf_lite.core.columns import progress

    with progress(Console(stderr=True)) as shown:
        task = shown.add_task(signs(title), total=total, completed=done, note="")
        yield lambda n=1, note="": shown.update(task, advance=n, note=signs(note))


@contextmanager
def _lines(title: str, total: int, done: int) -> Iterator[Callable[..., None]]:
    """A line EVERY seconds, whether anything advances or not, and one at the end."""
    began = moved = shown = time.monotonic()
    first, last, lock, over = done, "", threading.Lock(), threading.Event()

    def show(ended: bool = False) -> None:
        nonlocal shown
        now = time.monotonic()
        if ended or now - shown >= EVERY:
            shown = now
            tail = f", {duration(now - began)} so far"
            if done >= total:
                tail = f" in {duration(now - began)}"
            elif left := _left(began, moved, now, done - first, total - done):
                tail = f", {duration(left)} left"
            say(f"  {title}: {done}/{total}{tail}{', ' + last if last else ''}")

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last, moved
        with lock:
            done, last = done + n, note
            moved = time.monotonic() if n else moved
            show(n > 0 and done >= total)

    def wait() -> None:
        while not over.wait(RECORDED):
            with lock:
                show()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    try:
        yield advance
    finally:
        over.set()
        waiting.join()


def _left(began: float, moved: float, now: float, units: int, rest: int) -> float | None:
    """Seconds left at the pace of the units that are done, which ended at `moved`.

    None where there is no pace yet, or the next units take longer.
    """
    if rest <= 0:
        return 0.0
    left = (moved - began) / units * rest - (now - moved) if units else 0.0
    return left if left > 0 else None

"""What a deployed model was measured to do, time after time: an SQLite file that only grows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from ltf_lite.core.errors import LtfError
from ltf_lite.core.files import set_aside

SCHEMA = 1
APPLICATION = 0x6C746631  # says in the file's header whose it is
WAIT = 60.0  # seconds for another process to be done with the file
COLUMNS = "at, model, version, ability, label, problems, n, value, low, high, each"
TABLE = """CREATE TABLE measurements (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL,
    ability TEXT NOT NULL, label TEXT NOT NULL, problems TEXT NOT NULL, n INTEGER NOT NULL,
    value REAL NOT NULL, low REAL, high REAL, each TEXT NOT NULL)"""


class HistoryError(LtfError, RuntimeError):
    """A history that cannot be used."""


class Measurement(NamedTuple):
    """One ability of a model: its value with the 95 % interval, and what it is made of.

    `value` is a rate, or nats a token. `problems` is a hash of what was asked, `n` problems or
    paragraphs. `each` has an entry for each of them: a text of 0 and 1 where answers are right or
    wrong, else a list of values, or of [above, below] where the value is a ratio of sums. `at` is
    UTC.
    """

    at: str
    model: str
    version: str
    ability: str
    label: str
    problems: str
    n: int
    value: float
    low: float | None
    high: float | None
    each: Any


def prepare(file: Path) -> Path | None:
    """Make sure that measurements can be appended to a history; begin one where there is none.

    A broken one is set aside: returns where. Raises HistoryError where the file belongs to
    something else or to another version, or cannot be written.
    """
    with FileLock(file.with_name(f".{file.name}.lock")), _named(file):
        try:
            _check(file)
            return None
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # of the machine, not of the file
                raise
        aside = set_aside(file)
        journal = file.with_name(f"{file.name}-journal")
        if journal.exists():  # of the broken one, never to be played back into another
            set_aside(journal)
        _check(file)
        return aside


def append(file: Path, measurements: Iterable[Measurement]) -> list[Measurement | None]:
    """Add measurements, all or none of them, and return the first that was ever made of each.

    That is the earliest of the same model, ability, label and problems; None where there was none.
    Raises HistoryError.
    """
    found = []
    with _named(file), _writing(file) as history:
        for measurement in measurements:
            found.append(_first(history, measurement))
            row = measurement._replace(each=json.dumps(measurement.each, allow_nan=False))
            marks = ", ".join("?" * len(row))
            history.execute(f"INSERT INTO measurements ({COLUMNS}) VALUES ({marks})", row)
    return found


def _first(history: sqlite3.Connection, like: Measurement) -> Measurement | None:
    row = history.execute(
        f"SELECT {COLUMNS} FROM measurements WHERE model = ? AND ability = ? AND label = ? "
        "AND problems = ? AND n = ? ORDER BY id LIMIT 1",
        (like.model, like.ability, like.label, like.problems, like.n),
    ).fetchone()
    return row and Measurement(*row)._replace(each=json.loads(row[-1]))


def _check(file: Path) -> None:
    """Begin a history in a file that is new; raises HistoryError and sqlite3.DatabaseError."""
    with _writing(file) as history:
        owner, schema = (_pragma(history, name) for name in ("application_id", "user_version"))
        if not (owner or schema or history.execute("SELECT * FROM sqlite_master").fetchone()):
            history.execute(TABLE)
            history.execute(f"PRAGMA application_id = {APPLICATION}")
            history.execute(f"PRAGMA user_version = {SCHEMA}")
        elif owner != APPLICATION:
            raise HistoryError(f"{file} is an SQLite file of something else: move it away")
        elif schema != SCHEMA:
            raise HistoryError(
                f"{file} is a history of another version of ltf_lite (schema {schema}, this one "
                f"reads {SCHEMA}): use that version, or move the file away to begin anew"
            )
        elif (said := _pragma(history, "quick_check")) != "ok":
            raise sqlite3.DatabaseError(said)


def _pragma(history: sqlite3.Connection, name: str) -> Any:
    return history.execute(f"PRAGMA {name}").fetchone()[0]


@contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection]:
    """One transaction, which no other process writes beside; an error leaves the file as it was."""
    with closing(sqlite3.connect(file, timeout=WAIT, isolation_level=None)) as history:
        history.execute("BEGIN IMMEDIATE")
        yield history
        history.execute("COMMIT")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise HistoryError(f"cannot keep a history in {file}: {said}") from error

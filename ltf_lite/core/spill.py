"""Sequences that lie on disk: memory holds none of their items, however many there are."""

from __future__ import annotations

import errno
import os
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar, overload

Item = TypeVar("Item")
CACHE = 4_096  # KiB of a database that memory may hold, so that a small one never meets the disk
PLACES = ("SQLITE_TMPDIR", "TMPDIR")  # whose folder SQLite takes, else the system's


class Kept(Sequence[Item], Generic[Item]):
    """A sequence by what it has at each number from 0 on."""

    @abstractmethod
    def item(self, number: int) -> Item:
        """What is there; `number` is in range."""

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        if isinstance(at, slice):
            return [self.item(number) for number in range(*at.indices(len(self)))]
        return self.item(range(len(self))[at])  # counts from the end too, and raises as a list does


class Spill(Kept[Item]):
    """Items in their order; one is read anew each time that it is asked for.

    `told` and `read` make bytes of an item and an item of bytes; of items told alike only the first
    is kept, if they are to be there `once`. They lie in a database of SQLite's that is gone with
    this sequence, and when the process is killed.
    """

    def __init__(
        self, told: Callable[[Item], bytes], read: Callable[[bytes], Item], once: bool = False
    ) -> None:
        self.told, self.read, self.size = told, read, 0
        self.base = temporary()
        alone = "UNIQUE ON CONFLICT IGNORE" if once else ""
        self.base.execute(f"CREATE TABLE items (number INTEGER PRIMARY KEY, told BLOB {alone})")

    def extend(self, items: Iterable[Item]) -> int:
        """Add items; how many."""
        with room():
            self.base.executemany(
                "INSERT INTO items (told) VALUES (?)", ((self.told(item),) for item in items)
            )
        before, (last,) = self.size, self.base.execute("SELECT max(number) FROM items").fetchone()
        self.size = last or 0
        return self.size - before

    def __len__(self) -> int:
        return self.size

    def item(self, number: int) -> Item:
        found = self.base.execute("SELECT told FROM items WHERE number = ?", (number + 1,))
        return self.read(found.fetchone()[0])


class Picked(Kept[Item]):
    """Some items of a sequence, by their numbers."""

    def __init__(self, of: Sequence[Item], numbers: Sequence[int]) -> None:
        self.of, self.numbers = of, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def item(self, number: int) -> Item:
        return self.of[self.numbers[number]]


class Chain(Kept[Item]):
    """The items of one sequence, then those of another."""

    def __init__(self, first: Sequence[Item], second: Sequence[Item]) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def item(self, number: int) -> Item:
        first = len(self.first)
        return self.first[number] if number < first else self.second[number - first]


def temporary() -> sqlite3.Connection:
    """An empty database that has a file of its own as soon as it needs one, and leaves none."""
    # "": a private file. Others than the thread that began may read: they never do so at once.
    base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for told in (f"cache_size = -{CACHE}", "journal_mode = OFF", "synchronous = OFF"):
        base.execute(f"PRAGMA {told}")
    base.execute("BEGIN")  # for good: what is never read by others needs no commit
    return base


@contextmanager
def room() -> Iterator[None]:
    """Tell a lack of room as the system tells it, with the folder that is full."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" not in str(error) and "I/O" not in str(error):
            raise
        folder = next((os.environ[name] for name in PLACES if os.environ.get(name)), "/var/tmp")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder) from error

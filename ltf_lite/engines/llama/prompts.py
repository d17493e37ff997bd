"""Which prompts a cache holds when nothing runs, each in a sequence of its own.

A search asks in turns for proposals and for judgements, under headers of their own. One held prompt
for each spares both headers; a new prompt takes the place of the one that it resembles.
"""

from __future__ import annotations

from collections.abc import Iterator

from ltf_lite.engines.base import common

HELD = 4  # prompts: a search has two or three kinds of questions


class Prompts:
    """The held prompts: sequence → token ids, the least recently used first.

    Together they have at most `room` tokens, or there is one alone.
    """

    def __init__(self, first: int, room: int) -> None:
        self.free, self.room = list(range(first, first + HELD)), room
        self.held: dict[int, list[int]] = {}

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        return iter(self.held.items())

    def used(self, sequence: int) -> None:
        """Say that a prompt was shared just now."""
        self.held[sequence] = self.held.pop(sequence)

    def take(self, ids: list[int]) -> tuple[int, list[int]]:
        """A place for a prompt: (its sequence, every sequence to be freed before)."""
        alike = [at for at, old in self if 2 * common(ids, old) >= len(old)]
        gone = [max(alike, key=lambda at: common(ids, self.held[at]))] if alike else []
        for at in [each for each in self.held if each not in gone]:
            left = [old for each, old in self if each not in gone]
            if sum(map(len, left)) + len(ids) <= self.room and len(left) < HELD:
                break
            gone.append(at)
        for at in gone:
            del self.held[at]
            self.free.append(at)
        sequence = min(self.free)
        self.free.remove(sequence)
        self.held[sequence] = ids
        return sequence, gone

    def clear(self) -> None:
        """Hold nothing."""
        self.free += self.held
        self.held.clear()

"""Drawing problems from a stream: any length, bounded memory, and no problem in two splits."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator

from ltf_lite.tasks.contract import Problem, Split, TaskError, share

VALIDATION, TEST = 0.1, 0.2  # shares of the problems


def split_of(id: str) -> Split:
    """The split of a problem, which depends on its id alone: duplicates are in one split."""
    part = share(id)
    if part < TEST:
        return "test"
    return "validation" if part < TEST + VALIDATION else "train"


def unique(stream: Iterable[Problem]) -> Iterator[Problem]:
    """Each problem once, the first of those with one id; eight bytes an id are held."""
    seen: set[bytes] = set()
    for problem in stream:
        digest = hashlib.sha256(problem.id.encode()).digest()[:8]
        if digest not in seen:
            seen.add(digest)
            yield problem


def drawn(stream: Iterable[Problem], n: int, key: str) -> tuple[list[Problem], int]:
    """At most `n` problems of a stream, at random by `key`, and how many there are.

    Those whose hashed ids are the smallest are taken (bottom-k sampling), so that the order of
    the stream does not matter and only `n` problems are held.
    """
    heap: list[tuple[int, int, Problem]] = []
    there = 0
    for there, problem in enumerate(stream, 1):
        digest = hashlib.sha256(f"{key}:{problem.id}".encode()).digest()
        rank = -int.from_bytes(digest, "big")
        if len(heap) < n:
            heapq.heappush(heap, (rank, there, problem))
        elif n and rank > heap[0][0]:
            heapq.heapreplace(heap, (rank, there, problem))
    return [problem for _, _, problem in sorted(heap, reverse=True)], there


def enough(found: list[Problem], there: int, n: int, split: Split, where: str) -> list[Problem]:
    """The problems, if they are `n`; raises TaskError that says how many there are."""
    if len(found) < n:
        raise TaskError(f"{where} has {there} {split} problems, not {n}")
    return found

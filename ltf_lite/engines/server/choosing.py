"""Which of several servers is asked next: by what each has to do, and what it had before."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltf_lite.engines.server.client import Client

BUSIER = 4  # requests by which the server that had a prompt's beginning may be ahead of others
ALIKE = 8  # characters of it that a server has to have had more of than another
KEPT = 4096  # prompts that are remembered of each


class Held:
    """The prompts that a server had last, by their beginnings: what its prefix cache may hold."""

    def __init__(self) -> None:
        self._sorted: list[str] = []
        self._order: deque[str] = deque()

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def shared(self, prompt: str) -> int:
        """How many characters a prompt begins with as one of them does."""
        place = bisect_left(self._sorted, prompt)  # its neighbours are the most alike
        near = self._sorted[max(0, place - 1) : place + 1]
        return max((_alike(prompt, other) for other in near), default=0)

    def add(self, prompt: str) -> None:
        place = bisect_left(self._sorted, prompt)
        if self._sorted[place : place + 1] == [prompt]:
            return
        insort(self._sorted, prompt)
        self._order.append(prompt)
        if len(self._order) > KEPT:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]


def _alike(first: str, second: str) -> int:
    """How many characters two texts begin with together."""
    most = min(len(first), len(second))
    return bisect_left(range(most), True, key=lambda k: first[: k + 1] != second[: k + 1])


@dataclass(eq=False)
class Endpoint:
    """One of the servers: `most` requests are made of it at once, `flying` are, others wait.

    `asked` counts all so far, `troubles` those since it answered last. Where it is not asked now,
    `away` is a sentence that says why.
    """

    client: Client
    most: int
    flying: int = 0
    asked: int = 0
    troubles: int = 0
    away: str = ""
    told: bool = False  # whether the person watching was told so
    held: Held = field(default_factory=Held)
    waiting: deque[Ticket] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def load(self) -> int:
        """The requests that it has to answer."""
        return self.flying + len(self.waiting)

    @property
    def free(self) -> bool:
        return not self.away and self.flying < self.most

    def take(self) -> None:
        """Make one more request of it."""
        self.flying += 1
        self.asked += 1


@dataclass(eq=False)
class Ticket:
    """A request that waits; `end` is who is to be asked, None where that is to be chosen again."""

    end: asyncio.Future[Endpoint | None]
    prompt: str


def chosen(ends: Sequence[Endpoint], prompt: str) -> Endpoint | None:
    """Who is to answer a prompt; None where all are away.

    The one with the least to do; but one that had more of the prompt's beginning before is asked
    again, unless it is clearly busier. What all of them had, as worked examples, draws to none.
    """
    here = [end for end in ends if not end.away]
    if not here:
        return None
    least = min(end.load for end in here)
    near = [end for end in here if end.load <= least + max(BUSIER, least // 2)]
    shared = {end: end.held.shared(prompt) for end in near}
    if not all(end.held for end in near):  # one that had nothing yet gets to know the examples
        near = [end for end in near if not end.held]
    elif max(shared.values()) >= min(shared.values()) + ALIKE:
        near = [end for end in near if shared[end] == max(shared.values())]
    end = min(near, key=lambda end: (end.load, end.asked))
    end.held.add(prompt)
    return end


def next_in(ends: Sequence[Endpoint]) -> tuple[Endpoint, Ticket] | None:
    """A request that waits, and who can answer it now; None where there is no such pair.

    Who has nothing to do takes the last request of the one for which the most wait.
    """
    for end in ends:
        if end.free and end.waiting:
            return end, end.waiting.popleft()
    idle = next((end for end in ends if end.free), None)
    busiest = max(ends, key=lambda end: len(end.waiting))
    if idle is None or not busiest.waiting:
        return None
    ticket = busiest.waiting.pop()
    idle.held.add(ticket.prompt)
    return idle, ticket

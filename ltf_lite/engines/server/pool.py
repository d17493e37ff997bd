"""Several servers of one model, asked as one: who is asked next, who is away, who is back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ltf_lite.core.progress import say
from ltf_lite.engines.base import EngineError
from ltf_lite.engines.server import client as asking
from ltf_lite.engines.server.answers import Completed
from ltf_lite.engines.server.choosing import Endpoint, Held, Ticket, chosen, next_in
from ltf_lite.engines.server.client import Client, Loop
from ltf_lite.engines.server.connection import FIRST, LONGEST, Away, Refused, late
from ltf_lite.engines.server.opening import difference, sample

T = TypeVar("T")

PATIENCE = 60.0  # seconds that an answer may take in any case
SLOWER = 4  # times as long as the slowest token so far may take each that is asked for
LOOK = 30.0  # seconds for a look at a server
MOST = 60  # troubles that are counted: the pauses grow no more


class Pool:
    """Asks several servers as a `Client` asks one.

    A server that is away loses its requests to the others at once. It is looked at again, with
    growing pauses, and asked again once it answers as the same model does. Raises EngineError where
    a server refuses, and where none is left for as long as one alone would be asked again.
    """

    def __init__(self, urls: Sequence[str], timeout: float, most: int) -> None:
        self.url = " or ".join(filter(None, [", ".join(urls[:-1]), urls[-1]]))
        self._loop = Loop()
        self.ends = [Endpoint(Client(url, timeout, self._loop), most) for url in urls]
        self._timeout = timeout
        self._changed = asyncio.Event()
        self._looking: set[asyncio.Task[None]] = set()
        self._slowest = 0.0  # seconds for a token, of all answers so far
        self._hurried = -LONGEST
        self._known: tuple[str, bool, list[Completed]] | None = None  # model, chat, its sample

    def close(self) -> None:
        """Close the connections and end the thread; to be called once."""
        self.run(self._closed())
        self._loop.close()

    async def _closed(self) -> None:
        for look in self._looking:
            look.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        for end in self.ends:
            await end.client.closed()

    def run(self, work: Coroutine[Any, Any, T], look: Callable[[], None] | None = None) -> T:
        """The result of work, as `Loop.run` waits for it."""
        return self._loop.run(work, look)

    # -- all of them -------------------------------------------------------------------------

    async def each(self, ask: Callable[[Client], Awaitable[T]]) -> dict[Client, T]:
        """What `ask` makes of each server that is there; whoever does not answer is away then.

        One that hangs is waited for a while longer than the first that answers. Raises EngineError.
        """
        if all(end.away for end in self.ends):
            await self._back("")
        tasks = {end: asyncio.ensure_future(ask(end.client)) for end in self.ends if not end.away}
        try:
            await _first(list(tasks.values()))
            for end, task in tasks.items():
                if not task.done():
                    self._leave(end, Away(late(end.client.url, LOOK)))
                elif isinstance(error := task.exception(), Away):
                    self._leave(end, error)
            done = {end.client: task.result() for end, task in tasks.items() if not end.away}
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        if not done:
            raise self._nobody()
        for end in self.ends:
            if end.away and not end.told:
                self._warn(end)
        return done

    async def agree(self, model: str, chat: bool) -> None:
        """Refuse servers that have not the same model; raises EngineError."""
        samples = await self.each(lambda client: sample(client, model, chat))
        self._known = model, chat, next(iter(samples.values()))
        for client, said in samples.items():
            self._check(client, said)
        for end in self.ends:
            if end.away:
                self._seek(end)

    def _check(self, client: Client, said: list[Completed]) -> None:
        assert self._known is not None
        if why := difference(self._known[2], said):
            raise Refused(f"the server at {client.url} has another model than the others: {why}")

    def _nobody(self) -> EngineError:
        away = [end for end in self.ends if end.away]
        return EngineError(f"no server is left of {self.url}: {away[-1].away}")

    # -- one request -------------------------------------------------------------------------

    async def complete(
        self, model: str, prompt: str, tokens: int, echo: bool = False, **wanted: Any
    ) -> Completed:
        """The answer to one request, as `Client.complete` gives it, of whoever is there."""
        tries = (asking.RETRIES + 1) * len(self.ends)
        while True:
            end = await self._admitted(prompt)
            try:
                answer = end.client.complete(model, prompt, tokens, echo, **wanted)
                return await self._timed(end, tokens, answer)
            except Away as trouble:
                self._leave(end, trouble)
                tries -= 1
                if not tries:  # it is what is asked that no server can answer
                    raise
            finally:
                self._done(end)

    async def _admitted(self, prompt: str) -> Endpoint:
        """Who is asked, once it may be; raises EngineError where no server comes back."""
        while True:
            end = chosen(self.ends, prompt) or await self._back(prompt)
            if end.free:
                end.take()
                return end
            ticket = Ticket(asyncio.get_running_loop().create_future(), prompt)
            end.waiting.append(ticket)
            try:
                if other := await ticket.end:
                    return other
            except asyncio.CancelledError:
                if not ticket.end.cancelled() and (other := ticket.end.result()):
                    self._done(other)
                raise

    def _done(self, end: Endpoint) -> None:
        """One request less is made of a server; let in what waits."""
        end.flying -= 1
        self._let_in()

    def _let_in(self) -> None:
        while pair := next_in(self.ends):
            end, ticket = pair
            if not ticket.end.done():  # whoever waited may have been stopped
                end.take()
                ticket.end.set_result(end)

    async def _back(self, prompt: str) -> Endpoint:
        """Who is asked once one of all that are away is back; raises EngineError if none comes."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._hurry()
        while (end := chosen(self.ends, prompt)) is None:
            if clock() >= until:
                raise self._nobody()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), until - clock())
        return end

    def _hurry(self) -> float:
        """The seconds in which one has to come back; all are looked at with short pauses now."""
        hope = FIRST * (2**asking.RETRIES - 1)  # the pauses of a request to a server alone
        now = asyncio.get_running_loop().time()
        if now >= self._hurried + hope:
            self._hurried = now
            for end in self.ends:
                end.troubles = min(end.troubles, 1)
                end.wake.set()
        return hope

    async def _timed(
        self, end: Endpoint, tokens: int, answer: Coroutine[Any, Any, Completed]
    ) -> Completed:
        """An answer, waited for as long as it may take; raises Away.

        While others are there, a server that takes far longer than any did so far is taken to hang.
        """
        clock = asyncio.get_running_loop().time
        began, patience = clock(), None
        others = any(not other.away for other in self.ends if other is not end)
        if others and self._slowest:
            patience = max(PATIENCE, SLOWER * self._slowest * tokens)
        try:
            found = await asyncio.wait_for(answer, patience)
        except asyncio.TimeoutError:
            raise Away(late(end.client.url, patience or self._timeout)) from None
        end.troubles = 0
        written = found.usage.completion_tokens or len(found.choices[0].logprobs.values() or [])
        self._slowest = max(self._slowest, (clock() - began) / max(1, written))
        return found

    # -- away and back -----------------------------------------------------------------------

    def _leave(self, end: Endpoint, trouble: Away) -> None:
        """Ask a server no more until it is back."""
        if end.away:
            return
        end.troubles += 1
        end.away = str(trouble)
        while end.waiting:
            ticket = end.waiting.popleft()
            if not ticket.end.done():
                ticket.end.set_result(None)
        if self._known:
            self._seek(end, trouble.pause)

    def _seek(self, end: Endpoint, pause: float | None = None) -> None:
        end.wake.clear()
        look = asyncio.ensure_future(self._bring_back(end, pause))
        self._looking.add(look)
        look.add_done_callback(self._looking.discard)

    async def _bring_back(self, end: Endpoint, pause: float | None) -> None:
        """Look at a server with growing pauses until it answers as the same model does."""
        while True:
            pause = pause or min(LONGEST, FIRST * 2 ** (end.troubles - 1))
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(end.wake.wait(), pause * random.uniform(0.75, 1))
            end.wake.clear()
            pause = None
            why = await self._look(end.client)
            if not why:
                break
            changed = isinstance(why, Refused) and str(why) != end.away
            end.away, end.troubles = str(why), min(end.troubles + 1, MOST)
            if changed or not end.told:
                self._warn(end)
        if end.told:
            say(f"the server at {end.client.url} is back")
        end.away, end.told, end.held = "", False, Held()
        self._changed.set()  # wakes those that wait for any server, and the next ones wait anew
        self._changed = asyncio.Event()
        self._let_in()

    def _warn(self, end: Endpoint) -> None:
        end.told = True
        others = not all(other.away for other in self.ends)
        say(f"warning: {end.away}{'; the other servers are asked meanwhile' if others else ''}")

    async def _look(self, client: Client) -> EngineError | None:
        """Why a server is not to be asked; None where it answers as the same model does."""
        assert self._known is not None
        model, chat, _ = self._known
        try:
            self._check(client, await asyncio.wait_for(sample(client, model, chat), LOOK))
        except asyncio.TimeoutError:
            return Away(late(client.url, LOOK))
        except EngineError as error:
            return error
        return None


async def _first(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for the first task that comes to something, and a while for the others."""
    pending = set(tasks)
    while pending and not any(task.done() and not task.exception() for task in tasks):
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    if pending:
        await asyncio.wait(pending, timeout=LOOK)

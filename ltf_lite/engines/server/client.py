"""A server as the engine asks it: many requests at once, from a thread of its own."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.server import answers
from ltf_lite.engines.server.connection import Connection, Refused

T = TypeVar("T")
U = TypeVar("U")
Answer = TypeVar("Answer", bound=answers.Part)

RETRIES = 5  # of a request that met a busy, failing or absent server
LOOK = 0.05  # seconds between looks at what came meanwhile
LISTED = 1 << 20  # bytes that the list of models, or what is said of one, may have
# Every kind of server samples by defaults of its own, some by the model's; these switch them off.
PLAIN = {"top_k": 1 << 30, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}


def endpoint(url: str) -> str:
    """The address under which requests are made, with its version; raises EngineError."""
    shape = "give one like http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:
        shown = re.sub(r"[^/]*@", "…@", url)
        raise EngineError(f"{shown!r} is not a server's address ({shape})")
    if parts.username or parts.password or parts.query:
        raise EngineError(
            f"the address of the server at {parts.hostname!r} holds more than a place ({shape}, "
            "and the key in the environment as LTF_API_KEY)"
        )
    path = parts.path.rstrip("/")
    if not re.search(r"/v\d", path):
        path += "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


class Loop:
    """An event loop in a thread of its own, so that it works where another already runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def close(self) -> None:
        """End the thread; to be called once."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def run(self, work: Coroutine[Any, Any, T], look: Callable[[], None] | None = None) -> T:
        """The result of work, waited for; an interrupted wait cancels the work.

        While it waits it calls `look` now and then, which may raise.
        """
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while look and not wait([waiting], LOOK).done:
                look()
            return waiting.result()
        finally:
            waiting.cancel()


class Client:
    """Asks one server; raises EngineError.

    Where others are asked beside it they share a `loop`, and a request that meets trouble is not
    asked again here: another server is.
    """

    def __init__(self, url: str, timeout: float, loop: Loop | None = None) -> None:
        self.url = url
        self._alone, self._loop = loop is None, loop or Loop()
        self._plain: dict[str, float] = dict(PLAIN)
        self._connection = Connection(url, timeout)

    def close(self) -> None:
        """Close the connections and end the thread; to be called once."""
        self.run(self.closed())
        self._loop.close()

    async def closed(self) -> None:
        """Close the connections."""
        await self._connection.close()

    def run(self, work: Coroutine[Any, Any, T], look: Callable[[], None] | None = None) -> T:
        """The result of work, as `Loop.run` waits for it."""
        return self._loop.run(work, look)

    async def each(self, ask: Callable[[Client], Awaitable[T]]) -> dict[Client, T]:
        """What `ask` makes of each server that is asked: this one."""
        return {self: await ask(self)}

    async def models(self) -> list[answers.Card]:
        """The models that the server has; raises EngineError."""
        # whoever starts with a server that is not there should not wait long to hear it
        data = await self._connection.ask("/models", LISTED, 1 if self._alone else 0)
        return self._right(answers.read, answers.Models, data).data

    def props(self) -> Any:
        """What llama-server says of itself, as JSON; None from a server that has no such page."""
        place = urlsplit(self.url)._replace(path="/props").geturl()
        try:
            return self.run(self._connection.ask(place, LISTED, 0))
        except Refused:
            return None

    async def complete(
        self, model: str, prompt: str, tokens: int, echo: bool = False, **wanted: Any
    ) -> answers.Completed:
        """The server's answer to one request for one completion of at most so many tokens.

        Of a prompt that `messages` say it is the reply in their chat.
        """
        wanted |= {"model": model, "max_tokens": tokens}
        chat = "messages" in wanted
        own: dict[str, Any] = {"prompt": prompt, "logprobs": 1}
        wanted |= {"logprobs": True, "top_logprobs": 1} if chat else own
        if echo:
            wanted["echo"] = True
        place = "/chat/completions" if chat else "/completions"
        most, plain = answers.most_bytes(tokens, prompt, echo), self._plain
        retries = RETRIES if self._alone else 0
        try:
            data = await self._connection.ask(place, most, retries, wanted | plain)
        except Refused as refusal:
            if not any(name in str(refusal) for name in plain):
                raise
            self._plain = {}  # a server that takes no settings beyond OpenAI's own has no others
            data = await self._connection.ask(place, most, retries, wanted)
        return self._right(answers.completed, data, tokens, prompt, echo, chat)

    def _right(self, read: Callable[..., Answer], *data: Any) -> Answer:
        try:
            return read(*data)
        except answers.WrongAnswer as error:
            raise Refused(
                f"the server at {self.url} answers wrongly: {error} (is the address right, and "
                "does it serve completions?)"
            ) from None


async def gather(ask: Callable[[T], Awaitable[U]], jobs: Sequence[T], concurrency: int) -> list[U]:
    """What `ask` makes of each job, in the jobs' order; the first error ends all the others."""
    results: dict[int, U] = {}
    todo = iter(enumerate(jobs))

    async def work() -> None:
        for place, job in todo:
            results[place] = await ask(job)

    workers = [asyncio.ensure_future(work()) for _ in range(min(concurrency, len(jobs)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [results[place] for place in range(len(jobs))]

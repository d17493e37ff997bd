"""What the server engine says to an OpenAI-compatible server, and what it makes of the errors."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from ltf_lite.engines.base import EngineError

T = TypeVar("T")
U = TypeVar("U")

RETRIES = 5  # of a request that met a busy, failing or absent server; 0.5 s, then twice as long …
LOOK = 0.05  # seconds between looks at what came meanwhile
WORDS = 200  # characters of what the server said
AGAIN = "the same command goes on where it stopped"
# Every kind of server samples by defaults of its own, some by the model's; these switch them off.
PLAIN = {"top_k": 1 << 30, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}


def endpoint(url: str) -> str:
    """The address under which requests are made, with its version; raises EngineError."""
    shape = "give one like http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
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


class Client:
    """Asks a server, many requests at once, from a thread of its own; raises EngineError.

    So it works in a thread that already runs an event loop. Busy, failing and absent servers are
    asked again, with growing pauses.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url, self._timeout = url, timeout
        self._key = os.environ.get("LTF_API_KEY") or os.environ.get("OPENAI_API_KEY") or ""
        self._key = self._key.strip()
        self._plain: dict[str, float] = dict(PLAIN)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True).start()
        self._openai = openai.AsyncOpenAI(
            base_url=url, api_key=self._key or "none", timeout=timeout, max_retries=RETRIES
        )

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def close(self) -> None:
        """Close the connections and end the thread; to be called once."""
        self.run(self._openai.close())
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

    async def models(self) -> list[str]:
        """The names of the models that the server has."""
        # whoever starts with a server that is not there should not wait long to hear it
        answer = await self._asked(self._openai.with_options(max_retries=1).models.list())
        return [str(model.id) for model in getattr(answer, "data", None) or []]

    async def complete(self, model: str, prompt: str, **wanted: Any) -> Any:
        """The server's answer to one request for one completion."""
        wanted |= {"model": model, "prompt": prompt, "logprobs": 1}
        create, plain = self._openai.completions.create, self._plain
        try:
            answer = await self._asked(create(**wanted, extra_body=plain))
        except EngineError as refusal:
            if not any(name in str(refusal) for name in plain):
                raise
            self._plain = {}  # a server that takes no settings beyond OpenAI's own has no others
            answer = await self._asked(create(**wanted))
        if not getattr(answer, "choices", None):
            raise EngineError(
                f"what answers at {self.url} is no completions server: its answer holds no "
                "completion (is the address right?)"
            )
        return answer

    async def _asked(self, request: Awaitable[T]) -> T:
        try:
            return await request
        except openai.OpenAIError as error:
            # not chained: the error's own text may repeat what the server said of the key
            said = self._sentence(error)
        except ValueError:
            said = f"the server at {self.url} answered with broken JSON (is the address right?)"
        raise EngineError(said)

    def _sentence(self, error: openai.OpenAIError) -> str:
        if isinstance(error, openai.APITimeoutError):
            return (
                f"the server at {self.url} did not answer within {self._timeout:g} seconds (give "
                f"it less to do at once; {AGAIN})"
            )
        if isinstance(error, openai.APIConnectionError):
            return f"the server at {self.url} cannot be reached (start it; {AGAIN})"
        if not isinstance(error, openai.APIStatusError):
            return f"the server at {self.url} answered with what is no completion"
        code = error.status_code
        if code in (401, 403):
            return (
                f"the server at {self.url} refuses the API key (HTTP {code}; put the right one "
                "into the environment as LTF_API_KEY)"
            )
        if code == 429 or code >= 500:
            said = self._words(error)
            return f"the server at {self.url} keeps failing (HTTP {code}{said}; {AGAIN})"
        return f"the server at {self.url} refuses the request (HTTP {code}{self._words(error)})"

    def _words(self, error: openai.APIStatusError) -> str:
        """What the server said, on one line, without the key."""
        said = error.body
        while isinstance(said, dict):
            said = next((said[k] for k in ("error", "message", "detail") if said.get(k)), "")
        text = " ".join(str(said or "").split())
        if self._key:
            text = text.replace(self._key, "…")
        return f": {text[:WORDS]}" if text else ""


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

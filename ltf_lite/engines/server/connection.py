"""Requests to one server: bounded in time and in size, never sent on, errors as sentences."""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import Any

import httpx

from ltf_lite.core.network import proxy_for
from ltf_lite.engines.base import EngineError

FIRST = 0.5  # seconds of the first pause, the next is twice as long
LONGEST = 60.0  # seconds of a pause, whatever the server asks for
CONNECT = 20.0  # seconds to reach a machine
WORDS = 200  # characters of what the server said
REDIRECTS = 3  # within one server
AGAIN = "the same command goes on where it stopped"
KEYS = ("LTF_API_KEY", "OPENAI_API_KEY")


class Refused(EngineError):
    """The server is there, and what it answers is a refusal or no answer."""


class Away(EngineError):
    """The server does not answer, or not now; another may. `pause` is what it asks to wait."""

    def __init__(self, said: str, pause: float | None = None) -> None:
        super().__init__(said)
        self.pause = pause


class _Trouble(Exception):
    """Something that may be over soon: a sentence, and the pause that the server asks for."""

    def __init__(self, said: str, pause: float | None = None) -> None:
        super().__init__(said)
        self.pause = pause


class Connection:
    """Asks the server at `url`. Belongs to one event loop; raises EngineError.

    The environment's proxy is used as it says, the API key is its LTF_API_KEY or OPENAI_API_KEY.
    A request and all its repetitions take `timeout` seconds at most.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url, self._timeout, self._proxy = url, timeout, proxy_for(url)
        self._key = next((key for name in KEYS if (key := os.environ.get(name, "").strip())), "")
        if not (self._key.isascii() and self._key.isprintable()):
            raise EngineError(
                f"the API key in {' or '.join(KEYS)} holds characters that no key has"
            )
        # answers are limited as they are read, and packed ones would outgrow the limit in between
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._http = httpx.AsyncClient(
            headers=headers,
            transport=self._transport(),  # with one of its own, it does not look for proxies itself
            timeout=httpx.Timeout(None, connect=min(timeout, CONNECT)),
        )

    def _transport(self) -> httpx.AsyncHTTPTransport:
        proxy, limits = self._proxy, httpx.Limits(max_connections=None)
        try:
            return httpx.AsyncHTTPTransport(limits=limits, proxy=proxy)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            kind = (proxy or "").partition("://")[0]
            need = ": pip install 'httpx[socks]'" if isinstance(error, ImportError) else ""
            host = httpx.URL(self.url).host
        raise EngineError(
            f"the server at {self.url} cannot be asked through the environment's proxy, of the "
            f"kind {kind!r}{need} (or name {host} in NO_PROXY, to ask it directly)"
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, path: str, most: int, retries: int, body: Any = None) -> Any:
        """The JSON of at most so many bytes that the server answers at `path` below its address.

        With a `body` it is posted there. A busy, failing or absent server is asked again, with
        growing pauses. Raises Away, Refused.
        """
        place = httpx.URL(self.url + path) if path.startswith("/") else httpx.URL(path)
        clock = asyncio.get_running_loop().time
        end = clock() + self._timeout
        asked: float | None = None  # the pause that the server asks for
        for attempt in range(retries + 1):
            try:
                return await asyncio.wait_for(self._once(place, most, body), end - clock())
            except asyncio.TimeoutError:
                said = late(self.url, self._timeout)
                break
            except _Trouble as trouble:
                said, asked = str(trouble), trouble.pause
                pause = asked or FIRST * 2**attempt * random.uniform(0.75, 1)
            if attempt == retries or clock() + pause >= end:
                break
            await asyncio.sleep(pause)
        raise Away(said, asked)

    async def _once(self, place: httpx.URL, most: int, body: Any) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = self._http.build_request(
            "GET" if body is None else "POST", place, content=content
        )
        through = " through the environment's proxy" if self._proxy else ""
        absent = f"the server at {self.url} cannot be reached{through} (start it; {AGAIN})"
        for _ in range(REDIRECTS):
            try:
                answer = await self._http.send(request, stream=True)
                try:
                    raw = await self._read(answer, most)
                finally:
                    await answer.aclose()
            except httpx.ConnectTimeout:  # it would not be there the next time either
                raise Away(absent) from None
            except httpx.TransportError:
                raise _Trouble(absent) from None
            except (httpx.DecodingError, httpx.InvalidURL):
                raise Refused(f"the server at {self.url} answers what nobody can read") from None
            if answer.next_request is None:
                return self._data(answer, raw)
            request = self._sent_on(answer.next_request)
        raise Refused(
            f"the server at {self.url} sends the request on and on (is the address right?)"
        )

    def _sent_on(self, request: httpx.Request) -> httpx.Request:
        """A request that the server sends on to another place of its own; raises Refused."""
        here = httpx.URL(self.url)
        there = request.url
        if (there.scheme, there.host, there.port) != (here.scheme, here.host, here.port):
            origin = f"{there.scheme}://{there.netloc.decode('ascii', 'replace')}"
            raise Refused(
                f"the server at {self.url} sends the request on to {origin}, where it is not sent "
                "(name that address if it is meant)"
            )
        return request

    async def _read(self, answer: httpx.Response, most: int) -> bytes:
        """The answer's bytes, no more than `most`; a refusal is cut there."""
        raw = bytearray()
        async for part in answer.aiter_bytes():
            raw += part
            if len(raw) > most and answer.is_success:
                raise Refused(
                    f"the server at {self.url} answers with more than {most:,} bytes, and what was "
                    "asked for cannot be that long"
                )
            if len(raw) > most:
                break
        return bytes(raw[:most])

    def _data(self, answer: httpx.Response, raw: bytes) -> Any:
        """What an answer holds as JSON; raises Refused, and _Trouble where it is worth a retry."""
        text = raw.decode("utf-8", "replace")  # half a character must not cost the whole answer
        data: Any = None
        try:
            data = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError):
            if answer.is_success:
                raise Refused(
                    f"the server at {self.url} answered with broken JSON (is the address right?)"
                ) from None
        if answer.is_success:
            return data
        code, said = answer.status_code, self._words(data, text)
        if code in (401, 403):
            raise Refused(
                f"the server at {self.url} refuses the API key (HTTP {code}; put the right one "
                "into the environment as LTF_API_KEY)"
            )
        if code in (408, 429) or code >= 500:
            why = f"the server at {self.url} keeps failing (HTTP {code}{said}; {AGAIN})"
            raise _Trouble(why, _pause(answer.headers))
        raise Refused(f"the server at {self.url} refuses the request (HTTP {code}{said})")

    def _words(self, said: Any, text: str) -> str:
        """What the server said, on one line, without the key."""
        if said is None:
            said = text
        while isinstance(said, dict):
            said = next((said[k] for k in ("error", "message", "detail") if said.get(k)), "")
        words = " ".join(str(said or "")[: 100 * WORDS].split())
        if self._key:
            words = words.replace(self._key, "…")
        words = "".join(c if c.isprintable() else "\ufffd" for c in words[:WORDS])
        return f": {words}" if words else ""


def late(url: str, seconds: float) -> str:
    """The sentence about a server that did not answer in time."""
    return (
        f"the server at {url} did not answer within {seconds:g} seconds (give it less to do at "
        f"once; {AGAIN})"
    )


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _pause(headers: httpx.Headers) -> float | None:
    """The seconds that a busy server asks to wait."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            asked = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if asked > 0:
            return min(asked, LONGEST)
    return None

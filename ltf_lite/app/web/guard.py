"""What the app answers at all: its own pages and programs, and only what a part of it needs.

Gradio answers any page of this machine, whatever its port, and takes files from anybody. Its way to
take files is closed: the one that is open is a route of the app, and wants the token of its page.
A browser tells in `Sec-Fetch-Site`, or at least in `Origin`, which page a request comes from, and
no page can change what it tells. So a page of somewhere else can be refused without a token: it can
neither start a training nor read what is here. Programs send neither header, and are answered.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/gradio_api/"
UPLOAD = "/tasks/upload"  # files of questions, a route of the app
# What may be posted: events of the page, and the same by name; no files, no calls of components.
POSTED = re.compile(rf"{API}(queue/join|call/.*|run/.*|api/.*|cancel|reset)/?")
CLOSED = re.compile(rf"{API}(upload|stream|proxy=|component_server|vibe|dev/).*")
DIRECT = re.compile(rf"{API}(run|api)/.*")  # answered at once, in one piece
STREAM = re.compile(rf"{API}(heartbeat/.*|queue/data|call/.+/.+)")  # stays open
STREAMS = 128  # open at once: a page has one, and one more while it waits for an answer


class Guard:
    """Refuses what no page and no user of the app asks for, before anything else is done."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        method, path = scope["method"], scope["path"]
        answer: Response | None = None
        if is_foreign(method, Headers(scope=scope)):
            answer = PlainTextResponse("This app answers its own pages alone.\n", 403)
        elif CLOSED.fullmatch(path) or not is_open(method, path):
            answer = PlainTextResponse("There is nothing here.\n", 404)
        elif not STREAM.fullmatch(path) or not is_read(method):
            told = _refused(scope, receive, send) if DIRECT.fullmatch(path) else send
            return await self.app(scope, receive, told)
        elif self._streams >= STREAMS:
            answer = PlainTextResponse("Too many pages are open.\n", 503, {"Retry-After": "5"})
        if answer is not None:
            return await answer(scope, receive, send)
        self._streams += 1
        try:
            return await self.app(scope, receive, send)
        finally:
            self._streams -= 1


def _refused(scope: Scope, receive: Receive, send: Send) -> Send:
    """Sends a sentence in place of an answer that something failed.

    What the app runs answers its own faults; gradio fails where the inputs are not the event's.
    """
    failed = False

    async def tell(message: Message) -> None:
        nonlocal failed
        if message["type"] == "http.response.start" and message["status"] == 500:
            failed = True
            said = "these are not the inputs of this function, in their number and kinds"
            await JSONResponse({"detail": said}, 422)(scope, receive, send)
        elif not failed:
            await send(message)

    return tell


def is_open(method: str, path: str) -> bool:
    """Whether a path may be read or written."""
    if path == UPLOAD:
        return method == "POST"
    return is_read(method) or POSTED.fullmatch(path) is not None


def is_read(method: str) -> bool:
    return method in ("GET", "HEAD", "OPTIONS")


def is_foreign(method: str, headers: Headers) -> bool:
    """Whether a request comes from a page of another place.

    To follow a link from there to here is no such request.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None:
        return origin is not None and urlsplit(origin).netloc != headers.get("host")
    if site in ("same-origin", "none"):
        return False
    where = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return method != "GET" or where != ("navigate", "document")


async def no_such_function(_: Request, error: Exception) -> Response:
    """Answers an event that the page does not have, which gradio looks up by its number or name."""
    return JSONResponse({"detail": "there is no such function"}, 404)

"""The route that takes a file of questions: bounded, with the token of a page of this app."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ltf_lite.app.web.desk import Desk, sentence
from ltf_lite.app.web.guard import UPLOAD
from ltf_lite.app.web.uploads import LARGEST, UploadError, keep

TOKEN = "x-ltf-token"
TOGETHER = 2  # files that may come at once
LATE = 300.0  # seconds that a file may take


def route(desk: Desk, token: str) -> Route:
    """POST of a file's bytes, its name in the query; the answer has its `name` or an `error`."""
    room = asyncio.Semaphore(TOGETHER)

    async def receive(request: Request) -> Response:
        if not secrets.compare_digest(request.headers.get(TOKEN, "").encode(), token.encode()):
            return _no(desk.say("upload.token"), 403)
        if int_of(request.headers.get("content-length")) > LARGEST:
            return _no(desk.say("upload.large", most=LARGEST >> 20), 413)
        if room.locked():
            return _no(desk.say("upload.busy"), 503)
        async with room:
            return await _kept(desk, request)

    return Route(UPLOAD, receive, methods=["POST"])


async def _kept(desk: Desk, request: Request) -> Response:
    told = request.query_params.get("name", "")
    try:
        name = await asyncio.wait_for(keep(desk.shelf.runs, told, _chunks(request)), LATE)
    except UploadError as error:
        code = 413 if error.word == "upload.large" else 400
        return _no(desk.say(error.word, **error.facts), code)
    except (asyncio.TimeoutError, ClientDisconnect):
        return _no(desk.say("upload.broken"), 400)
    except Exception as error:
        return _no(sentence(error, desk.say), 400)
    return JSONResponse({"name": name})


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


def _no(error: str, code: int) -> Response:
    return JSONResponse({"error": error}, code)


def int_of(told: str | None) -> int:
    """A header's number; 0 where it has none."""
    return int(told) if told and told.isdecimal() and len(told) < 20 else 0

"""A password for whoever reaches the app from another machine: HTTP's own, asked by the browser."""

from __future__ import annotations

import base64
import os
import secrets

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

USER, VARIABLE = "ltf", "LTF_APP_PASSWORD"
OPEN = "/gradio_api/startup-events"  # by which the server asks itself whether it is up
REFUSED = 1008  # a socket's code for what a policy forbids
WRONG = {"WWW-Authenticate": 'Basic realm="ltf_lite", charset="UTF-8"'}


def chosen() -> str:
    """The password of the environment, or a new one."""
    return os.environ.get(VARIABLE) or secrets.token_urlsafe(9)


class Password:
    """Answers nothing, neither page nor file nor event, to who does not name user and password."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self.app = app
        self._wanted = b"Basic " + base64.b64encode(f"{USER}:{password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] != OPEN:
            told = Headers(scope=scope).get("authorization", "").encode()
            if not secrets.compare_digest(told, self._wanted):
                if scope["type"] == "websocket":
                    return await send({"type": "websocket.close", "code": REFUSED})
                answer = PlainTextResponse("This app wants its password.\n", 401, WRONG)
                return await answer(scope, receive, send)
        return await self.app(scope, receive, send)

"""llama-cpp-python's own server with a tuned model: our routes before its own, its defaults ours.

A tuned model is asked greedily, without a penalty on repetition (its numbers do repeat), and with
the prompt that it learnt. What a request says itself is kept.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from llama_cpp import llama_chat_format as formats
from llama_cpp.server import app as theirs
from llama_cpp.server.errors import RouteErrorHandler
from llama_cpp.server.settings import ModelSettings, ServerSettings
from llama_cpp.server.types import CreateChatCompletionRequest, CreateCompletionRequest

from ltf_lite.app.server import HOST
from ltf_lite.app.server.learnt import Learnt, learnt
from ltf_lite.core.errors import UsageError, why
from ltf_lite.core.threads import threads
from ltf_lite.engines.llama.model import opened_safely, silence
from ltf_lite.tasks import TaskError

FORMAT = "ltf"  # the name of our chat format
GREEDY = {"temperature": 0.0, "repeat_penalty": 1.0}
GRACE = 2  # seconds that an answer has to end by itself when the server is stopped


class _Told:
    """Settings that are not read from the environment as well."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: Any, init_settings: Any, *_: Any, **__: Any
    ) -> Any:
        return (init_settings,)


class _ToldModel(_Told, ModelSettings):
    """What the model is opened with."""


class _ToldServer(_Told, ServerSettings):
    """Where the server listens."""


def run(model: str, port: int) -> None:
    """Serve until interrupted; raises UsageError, EngineError."""
    with listening(port) as place:
        asked = learnt(model)
        server = uvicorn.Server(
            uvicorn.Config(application(asked), log_level="warning", timeout_graceful_shutdown=GRACE)
        )
        place.listen()  # who reads the next line and asks at once is waited for
        about = f", {asked.task.name} in the dialect {asked.dialect.name}" if asked.task else ""
        print(
            f"{asked.file}{about} is at http://{HOST}:{port}/v1 for this machine alone; "
            "Ctrl+C ends it.",
            flush=True,
        )
        try:
            server.run(sockets=[place])
        finally:
            close()


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A port of this machine, held before the model takes its time to load; raises UsageError."""
    place = socket.socket()
    try:
        if os.name != "nt":  # else a server that was just stopped still has it
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((HOST, port))
        yield place
    except OSError as error:
        if place.getsockname()[1] == port:
            raise
        raise UsageError(
            f"cannot listen at port {port}: {why(error)}; name another with --port"
        ) from error
    finally:
        place.close()


def application(asked: Learnt) -> FastAPI:
    """Their application, the model loaded, with our two routes first."""
    os.environ.pop("CONFIG_FILE", None)  # would be taken in place of what is told here
    silence()
    if asked.task:
        registry = formats.LlamaChatCompletionHandlerRegistry()
        registry.register_chat_completion_handler(FORMAT, _handler(asked), overwrite=True)
    settings = _ToldModel(
        model=str(asked.file),
        model_alias=asked.name,
        n_ctx=asked.context,
        n_threads=threads(),
        n_threads_batch=threads(),
        logits_all=False,  # would hold the logits of a whole context
        chat_format=FORMAT if asked.task else None,
        verbose=False,
    )
    with opened_safely(asked.file):
        app = theirs.create_app(server_settings=_ToldServer(host=HOST), model_settings=[settings])
    app.router.routes[:0] = _routes(asked).routes
    return app


def close() -> None:
    """Give the model back: llama.cpp's memory must not outlive what it calls in Python."""
    if theirs._llama_proxy is not None:
        theirs._llama_proxy.free()
        theirs._llama_proxy = None


def _handler(asked: Learnt) -> Any:
    """A chat's only message is all that the model reads."""

    def rendered(*, messages: Any, **_: Any) -> formats.ChatFormatterResponse:
        return formats.ChatFormatterResponse(
            prompt=messages[-1]["content"],
            stop=asked.stop,
            added_special=not asked.begins,
        )

    return formats.chat_formatter_to_chat_completion_handler(rendered)


def _routes(asked: Learnt) -> APIRouter:
    """The routes that ask as it was learnt, and then go on as theirs."""
    router = APIRouter(route_class=RouteErrorHandler)

    @router.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request, body: CreateChatCompletionRequest) -> Any:
        room = None
        if asked.task:
            try:
                prompt, room = asked.asked(body.messages)  # type: ignore[arg-type]
            except TaskError as error:
                return refused(str(error))
            body.messages = [{"role": "user", "content": prompt}]
        leave(body, **GREEDY, max_tokens=room)
        return await theirs.create_chat_completion(request, body)

    @router.post("/v1/completions", response_model=None)
    async def completion(request: Request, body: CreateCompletionRequest) -> Any:
        leave(body, **GREEDY, max_tokens=None, stop=asked.stop)
        return await theirs.create_completion(request, body)

    return router


def leave(body: Any, **ours: Any) -> None:
    """Our values for what a request does not say."""
    for name, value in ours.items():
        if name not in body.model_fields_set:
            setattr(body, name, value)


def refused(message: str) -> JSONResponse:
    """A request that can't be answered, as OpenAI's server says it."""
    error = {"message": message, "type": "invalid_request_error", "param": "messages", "code": None}
    return JSONResponse({"error": error}, status_code=400)

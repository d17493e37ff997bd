"""The app: five tabs over the models and runs of one folder, on this machine alone."""

from __future__ import annotations

import gc
import json
import logging
import secrets
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from ltf_lite import presets
from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web import compare, failures, own, receive, runs, train
from ltf_lite.app.web.desk import Desk, answered
from ltf_lite.app.web.guard import Guard, no_such_function
from ltf_lite.app.web.shelf import Shelf, missing
from ltf_lite.app.web.uploads import LARGEST
from ltf_lite.app.web.words import speaker
from ltf_lite.core.errors import UsageError
from ltf_lite.core.network import no_proxy_here
from ltf_lite.engines.dialect import dialect as dialect_of

HERE = "127.0.0.1"
QUEUE = 64  # requests that may wait
# A page elsewhere may name this address as its own and have a browser here talk to the app.
ONLY_HERE = Middleware(TrustedHostMiddleware, allowed_hosts=[HERE, "localhost"])
NO_FUNCTION = (KeyError, FnIndexInferError)  # what gradio raises for one that it does not have
STATIC = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
# A report is one file with its styles and pictures in it; no script of it runs, nothing is loaded.
PAGE = {
    **STATIC,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'",
}


def build(desk: Desk) -> gr.Blocks:
    """The page."""
    say = desk.say
    with gr.Blocks(title="ltf_lite", analytics_enabled=False) as page:
        gr.Markdown(f"# {say('title')}\n{say('subtitle')}")
        names = ("compare", "own", "runs", "train", "failures")
        with gr.Tabs() as all_tabs:
            tabs = {
                name: gr.Tab(say(f"tab.{name}"), id=name, elem_id=f"tab-{name}") for name in names
            }
        others = {name: [tabs[other] for other in names if other != name] for name in names}
        with tabs["compare"]:
            compare.tab(desk, page, tabs["compare"])
        with tabs["own"]:
            mine = own.tab(desk, page, tabs["own"], others["own"])
        with tabs["runs"]:
            runs.tab(desk, tabs["runs"])
        with tabs["train"]:
            preset = train.tab(desk, tabs["train"], others["train"])
        with tabs["failures"]:
            failures.tab(desk, tabs["failures"])
        mine.go_on.click(
            answered(_to_train(desk), lambda note: (gr.skip(), gr.skip(), note), say),
            mine.task,
            [all_tabs, preset, mine.told],
            api_visibility="private",
        )
    return page.queue(max_size=QUEUE)


def _to_train(desk: Desk) -> Callable[[Any], Any]:
    def to_train(key: Any) -> Any:
        """Write the preset of a pilot and open the tab Train with it."""
        name = own.preset_for(desk, key)
        there = list(presets.available())
        return gr.Tabs(selected="train"), gr.update(choices=there, value=name), ""

    return to_train


def _text(name: str) -> str:
    return (files("ltf_lite.app.web") / name).read_text(encoding="utf-8")


def _head(language: str, token: str) -> str:
    """The script of the page, which knows the token that an upload needs."""
    facts = {"ltfToken": token, "ltfLargest": LARGEST}
    known = "".join(f"window.{name} = {json.dumps(value)};\n" for name, value in facts.items())
    lang = f'document.documentElement.lang = "{language}";\n'
    return f"<script>{lang}{known}{_text('page.js')}</script>"


def download(find: Callable[[str, str], Path], shown: str = "") -> Callable[[Request], Any]:
    """Answers RUN/NAME with the file that the shelf lists under them, and with nothing else.

    The file named `shown` is a page to look at and not to keep.
    """

    async def answer(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params.get("name", shown)
        try:
            file = find(run, name)
        except UsageError as error:
            return PlainTextResponse(str(error), 404)
        if name == shown:
            return FileResponse(file, headers=PAGE)
        return FileResponse(file, filename=file.name, headers=STATIC)

    return answer


def routes(shelf: Shelf) -> list[Route]:
    """What can be had besides the page: a run's GGUF files, its report, and the report's CSV."""
    return [
        Route("/gguf/{run}/{name}", download(shelf.gguf)),
        Route("/report/{run}", download(shelf.report, "index.html")),
        Route("/report/{run}/{name}", download(shelf.report, "index.html")),
    ]


def warm(desk: Desk) -> None:
    """Open what is chosen first, so that the first comparison need not wait for it."""
    for model in desk.shelf.first():
        try:
            with desk.pool.borrow(model.opens):
                pass
        except Exception as error:  # whoever compares with it is told
            logging.getLogger("ltf_lite.app").info("not opened: %s", error)


def open_app(
    folder: Path,
    given: tuple[str, ...] = (),
    host: str = HERE,
    port: int | None = None,
    share: bool = False,
    language: str = "en",
    dialect: str | None = None,
) -> None:
    """Serve the app until it is interrupted; raises UsageError for what can't be served.

    Without a `port` the first free one from 7860 on is taken. The `given` models are asked in the
    `dialect`, without one in what they tell.
    """
    if lost := missing(given):
        raise UsageError(lost)
    open_to_others = host != HERE or share
    shelf = Shelf(folder, given)
    asked = {model.opens: dialect_of(dialect) for model in shelf.named()} if dialect else {}
    desk = Desk(shelf, Pool(dialects=asked), speaker(language))
    page = build(desk)
    gc.freeze()  # what is imported stays; to go through it again stops every answer for a second
    token = secrets.token_urlsafe(32)
    head = _head(language, token)
    try:
        with no_proxy_here(share):
            _, address, public = page.launch(
                server_name=host,
                server_port=port,
                share=share,
                quiet=True,
                prevent_thread_lock=True,
                footer_links=[],
                head=head,
                ssr_mode=False,
                pwa=False,
                enable_monitoring=False,
                css=_text("style.css"),
                theme=gr.themes.Default(primary_hue="emerald", neutral_hue="slate"),
                app_kwargs={
                    "routes": [*routes(shelf), receive.route(desk, token)],
                    "middleware": [*([] if open_to_others else [ONLY_HERE]), Middleware(Guard)],
                    "exception_handlers": dict.fromkeys(NO_FUNCTION, no_such_function),
                },
            )
    except OSError as error:
        raise UsageError(f"the app can't listen on {host}:{port or '7860..'}: {error}") from error
    reach = "whoever can reach it" if open_to_others else "this machine alone"
    print(f"ltf_lite is at {address} for {reach}; Ctrl+C ends it.", flush=True)
    if public:
        print(f"Anyone can use it at {public}", flush=True)
    threading.Thread(target=warm, args=(desk,), daemon=True).start()
    try:
        page.block_thread()
    finally:
        desk.pool.close()

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

from ltf_lite import presets
from ltf_lite.app.answer.demo import PRESET
from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web import (
    banner,
    compare,
    examples,
    failures,
    own,
    password,
    receive,
    runs,
    served,
    train,
)
from ltf_lite.app.web.asked import Form, begins
from ltf_lite.app.web.desk import QUIET, SIGNED, Desk, answered
from ltf_lite.app.web.file import LARGEST as PROBLEM_BYTES
from ltf_lite.app.web.form import FIRST
from ltf_lite.app.web.guard import Guard, no_such_function
from ltf_lite.app.web.shelf import Shelf, missing
from ltf_lite.app.web.uploads import LARGEST
from ltf_lite.app.web.words import LANGUAGES, Say, speaker
from ltf_lite.core.errors import UsageError
from ltf_lite.core.network import no_proxy_here
from ltf_lite.core.text import escape
from ltf_lite.engines.dialect import dialect as dialect_of
from ltf_lite.pipeline.run import jobs

HERE = "127.0.0.1"
QUEUE = 64  # requests that may wait
TABS = ("compare", "own", "runs", "train", "failures")
PLACE = ("run", "task", "problem")  # what the address names besides the tab
# A page elsewhere may name this address as its own and have a browser here talk to the app.
ONLY_HERE = Middleware(TrustedHostMiddleware, allowed_hosts=[HERE, "localhost"])
NO_FUNCTION = (KeyError, FnIndexInferError)  # what gradio raises for one that it does not have


def build(desk: Desk) -> gr.Blocks:
    """The page, and the same in every other language at an address of its own."""
    with gr.Blocks(title="ltf_lite", analytics_enabled=False) as page:
        gr.Navbar(visible=False)
        lay_out(desk, page)
    for language in LANGUAGES:
        if language != desk.say.language:
            with page.route(language, f"/{language}", show_in_navbar=False):
                lay_out(desk.speaking(speaker(language)), page)
    return page.queue(max_size=QUEUE)


def lay_out(desk: Desk, page: gr.Blocks) -> None:
    """One language's page: the head, what is under way, the tabs."""
    say = desk.say
    gr.HTML(_top(desk), elem_id="top", padding=False)
    banner.lay_out(desk, page)
    place = [gr.Textbox(visible=False) for _ in PLACE]
    with gr.Tabs(elem_id="tabs") as all_tabs:
        tabs = {name: gr.Tab(say(f"tab.{name}"), id=name, elem_id=f"tab-{name}") for name in TABS}
    others = {name: [tabs[other] for other in TABS if other != name] for name in TABS}
    with tabs["compare"]:
        first_train, first_told = compare.tab(desk, page, tabs["compare"], place)
    with tabs["own"]:
        mine = own.tab(desk, page, tabs["own"], others["own"])
    with tabs["runs"]:
        run = runs.tab(desk, tabs["runs"])
    with tabs["train"]:
        preset = train.tab(desk, tabs["train"], others["train"])
    with tabs["failures"]:
        failed = failures.tab(desk, tabs["failures"])
    page.load(
        _placed(desk), place[0], [run, failed, preset], js="() => window.ltfPlace()[0]", **QUIET
    ).then(None, None, None, js="() => window.ltfTab()", **QUIET)
    token = gr.Textbox(visible=False)
    for button, work, asked, told in (
        (mine.go_on, _to_train, [mine.task], mine.told),
        (first_train, _train_first, [], first_told),
    ):
        button.click(
            answered(desk.signed(work(desk)), lambda note: (gr.skip(), gr.skip(), note), say),
            [*asked, token],
            [all_tabs, preset, told],
            js=SIGNED,
            api_visibility="private",
        )


def _placed(desk: Desk) -> Callable[[Any], Any]:
    def placed(name: Any) -> Any:
        """The run that the address names, chosen on every tab that has it."""
        there = list(desk.shelf.run_folders())
        run = gr.update(choices=there, value=name) if name in there else gr.skip()
        known = list(presets.choices())
        return run, run, gr.update(choices=known, value=name) if name in known else gr.skip()

    return placed


def _top(desk: Desk) -> str:
    """The name, what it is for in a sentence, and the other languages."""
    say, own = desk.say, desk.say.language
    links = "".join(
        f'<a href="{"./" if desk.public is False and code == desk.home else code}" '
        f'lang="{code}" hreflang="{code}">{escape(_own_name(speaker(code)))}</a>'
        for code in LANGUAGES
        if code != own
    )
    return (
        f'<header class="ltf-top"><h1>ltf_lite</h1><p>{escape(say("subtitle"))}</p>'
        f'<nav class="ltf-languages" aria-label="{escape(say("languages"))}">{links}</nav></header>'
    )


def _own_name(say: Say) -> str:
    return say("language")


def _to_train(desk: Desk) -> Callable[[Any], Any]:
    def to_train(key: Any) -> Any:
        """Write the preset of a pilot and open the tab Train with it."""
        name = own.preset_for(desk, key)
        there = list(presets.choices())
        return gr.Tabs(selected="train"), gr.update(choices=there, value=name), ""

    return to_train


def _train_first(desk: Desk) -> Callable[[], Any]:
    def train_first() -> Any:
        """Start the training of the example and open the tab Train with it."""
        jobs.start(PRESET, desk.shelf.runs)
        return gr.Tabs(selected="train"), PRESET, ""

    return train_first


def _theme() -> gr.themes.Base:
    """Colours of which each text has 4.5 : 1 on its ground, light and dark."""
    green, red, white = "#0b6e4f", "#b3261e", "#ffffff"
    theme = gr.themes.Default(primary_hue="emerald", neutral_hue="slate")
    for mode in ("", "_dark"):
        theme.set(
            **{
                f"button_primary_background_fill{mode}": green,
                f"button_primary_background_fill_hover{mode}": "#095c42",
                f"button_primary_text_color{mode}": white,
                f"button_cancel_background_fill{mode}": red,
                f"button_cancel_background_fill_hover{mode}": "#8f1e18",
                f"button_cancel_text_color{mode}": white,
            }
        )
    return theme.set(
        body_text_color_subdued="#5b6470",
        body_text_color_subdued_dark="#a4acb8",
        block_info_text_color="#5b6470",
        block_info_text_color_dark="#a4acb8",
    )


def _text(name: str) -> str:
    return (files("ltf_lite.app.web") / name).read_text(encoding="utf-8")


def _head(language: str, token: str) -> str:
    """The script of the page, which knows the token that an upload needs."""
    facts = {
        "ltfToken": token,
        "ltfLargest": LARGEST,
        "ltfProblemBytes": PROBLEM_BYTES,
        "ltfHome": language,
        "ltfLanguages": list(LANGUAGES),
    }
    known = "".join(f"window.{name} = {json.dumps(value)};\n" for name, value in facts.items())
    return f"<script>{known}{_text('page.js')}</script>"


def warm(desk: Desk) -> None:
    """Open what is chosen first, and answer the first example, so that a page shows its answers."""
    try:
        tuned, base = desk.shelf.first()
        examples.measure(desk, tuned)
        for key, problem in examples.examples_for(desk, tuned)[:1]:
            form = Form(key, problem.text, tuned.name, base.name, FIRST, **begins(), seed=0)
            for _ in compare.compared(desk, form, problem, threading.Event()):
                pass
    except Exception as error:  # whoever compares is told
        logging.getLogger("ltf_lite.app").info("no example: %s", error)
    finally:
        desk.warm.set()


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
    token = secrets.token_urlsafe(32)
    desk = Desk(shelf, Pool(dialects=asked), speaker(language), home=language, token=token)
    page = build(desk)
    gc.freeze()  # what is imported stays; to go through it again stops every answer for a second
    secret = password.chosen() if open_to_others else ""
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
                theme=_theme(),
                app_kwargs={
                    "routes": [*served.routes(shelf, language), receive.route(desk, token)],
                    "middleware": [
                        Middleware(password.Password, password=secret) if secret else ONLY_HERE,
                        Middleware(Guard),
                    ],
                    "exception_handlers": dict.fromkeys(NO_FUNCTION, no_such_function),
                },
            )
    except OSError as error:
        raise UsageError(f"the app can't listen on {host}:{port or '7860..'}: {error}") from error
    reach = "whoever has the password" if open_to_others else "this machine alone"
    print(f"ltf_lite is at {address} for {reach}; Ctrl+C ends it.", flush=True)
    if secret:
        print(f"User {password.USER}, password {secret} ({password.VARIABLE} sets it)", flush=True)
    if public:
        print(f"With the password it can be used at {public}", flush=True)
    threading.Thread(target=warm, args=(desk,), daemon=True).start()
    try:
        page.block_thread()
    finally:
        desk.pool.close()

"""The Compare tab: one problem, answered in a single pass and by search, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ltf_lite import live
from ltf_lite.report import figures
from ltf_lite.tasks import TASKS
from ltf_lite.ui import cards
from ltf_lite.ui.asked import (
    HAS,
    LONGEST,
    MOST_PROBLEMS,
    SEARCHES,
    SLIDERS,
    Form,
    batch_of,
    drawn,
    problem_of,
    sides_of,
    task_of,
)
from ltf_lite.ui.desk import Desk, answered, choice, streamed, who

EXAMPLES = [["countdown", "44 41 4 23", "66"], ["countdown", "7 12 20 31", "46"],
            ["countdown", "25 5 5 33", "27"], ["game24", "3 3 8 8", "24"]]  # fmt: skip
DRAWN_EVERY = 0.5  # seconds between two pictures of a batch
WAITING = 16  # comparisons that gradio lets go on at once; they take turns at the models


def tab(desk: Desk, page: gr.Blocks) -> None:
    """Lay the tab out and connect it."""
    say = desk.say
    gr.Markdown(say("compare.intro"))
    form, draw, lists = _form(desk)
    with gr.Row(elem_classes="ltf-buttons"):
        button = gr.Button(say("compare.button"), variant="primary", elem_id="compare")
        stop = gr.Button(say("stop"), variant="stop", elem_id="stop", interactive=False)
    told = gr.HTML(elem_id="notice")
    ratio = gr.HTML(elem_id="ratio")
    with gr.Row():
        with gr.Column(min_width=320, scale=5):
            single = gr.HTML(
                cards.empty(say("single.title"), say("single.empty")), elem_id="single"
            )
        with gr.Column(min_width=320, scale=8):
            search = gr.HTML(
                cards.empty(say("search.title"), say("search.empty")), elem_id="search"
            )
    with gr.Accordion(say("batch.title"), open=False, elem_id="batch-box"):
        gr.Markdown(say("batch.intro"))
        with gr.Row():
            count = gr.Slider(1, MOST_PROBLEMS, 20, step=1, label=say("batch.count"),
                              elem_id="count")  # fmt: skip
            many = gr.Button(say("batch.button"), elem_id="batch")
            halt = gr.Button(say("stop"), variant="stop", elem_id="batch-stop", interactive=False)
        asked = gr.HTML(elem_id="batch-notice")
        plot = gr.HTML(elem_id="plot")
        table = gr.Markdown(elem_id="batch-text")
    inputs, buttons = list(form), [button, stop, many, halt]

    page.load(lambda: _models(desk), None, lists, queue=False, api_visibility="private")
    drawn = answered(lambda note: (gr.skip(), gr.skip(), note), say)(_draw(desk))
    draw.click(drawn, inputs, [form.numbers, form.target, told], queue=False,
               api_visibility="private")  # fmt: skip
    gr.on([form.numbers.blur, form.target.blur], answered(lambda note: note, say)(_check(desk)),
          inputs, told, queue=False, api_visibility="private")  # fmt: skip
    begin = _begin(desk)
    gr.on([button.click, form.numbers.submit, form.target.submit], begin, None, buttons,
          queue=False, api_visibility="private").then(
        streamed(lambda note: (note, "", gr.skip(), gr.skip(), *_ended()), say)(_run(desk)),
        inputs, [told, ratio, single, search, *buttons], concurrency_limit=WAITING,
        api_name="compare", show_progress="hidden")  # fmt: skip
    many.click(begin, None, buttons, queue=False, api_visibility="private").then(
        streamed(lambda note: (note, gr.skip(), gr.skip(), *_ended()), say)(_batch(desk)),
        [*inputs, count],
        [asked, plot, table, *buttons], concurrency_limit=WAITING, api_name="batch",
        show_progress="hidden")  # fmt: skip
    for one in (stop, halt):
        one.click(_stop(desk), queue=False, api_visibility="private")
    page.unload(_stop(desk))


def _form(desk: Desk) -> tuple[Form, gr.Button, list[gr.Dropdown]]:
    """The inputs, the button that draws a problem, and the lists of models."""
    say, names = desk.say, _names(desk)
    with gr.Row():
        task = choice(list(TASKS), value="countdown", label=say("task"), elem_id="task",
                      min_width=140)  # fmt: skip
        numbers = gr.Textbox(EXAMPLES[0][1], label=say("numbers"), elem_id="numbers",
                             max_length=LONGEST, min_width=200, scale=2)  # fmt: skip
        target = gr.Textbox(EXAMPLES[0][2], label=say("target"), elem_id="target", max_length=9,
                            min_width=90)  # fmt: skip
        draw = gr.Button(say("draw"), elem_id="draw", min_width=140)
    with gr.Row(elem_classes="ltf-examples", elem_id="examples"):
        for name, typed, aim in EXAMPLES:
            example = gr.Button(say("example", task=name, numbers=typed, target=aim), size="sm")
            example.click(lambda *this: this, [gr.State(name), gr.State(typed), gr.State(aim)],
                          [task, numbers, target], queue=False, api_visibility="private",
                          show_progress="hidden")  # fmt: skip
    with gr.Row():
        single = choice(
            names, value=names[0], label=say("single.model"), elem_id="single-model", min_width=240
        )
        search = choice(
            names, value=names[-1], label=say("search.model"), elem_id="search-model", min_width=240
        )
        way = choice([(say(f"way.{name}"), name) for name in SEARCHES], value="tot",
                     label=say("search.way"), elem_id="way", min_width=240)  # fmt: skip
    sliders = {}
    with gr.Row():
        for name, (low, high, first) in SLIDERS.items():
            sliders[name] = gr.Slider(
                low, high, first, step=100 if name == "budget" else 1, label=say(f"slider.{name}"),
                elem_id=name, visible=name in HAS["tot"], min_width=180,
            )  # fmt: skip
        seed = gr.Number(0, label=say("seed"), elem_id="seed", precision=0, min_width=110)
    way.change(
        lambda chosen: [gr.update(visible=name in HAS.get(chosen, ())) for name in SLIDERS],
        way, list(sliders.values()), queue=False, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    return (
        Form(task, numbers, target, single, search, way, **sliders, seed=seed),
        draw,
        [single, search],
    )


def _names(desk: Desk) -> list[str]:
    return list(desk.shelf.models())


def _models(desk: Desk) -> list[Any]:
    """Fresh lists: a run may have finished since the page was made."""
    names = _names(desk)
    return [gr.update(choices=names, value=names[at]) for at in (0, -1)]


def _draw(desk: Desk):
    def draw(*values: Any):
        problem = drawn(desk, Form(*values))
        return " ".join(map(str, problem.numbers)), str(problem.target), ""

    return draw


def _check(desk: Desk):
    def check(*values: Any) -> str:
        """Say what is wrong with a typed problem before anything is started."""
        problem_of(desk, Form(*values))
        return ""

    return check


def _begin(desk: Desk):
    def begin(request: gr.Request):
        desk.tickets.begin(who(request))
        return [gr.update(interactive=on) for on in (False, True, False, True)]

    return begin


def _ended() -> list[Any]:
    return [gr.update(interactive=on) for on in (True, False, True, False)]


def _stop(desk: Desk):
    def stop(request: gr.Request) -> None:
        desk.tickets.stop(who(request))

    return stop


def _run(desk: Desk):
    def run(request: gr.Request, *values: Any) -> Iterator[tuple]:
        ticket = desk.tickets.of(who(request))
        try:
            form, kept = Form(*values), [gr.skip()] * 4
            problem, task = problem_of(desk, form), task_of(desk, form)
            sides = sides_of(desk, form)
            for single, search in live.compare(problem, task, *sides, desk.pool, ticket):
                yield "", *_shown(single, search, form, desk), *kept
            yield *[gr.skip()] * 4, *_ended()
        finally:
            desk.tickets.end(who(request), ticket)

    return run


def _shown(single: live.Snapshot, search: live.Snapshot, form: Form, desk: Desk) -> tuple:
    """(ratio, single pass, search) as HTML."""
    say = desk.say
    model = "" if form.way in ("dfs", "bfs", "random") else f" · {form.search}"
    return (
        cards.verdict_of_both(single, search, say),
        cards.pane(single, f"{say('single.title')} · {form.single}", say, False),
        cards.pane(search, say(f"way.{form.way}") + model, say, True),
    )


def _batch(desk: Desk):
    def batch(request: gr.Request, *values: Any) -> Iterator[tuple]:
        *rest, count = values
        ticket = desk.tickets.of(who(request))
        try:
            form, points, shown = Form(*rest), list[live.Point](), 0.0
            sides = sides_of(desk, form)
            problems, task = batch_of(desk, form, count), task_of(desk, form)
            yield "", "", desk.say("batch.waiting"), *[gr.skip()] * 4
            for point in live.batch(problems, task, *sides, desk.pool, ticket):
                points.append(point)
                if time.monotonic() - shown > DRAWN_EVERY:
                    yield "", *_plotted(points, desk), *[gr.skip()] * 4
                    shown = time.monotonic()
            yield "", *_plotted(points, desk), *_ended()
        finally:
            desk.tickets.end(who(request), ticket)

    return batch


def _plotted(points: list[live.Point], desk: Desk) -> tuple[str, str]:
    """The running plot, and where it stands as text."""
    if not points:
        return "", desk.say("batch.none")
    words = cards.words_of("figure", figures.WORDS, desk.say)
    drawn = figures.batch_figure(points, words)
    return cards.figure(drawn, desk.say("batch.title")), figures.batch_table(points)

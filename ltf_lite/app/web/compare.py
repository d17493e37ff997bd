"""The Compare tab: one problem, answered in a single pass and by search, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.answer import live
from ltf_lite.app.web import cards
from ltf_lite.app.web.asked import (
    MOST_PROBLEMS,
    Form,
    asks_model,
    batch_of,
    drawn,
    problem_of,
    sides_of,
    task_of,
    title_of_way,
)
from ltf_lite.app.web.catalogue import choices
from ltf_lite.app.web.desk import Desk, answered, streamed, who
from ltf_lite.app.web.form import Inputs, field, form, models
from ltf_lite.report.figures.batch import batch_figure, batch_table
from ltf_lite.tasks import Problem, Task

DRAWN_EVERY = 0.5  # seconds between two pictures of a batch
WAITING = 16  # comparisons that gradio lets go on at once; they take turns at the models


class Batch(NamedTuple):
    """The part that compares on many problems."""

    size: gr.Slider
    start: gr.Button
    stop: gr.Button
    told: gr.HTML
    plot: gr.HTML
    table: gr.Markdown


def tab(desk: Desk, page: gr.Blocks, chosen: gr.Tab) -> None:
    """Lay the tab out and connect it."""
    say = desk.say
    gr.Markdown(say("compare.intro"))
    inputs = form(desk)
    with gr.Row(elem_classes="ltf-buttons"):
        start = gr.Button(say("compare.button"), variant="primary", elem_id="compare")
        stop = gr.Button(say("stop"), variant="stop", elem_id="stop", interactive=False)
    told, ratio = gr.HTML(elem_id="notice"), gr.HTML(elem_id="ratio")
    sides = []
    with gr.Row():
        for name, scale in (("single", 5), ("search", 8)):
            with gr.Column(min_width=320, scale=scale):
                nothing = cards.empty(say(f"{name}.title"), say(f"{name}.empty"))
                sides.append(gr.HTML(nothing, elem_id=name))
    batch = _batch_part(desk)
    gr.on(
        [page.load, chosen.select],
        lambda: gr.update(choices=choices(desk.shelf, say)),
        None,
        inputs.form.task,
        queue=False,
        api_visibility="private",
        show_progress="hidden",
    )
    _connect(desk, page, inputs, [start, stop], [told, ratio, *sides], batch)


def _connect(
    desk: Desk,
    page: gr.Blocks,
    inputs: Inputs,
    buttons: list[gr.Button],
    outputs: list[gr.HTML],
    batch: Batch,
) -> None:
    """What happens when: a click makes a ticket at once, and what it starts may then wait."""
    say, asked, fields = desk.say, inputs.form, list(inputs.form)
    told = outputs[0]
    every = [*buttons, batch.start, batch.stop]
    quiet: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    turns: dict[str, Any] = {"concurrency_limit": WAITING, "show_progress": "hidden"}

    def same(note: str, many: int) -> tuple:
        return note, *[gr.skip()] * many, *_ended()

    page.load(lambda: models(desk), None, inputs.models, **quiet)
    draw = answered(_draw(desk), lambda note: (gr.skip(), note), say)
    gr.on([inputs.draw.click, asked.task.input], draw, fields, [asked.problem, told], **quiet)
    check = answered(_check(desk), lambda note: note, say)
    asked.problem.blur(check, fields, told, **quiet)

    begin, run = _begin(desk), streamed(_run(desk), lambda note: same(note, 3), say)
    gr.on([buttons[0].click, asked.problem.submit], begin, None, every, **quiet).then(
        run, fields, [*outputs, *every], api_name="compare", **turns
    )
    many = streamed(_batch(desk), lambda note: same(note, 2), say)
    batch.start.click(begin, None, every, **quiet).then(
        many,
        [*fields, batch.size],
        [batch.told, batch.plot, batch.table, *every],
        api_name="batch",
        **turns,
    )
    for button in (buttons[1], batch.stop):
        button.click(_stop(desk), **quiet)
    page.unload(_leave(desk))


def _batch_part(desk: Desk) -> Batch:
    say = desk.say
    with gr.Accordion(say("batch.title"), open=False, elem_id="batch-box"):
        gr.Markdown(say("batch.intro"))
        with gr.Row():
            count = gr.Slider(
                1, MOST_PROBLEMS, 20, step=1, label=say("batch.count"), elem_id="count"
            )
            start = gr.Button(say("batch.button"), elem_id="batch")
            stop = gr.Button(say("stop"), variant="stop", elem_id="batch-stop", interactive=False)
        told, plot = gr.HTML(elem_id="batch-notice"), gr.HTML(elem_id="plot")
        return Batch(count, start, stop, told, plot, gr.Markdown(elem_id="batch-text"))


def _draw(desk: Desk):
    def draw(*values: Any):
        asked = Form(*values)
        return field(task_of(desk, asked), drawn(desk, asked).text), ""

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


def _leave(desk: Desk):
    def leave(request: gr.Request) -> None:
        desk.tickets.leave(who(request))

    return leave


def _run(desk: Desk):
    def run(request: gr.Request, *values: Any) -> Iterator[tuple]:
        ticket = desk.tickets.of(who(request))
        try:
            form, kept = Form(*values), [gr.skip()] * 4
            shown: tuple = (gr.skip(),) * 3
            problem, task = problem_of(desk, form), task_of(desk, form)
            sides = sides_of(desk, form, task)
            for single, search in live.compare(problem, task, *sides, desk.pool, ticket):
                shown = _shown(single, search, form, problem, task, desk)
                yield "", *shown, *kept
            yield "", *shown, *_ended()  # the last is the result of who asks by the API
        finally:
            desk.tickets.end(who(request), ticket)

    return run


def _shown(
    single: live.Snapshot,
    search: live.Snapshot,
    form: Form,
    problem: Problem,
    task: Task,
    desk: Desk,
) -> tuple[str, str, str]:
    """(ratio, single pass, search) as HTML."""
    say = desk.say
    model = f" · {form.search}" if asks_model(form.way) else ""
    own = f"{say('single.title')} · {form.single}"
    way = title_of_way(form.way, say) + model
    return (
        cards.verdict_of_both(single, search, say, task.spared),
        cards.pane(single, own, task, say),
        cards.pane(search, way, task, say, problem.text),
    )


def _batch(desk: Desk):
    def batch(request: gr.Request, *values: Any) -> Iterator[tuple]:
        *rest, count = values
        ticket = desk.tickets.of(who(request))
        try:
            form, points, shown = Form(*rest), list[live.Point](), 0.0
            task = task_of(desk, form)
            sides, problems = sides_of(desk, form, task), batch_of(desk, form, task, count)
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
    words = desk.say.picture("figure")
    drawn = batch_figure(points, words)
    return cards.figure(drawn, desk.say("batch.title")), batch_table(points)

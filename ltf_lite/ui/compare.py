"""The Compare tab: one problem, answered in a single pass and by search, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

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
from ltf_lite.ui.words import Say

EXAMPLES = [["countdown", "44 41 4 23", "66"], ["countdown", "7 12 20 31", "46"],
            ["countdown", "25 5 5 33", "27"], ["game24", "3 3 8 8", "24"]]  # fmt: skip
DRAWN_EVERY = 0.5  # seconds between two pictures of a batch
WAITING = 16  # comparisons that gradio lets go on at once; they take turns at the models


class Inputs(NamedTuple):
    """What a person sets and presses, and the lists of models among it."""

    form: Form
    draw: gr.Button
    models: list[gr.Dropdown]


class Batch(NamedTuple):
    """The part that compares on many problems."""

    size: gr.Slider
    start: gr.Button
    stop: gr.Button
    told: gr.HTML
    plot: gr.HTML
    table: gr.Markdown


def tab(desk: Desk, page: gr.Blocks) -> None:
    """Lay the tab out and connect it."""
    say = desk.say
    gr.Markdown(say("compare.intro"))
    inputs = _form(desk)
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
    _connect(desk, page, inputs, [start, stop], [told, ratio, *sides], batch)


def _connect(
    desk: Desk, page: gr.Blocks, inputs: Inputs, buttons: list[gr.Button], outputs: list[gr.HTML],
    batch: Batch,
) -> None:  # fmt: skip
    """What happens when: a click makes a ticket at once, and what it starts may then wait."""
    say, form, fields = desk.say, inputs.form, list(inputs.form)
    told, typed = outputs[0], [form.numbers, form.target]
    every = [*buttons, batch.start, batch.stop]
    quiet: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    turns: dict[str, Any] = {"concurrency_limit": WAITING, "show_progress": "hidden"}

    def same(note: str, many: int) -> tuple:
        return note, *[gr.skip()] * many, *_ended()

    page.load(lambda: _models(desk), None, inputs.models, **quiet)
    draw = answered(_draw(desk), lambda note: (gr.skip(), gr.skip(), note), say)
    inputs.draw.click(draw, fields, [*typed, told], **quiet)
    check = answered(_check(desk), lambda note: note, say)
    gr.on([field.blur for field in typed], check, fields, told, **quiet)

    begin, run = _begin(desk), streamed(_run(desk), lambda note: same(note, 3), say)
    gr.on([buttons[0].click, *(field.submit for field in typed)], begin, None, every, **quiet).then(
        run, fields, [*outputs, *every], api_name="compare", **turns
    )
    many = streamed(_batch(desk), lambda note: same(note, 2), say)
    batch.start.click(begin, None, every, **quiet).then(
        many, [*fields, batch.size], [batch.told, batch.plot, batch.table, *every],
        api_name="batch", **turns,
    )  # fmt: skip
    for button in (buttons[1], batch.stop):
        button.click(_stop(desk), **quiet)
    page.unload(_leave(desk))


def _batch_part(desk: Desk) -> Batch:
    say = desk.say
    with gr.Accordion(say("batch.title"), open=False, elem_id="batch-box"):
        gr.Markdown(say("batch.intro"))
        with gr.Row():
            count = gr.Slider(1, MOST_PROBLEMS, 20, step=1, label=say("batch.count"),
                              elem_id="count")  # fmt: skip
            start = gr.Button(say("batch.button"), elem_id="batch")
            stop = gr.Button(say("stop"), variant="stop", elem_id="batch-stop", interactive=False)
        told, plot = gr.HTML(elem_id="batch-notice"), gr.HTML(elem_id="plot")
        return Batch(count, start, stop, told, plot, gr.Markdown(elem_id="batch-text"))


def _form(desk: Desk) -> Inputs:
    """The inputs, from the problem to the settings of the search."""
    say = desk.say
    with gr.Row():
        task = choice(list(TASKS), value="countdown", label=say("task"), elem_id="task",
                      min_width=140)  # fmt: skip
        numbers = gr.Textbox(EXAMPLES[0][1], label=say("numbers"), elem_id="numbers",
                             max_length=LONGEST, min_width=200, scale=2)  # fmt: skip
        target = gr.Textbox(EXAMPLES[0][2], label=say("target"), elem_id="target", max_length=9,
                            min_width=90)  # fmt: skip
        draw = gr.Button(say("draw"), elem_id="draw", min_width=140)
    _examples(say, [task, numbers, target])
    with gr.Row():
        single, search = (
            choice(label=say(f"{side}.model"), elem_id=f"{side}-model", min_width=240, **found)
            for side, found in zip(("single", "search"), _chosen(desk), strict=True)
        )
        way = choice([(say(f"way.{name}"), name) for name in SEARCHES], value="tot",
                     label=say("search.way"), elem_id="way", min_width=240)  # fmt: skip
    settings = _settings(say, way)
    form = Form(task, numbers, target, single, search, way, **settings)
    return Inputs(form, draw, [single, search])


def _examples(say: Say, fields: list[Any]) -> None:
    """Problems that are a click away."""
    with gr.Row(elem_classes="ltf-examples", elem_id="examples"):
        for name, numbers, target in EXAMPLES:
            text = say("example", task=name, numbers=numbers, target=target)
            values = [gr.State(name), gr.State(numbers), gr.State(target)]
            gr.Button(text, size="sm").click(
                lambda *these: these, values, fields, queue=False, api_visibility="private",
                show_progress="hidden",
            )  # fmt: skip


def _settings(say: Say, way: gr.Dropdown) -> dict[str, Any]:
    """A slider for every setting, shown where the way of searching has it, and the seed."""
    sliders: dict[str, Any] = {}
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
    return {**sliders, "seed": seed}


def _chosen(desk: Desk) -> list[dict[str, Any]]:
    """Lists and first choices of the single pass's and the search's model: a tuned one, a base."""
    models = desk.shelf.models()
    base = next(name for name, model in models.items() if not model.tuned)
    return [{"choices": list(models), "value": name} for name in (next(iter(models)), base)]


def _models(desk: Desk) -> list[Any]:
    """Fresh lists: a run may have finished since the page was made."""
    return [gr.update(**found) for found in _chosen(desk)]


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


def _leave(desk: Desk):
    def leave(request: gr.Request) -> None:
        desk.tickets.leave(who(request))

    return leave


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

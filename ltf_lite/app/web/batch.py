"""The part of the Compare tab that compares on many problems."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.answer import live
from ltf_lite.app.web import cards, verdicts
from ltf_lite.app.web.asked import MOST_PROBLEMS, Form, batch_of, sides_of, task_of
from ltf_lite.app.web.desk import Desk, who
from ltf_lite.app.web.turns import ahead, ended, still
from ltf_lite.report.figures.batch import batch_figure, batch_table

DRAWN_EVERY = 0.5  # seconds between two pictures of a batch


class Batch(NamedTuple):
    """What stands there and is pressed or changed."""

    size: gr.Slider
    start: gr.Button
    stop: gr.Button
    told: gr.HTML
    plot: gr.HTML
    table: gr.Markdown


def batch_part(desk: Desk) -> Batch:
    """Lay it out."""
    say = desk.say
    with gr.Accordion(say("batch.title"), open=False, elem_id="batch-box"):
        gr.Markdown(say("batch.intro"))
        with gr.Row():
            count = gr.Slider(
                1, MOST_PROBLEMS, 20, step=1, label=say("batch.count"), elem_id="count"
            )
            start = gr.Button(say("batch.button"), elem_id="batch")
            stop = gr.Button(say("stop"), variant="stop", elem_id="batch-stop", visible=False)
        told, plot = gr.HTML(elem_id="batch-notice"), gr.HTML(elem_id="plot")
        return Batch(count, start, stop, told, plot, gr.Markdown(elem_id="batch-text"))


def run_batch(desk: Desk) -> Callable[..., Iterator[tuple]]:
    """Asks so many problems; what it yields are a notice, the plot, its text, the buttons."""

    def batch(request: gr.Request, *values: Any) -> Iterator[tuple]:
        *rest, count = values
        ticket = desk.tickets.of(who(request))
        try:
            form, points, shown = Form(*rest), list[live.Point](), 0.0
            task = task_of(desk, form)
            sides, problems = sides_of(desk, form, task), batch_of(desk, form, task, count)
            yield "", "", desk.say("batch.waiting"), *still()
            for point in live.batch(problems, task, *sides, desk.pool, ticket):
                if isinstance(point, int):
                    yield ahead(point, desk), gr.skip(), gr.skip(), *still()
                    continue
                points.append(point)
                if time.monotonic() - shown > DRAWN_EVERY:
                    yield "", *_plotted(points, desk), *still()
                    shown = time.monotonic()
            plot, table = _plotted(points, desk)
            yield "", _judged(points, desk) + plot, table, *ended()
        finally:
            desk.tickets.end(who(request), ticket)

    return batch


def _judged(points: list[live.Point], desk: Desk) -> str:
    """Which of the two solves more of these problems, if that can be told."""
    if not points:
        return ""
    single = _marks([point.single.solved for point in points])
    search = _marks([point.search.solved for point in points])
    return verdicts.html(verdicts.of_marks(single, search, desk.say), desk.say)


def _marks(solved: list[int]) -> list[bool]:
    """Whether each problem was solved, from how many had been solved after each."""
    return [now > before for before, now in pairwise([0, *solved])]


def _plotted(points: list[live.Point], desk: Desk) -> tuple[str, str]:
    """The running plot, and where it stands as text."""
    if not points:
        return "", desk.say("batch.none")
    words = desk.say.picture("figure")
    drawn = batch_figure(points, words)
    return cards.figure(drawn, desk.say("batch.title")), batch_table(points, desk.say.told)

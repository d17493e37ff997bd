"""The Compare tab: what a run came to, and one problem answered in three ways, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite import presets
from ltf_lite.app.answer import live
from ltf_lite.app.answer.demo import PRESET
from ltf_lite.app.web import cards, first, question
from ltf_lite.app.web.asked import Form, before_of, drawn, problem_of, read, sides_of, task_of
from ltf_lite.app.web.batch import Batch, batch_part, run_batch
from ltf_lite.app.web.blind import Blind, blind_part, connect_blind
from ltf_lite.app.web.catalogue import choices, titles
from ltf_lite.app.web.desk import QUIET, Desk, answered, streamed, tried, who
from ltf_lite.app.web.file import BROUGHT, FilePart, file_part, run_file
from ltf_lite.app.web.form import Asking, asking, field, offered, settings
from ltf_lite.app.web.panes import SIDES, Compared, blank, shown
from ltf_lite.app.web.shelf import Model
from ltf_lite.app.web.turns import begin, ended, leave, still, stop, turns
from ltf_lite.core.errors import LtfError
from ltf_lite.tasks import Problem

PATIENCE = 20.0  # seconds that a page waits for the example that is answered at the start


class Others(NamedTuple):
    """The parts below the comparison, each in an accordion of its own."""

    batch: Batch
    file: FilePart
    blind: Blind


def tab(
    desk: Desk, page: gr.Blocks, chosen: gr.Tab, place: list[gr.Textbox]
) -> tuple[gr.Button, gr.HTML]:
    """Lay the tab out and connect it; returns the button of who has no trained model yet, and
    where it is told what went wrong.

    `place` are the run, task and problem that the page's address names.
    """
    say = desk.say
    result = gr.HTML(elem_id="result")
    train = gr.Button(
        say("first.train", time=say.told(presets.load(PRESET).takes or "?")),
        variant="primary",
        elem_id="first-train",
        visible=False,
    )
    asked = asking(desk)
    told, verdict = gr.HTML(elem_id="notice"), gr.HTML(elem_id="ratio")
    sides = []
    with gr.Row(elem_id="sides"):
        for name in SIDES:
            with gr.Column(min_width=260):
                nothing = cards.empty(say(f"{name}.title"), say(f"{name}.empty"))
                sides.append(gr.HTML(nothing, elem_id=name))
    tree = gr.HTML(elem_id="tree")
    form = settings(desk, asked.problem)
    others = Others(batch_part(desk), file_part(desk), blind_part(desk))
    outputs = [told, verdict, *sides, tree]
    _edit(desk, asked, form, told)  # before what waits for an example: the page asks in this order
    _open(desk, page, place, asked, form, [result, train], outputs)
    _connect(desk, page, asked, form, outputs, others)
    chosen.select(  # a task may have been brought, and a run may have ended, meanwhile
        lambda: [
            gr.update(choices=choices(desk.shelf, say)),
            *[gr.update(choices=titles(desk.shelf, say))] * 2,
        ],
        None,
        [form.task, form.single, form.search],
        **QUIET,
    )
    return train, told


def _open(
    desk: Desk,
    page: gr.Blocks,
    place: list[gr.Textbox],
    asked: Asking,
    form: Form,
    top: list[Any],
    outputs: list[gr.HTML],
) -> None:
    """What the page shows when it is opened, by its address; then the example's answers."""
    fill = [*top, form.task, form.problem, form.single, form.search, asked.known, *asked.examples]
    at = fill.index(form.problem)
    ready = [gr.update(interactive=True) if k == at else gr.skip() for k in range(len(fill))]
    page.load(
        answered(_filled(desk), lambda _: ready, desk.say),
        place,
        fill,
        js="() => window.ltfPlace()",
        **QUIET,
    ).then(lambda: gr.update(interactive=True), None, asked.start, **QUIET)
    asked_of = [form.task, form.problem, form.single, form.search]
    gr.on(
        [form.problem.change, form.single.change, form.search.change],
        _recalled(desk),
        asked_of,
        outputs,
        trigger_mode="always_last",
        **QUIET,
    )
    gr.on(
        [form.single.input],
        _of_model(desk),
        form.single,
        [*top, form.search, asked.known, *asked.examples],
        **QUIET,
    )


def _edit(desk: Desk, asked: Asking, form: Form, told: gr.HTML) -> None:
    """The problem as it is typed, drawn or taken, and the question that it is."""
    fields = list(form)
    draw = answered(_draw(desk), lambda note: (gr.skip(), note), desk.say)
    gr.on([asked.draw.click, form.task.input], draw, fields, [form.problem, told], **QUIET)
    form.problem.change(
        _question(desk), fields, asked.question, trigger_mode="always_last", **QUIET
    )
    form.problem.blur(answered(_check(desk), lambda note: note, desk.say), fields, told, **QUIET)
    for number, button in enumerate(asked.examples):
        button.click(_taken(number), asked.known, [form.task, form.problem], **QUIET)


def _connect(
    desk: Desk,
    page: gr.Blocks,
    asked: Asking,
    form: Form,
    outputs: list[gr.HTML],
    others: Others,
) -> None:
    """What happens when: a click makes a ticket at once, and what it starts may then wait."""
    say, fields, (batch, file, blind) = desk.say, list(form), others
    parts = (asked, *others)
    every = [button for part in parts for button in (part.start, part.stop)]
    own, begun = turns(desk.public), begin(desk)
    run = streamed(_run(desk), lambda note: (note, *blank(desk), *ended()), say)
    started = gr.on(
        [asked.start.click, form.problem.submit], begun, None, [*every, outputs[0]], **QUIET
    )
    started.then(run, fields, [*outputs, *every], api_name="compare", **own)
    started.then(
        None, [form.single, form.task, form.problem], None,
        js="(...asked) => window.ltfAsked(...asked)", **QUIET,
    )  # fmt: skip
    many = streamed(run_batch(desk), lambda note: (note, "", "", *ended()), say)
    batch.start.click(begun, None, [*every, batch.told], **QUIET).then(
        many,
        [*fields, batch.size],
        [batch.told, batch.plot, batch.table, *every],
        api_name="batch",
        **own,
    )
    file.start.click(begun, None, [*every, file.told], **QUIET).then(
        streamed(run_file(desk), lambda note: (note, "", "", *ended()), say),
        [*fields, file.sides, *file.sent],
        [file.told, file.progress, file.table, *every],
        js=BROUGHT,
        **turns(public=False),
    )
    connect_blind(desk, blind, fields, every)
    for part in parts:
        part.stop.click(stop(desk), **QUIET)
    page.unload(leave(desk))


def _filled(desk: Desk) -> Callable[..., list[Any]]:
    def filled(run: Any, key: Any, problem: Any) -> list[Any]:
        """Fresh lists, since a run may have finished, and what the address names chosen."""
        model = desk.shelf.of_run(run) or desk.shelf.first()[0]
        top, base, known, *buttons = _of_model(desk)(model.name)[1:]
        result, tasks = _result(desk, model), choices(desk.shelf, desk.say)
        if not problem and known:
            key, problem = known[0]
        chosen = [
            gr.update(choices=tasks, **({"value": key} if key else {})),
            gr.update(value=problem, interactive=True),
        ]
        titled = titles(desk.shelf, desk.say)
        return [
            result,
            top,
            *chosen,
            gr.update(choices=titled, value=model.name),
            {**base, "choices": titled},
            known,
            *buttons,
        ]

    return filled


def _of_model(desk: Desk) -> Callable[[Any], list[Any]]:
    def of_model(name: Any) -> list[Any]:
        """What follows from the choice of a tuned model: its result, its base, its examples."""
        try:
            model = desk.shelf.model(name)
        except LtfError:
            model = desk.shelf.first()[0]
        trained = any(each.folder for each in desk.shelf.models().values())
        return [
            _result(desk, model),
            gr.update(visible=not trained),
            gr.update(value=desk.shelf.before(model).name),
            *offered(desk, model),
        ]

    return of_model


def _result(desk: Desk, model: Model) -> str:
    return tried(first.boxes, desk, model.name, say=desk.say)


def _recalled(desk: Desk) -> Callable[..., tuple]:
    def recalled(request: gr.Request, key: Any, problem: Any, single: Any, search: Any) -> tuple:
        """The answers to the problem that stands there, where they are remembered, or none."""
        desk.warm.wait(PATIENCE)
        if desk.tickets.runs(who(request)):  # its answers are coming
            return tuple([gr.skip()] * (len(SIDES) + 3))
        found = desk.recent.get((str(single), str(search), str(key), str(problem)))
        return gr.skip(), *(blank(desk) if found is None else shown(found, desk))

    return recalled


def _question(desk: Desk) -> Callable[..., str]:
    def in_words(*values: Any) -> str:
        try:
            return question.shown(read(desk, Form(*values)), desk.say)
        except LtfError:  # while it is typed; who starts it is told
            return f'<p class="ltf-question ltf-dim">{desk.say("question.none")}</p>'

    return in_words


def _taken(number: int) -> Callable[[Any], Any]:
    def taken(known: Any) -> Any:
        return known[number] if number < len(known or ()) else (gr.skip(), gr.skip())

    return taken


def _draw(desk: Desk) -> Callable[..., Any]:
    def draw(*values: Any) -> Any:
        asked = Form(*values)
        return field(task_of(desk, asked), drawn(desk, asked).text), ""

    return draw


def _check(desk: Desk) -> Callable[..., str]:
    def check(*values: Any) -> str:
        """Say what is wrong with a typed problem before anything is started."""
        form = Form(*values)
        return _remark(desk, form, problem_of(desk, form))

    return check


def _remark(desk: Desk, form: Form, problem: Problem) -> str:
    """What is unusual about the problem for the tuned model."""
    return cards.remark(question.unlike(problem, desk.shelf.model(form.single).task, desk.say))


def _run(desk: Desk) -> Callable[..., Iterator[tuple]]:
    def run(request: gr.Request, *values: Any) -> Iterator[tuple]:
        ticket = desk.tickets.of(who(request))
        try:
            form = Form(*values)
            problem, html = problem_of(desk, form), blank(desk)
            remark = _remark(desk, form, problem)
            for found in compared(desk, form, problem, ticket):
                html = shown(found, desk)
                yield remark, *html, *still()
            yield remark, *html, *ended()  # the last is the result of who asks by the API
        finally:
            desk.tickets.end(who(request), ticket)

    return run


def compared(desk: Desk, form: Form, problem: Problem, ticket: Event) -> Iterator[Compared]:
    """A comparison while it is made; one that came to its end is remembered."""
    task = task_of(desk, form)
    single, search = sides_of(desk, form, task)
    sides, found = (before_of(search), single, search), None
    for snapshots in live.compare(problem, task, sides, desk.pool, ticket):
        found = Compared(form, task, problem, snapshots)
        yield found
    if found and all(side.state == "done" for side in found.sides):
        asked = (form.single, form.search, form.task, form.problem)
        desk.recent.keep(tuple(map(str, asked)), found)

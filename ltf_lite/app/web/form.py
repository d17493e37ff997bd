"""The form of the Compare tab: the question with its examples, and a drawer with all settings."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.web.asked import LONGEST, SLIDERS, Form, searches, sliders_of
from ltf_lite.app.web.catalogue import choices, named, offers, titles
from ltf_lite.app.web.desk import QUIET, Desk, choice
from ltf_lite.app.web.examples import MOST, Example, examples_for
from ltf_lite.app.web.question import in_words
from ltf_lite.app.web.shelf import Model
from ltf_lite.app.web.ways import title_of_way
from ltf_lite.app.web.words import Say
from ltf_lite.core.text import signs
from ltf_lite.tasks import Task
from ltf_lite.tasks.free import FreeText

EXAMPLE = 60  # characters of an example on its button
LINES = 4  # of a box for free text
FIRST = "tot"  # the search that is chosen first


class Asking(NamedTuple):
    """Where a problem is typed, drawn or taken, and what starts and stops its comparison."""

    question: gr.HTML
    problem: gr.Textbox
    start: gr.Button
    stop: gr.Button
    draw: gr.Button
    known: gr.State
    examples: list[gr.Button]


def asking(desk: Desk) -> Asking:
    """The problem and its buttons, the examples under them.

    Nothing can be typed or started before the page has its first problem, which would replace it.
    """
    say = desk.say
    question = gr.HTML(elem_id="question")
    with gr.Row(elem_id="ask", equal_height=True):
        problem = gr.Textbox(
            label=say("problem"),
            show_label=False,
            placeholder=say("problem.hint"),
            elem_id="problem",
            max_length=LONGEST,
            interactive=False,
            min_width=220,
            scale=3,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
        )
        button: dict[str, Any] = {"min_width": 130, "scale": 1}
        start = gr.Button(
            say("compare.button"),
            variant="primary",
            elem_id="compare",
            interactive=False,
            **button,
        )
        stop = gr.Button(say("stop"), variant="stop", elem_id="stop", visible=False, **button)
        draw = gr.Button(say("draw"), elem_id="draw", **button)
    with gr.Row(elem_classes="ltf-examples", elem_id="examples"):
        gr.HTML(f'<span class="ltf-dim">{say("examples")}</span>', padding=False)
        buttons = [gr.Button("", size="sm", visible=False) for _ in range(MOST)]
    return Asking(question, problem, start, stop, draw, gr.State([]), buttons)


def settings(desk: Desk, problem: gr.Textbox) -> Form:
    """Everything else, in a drawer: the task, the models, the search and its limits."""
    say = desk.say
    tuned, base = desk.shelf.first()
    titled = titles(desk.shelf, say)
    with gr.Accordion(say("settings"), open=False, elem_id="settings"):
        with gr.Row():
            task = task_list(desk, elem_id="task", min_width=220)
            single, search = (
                choice(
                    titled,
                    value=model.name,
                    label=say(f"{side}.model"),
                    elem_id=f"{side}-model",
                    min_width=240,
                )
                for side, model in (("single", tuned), ("search", base))
            )
            way = choice(
                [(title_of_way(name, say), name) for name in searches()],
                value=FIRST,
                label=say("search.way"),
                elem_id="way",
                min_width=240,
            )
        limits = _limits(say, way)
    return Form(task, problem, single, search, way, **limits)


def task_list(desk: Desk, **options: Any) -> gr.Dropdown:
    """The list of tasks, in which a generator may be typed too."""
    say = desk.say
    return choice(
        choices(desk.shelf, say),
        value=named()[0],
        label=say("task"),
        info=say("task.info"),
        allow_custom_value=True,
        **options,
    )


def field(task: Task, text: str) -> Any:
    """The problem's box: of some lines where the task asks in free text."""
    free = isinstance(task, FreeText)
    return gr.update(value=text, lines=LINES if free else 1, max_lines=3 * LINES)


def offered(desk: Desk, model: Model) -> list[Any]:
    """The keys and texts of the examples for a model, and a button for each."""
    found = examples_for(desk, model)
    shown = [gr.update(value=_named(desk, each), visible=True) for each in found]
    hidden = [gr.update(visible=False)] * (MOST - len(found))
    return [[(key, problem.text) for key, problem in found], *shown, *hidden]


def _named(desk: Desk, example: Example) -> str:
    """The example's question, with its task where that is not told by it."""
    key, problem = example
    there = offers(desk.shelf, desk.say)
    told = in_words(problem, desk.say)
    if told != problem.text:
        return signs(told.partition(desk.say("question.end"))[0][:EXAMPLE])
    title = there[key].title if key in there else key
    return signs(desk.say("example", task=title, problem=problem.text[:EXAMPLE]))


def _limits(say: Say, way: gr.Dropdown) -> dict[str, Any]:
    """A slider for every setting, shown where the way of searching has it, and the seed."""
    sliders: dict[str, Any] = {}
    with gr.Row():
        for name, (low, high, first) in SLIDERS.items():
            sliders[name] = gr.Slider(
                low,
                high,
                first,
                step=100 if name == "budget" else 1,
                label=say(f"slider.{name}"),
                elem_id=name,
                visible=name in sliders_of(FIRST),
                min_width=180,
            )
        seed = gr.Number(0, label=say("seed"), elem_id="seed", precision=0, min_width=110)
    way.change(
        lambda chosen: [gr.update(visible=name in sliders_of(chosen)) for name in SLIDERS],
        way,
        list(sliders.values()),
        **QUIET,
    )
    return {**sliders, "seed": seed}

"""The form of the Compare tab: the problem, the models, the search and its settings."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.web.asked import (
    LONGEST,
    SLIDERS,
    Form,
    examples,
    searches,
    sliders_of,
    title_of_way,
)
from ltf_lite.app.web.catalogue import choices, named, offers, titles
from ltf_lite.app.web.desk import Desk, choice
from ltf_lite.app.web.words import Say
from ltf_lite.core.text import signs
from ltf_lite.tasks import Problem, Task
from ltf_lite.tasks.free import FreeText

EXAMPLE = 60  # characters of an example on its button
LINES = 4  # of a box for free text
FIRST = "tot"  # the search that is chosen first


class Inputs(NamedTuple):
    """What a person sets and presses, and the lists of models among it."""

    form: Form
    draw: gr.Button
    models: list[gr.Dropdown]


def form(desk: Desk) -> Inputs:
    """The inputs, from the problem to the settings of the search."""
    say, known = desk.say, examples(desk)
    key, shown = known[0] if known else (named()[0], None)
    with gr.Row():
        task = choice(
            choices(desk.shelf, say),
            value=key,
            label=say("task"),
            info=say("task.info"),
            elem_id="task",
            min_width=220,
            allow_custom_value=True,
        )
        problem = gr.Textbox(
            shown.text if shown else "",
            label=say("problem"),
            elem_id="problem",
            max_length=LONGEST,
            min_width=240,
            scale=3,
        )
        draw = gr.Button(say("draw"), elem_id="draw", min_width=140)
    _examples(desk, known, [task, problem])
    with gr.Row():
        single, search = (
            choice(label=say(f"{side}.model"), elem_id=f"{side}-model", min_width=240, **found)
            for side, found in zip(("single", "search"), _chosen(desk), strict=True)
        )
        way = choice(
            [(title_of_way(name, say), name) for name in searches()],
            value=FIRST,
            label=say("search.way"),
            elem_id="way",
            min_width=240,
        )
    settings = _settings(say, way)
    return Inputs(Form(task, problem, single, search, way, **settings), draw, [single, search])


def field(task: Task, text: str) -> Any:
    """The problem's box: of some lines where the task asks in free text."""
    free = isinstance(task, FreeText)
    return gr.update(value=text, lines=LINES if free else 1, max_lines=3 * LINES)


def _examples(desk: Desk, known: list[tuple[str, Problem]], fields: list[Any]) -> None:
    """Problems that are a click away."""
    say, there = desk.say, offers(desk.shelf, desk.say)
    with gr.Row(elem_classes="ltf-examples", elem_id="examples"):
        for key, problem in known:
            title = there[key].title if key in there else key
            text = say("example", task=title, problem=signs(problem.text[:EXAMPLE]))
            gr.Button(text, size="sm").click(
                lambda *these: these,
                [gr.State(key), gr.State(problem.text)],
                fields,
                queue=False,
                api_visibility="private",
                show_progress="hidden",
            )


def _settings(say: Say, way: gr.Dropdown) -> dict[str, Any]:
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
        queue=False,
        api_visibility="private",
        show_progress="hidden",
    )
    return {**sliders, "seed": seed}


def _chosen(desk: Desk) -> list[dict[str, Any]]:
    """Lists and first choices of the single pass's and the search's model: a tuned one, a base."""
    titled = titles(desk.shelf, desk.say)
    return [{"choices": titled, "value": model.name} for model in desk.shelf.first()]


def models(desk: Desk) -> list[Any]:
    """Fresh lists: a run may have finished since the page was made."""
    return [gr.update(**found) for found in _chosen(desk)]

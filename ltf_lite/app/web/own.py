"""The tab "Your task": bring a file of questions, check it, pilot it, and go on to a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.web import cards, found
from ltf_lite.app.web.catalogue import FILE, choices, chosen, titles
from ltf_lite.app.web.desk import QUIET, SIGNED, Desk, answered, bounded, choice, sentence
from ltf_lite.app.web.form import task_list
from ltf_lite.app.web.train import bar, done
from ltf_lite.app.web.uploads import FOLDER, LARGEST, MOST, PILOTS, uploaded
from ltf_lite.core.errors import UsageError
from ltf_lite.core.text import escape
from ltf_lite.engines import TINY_BASE
from ltf_lite.pipeline.pilot import jobs, keep_preset, preset_text
from ltf_lite.tasks import Task
from ltf_lite.tasks.check import check
from ltf_lite.tasks.table import READERS

LOOK = 1.0  # seconds between two looks at a pilot
PROBLEMS = (2, 500, 50)  # of a pilot: the least, the most, and what it begins with


class Parts(NamedTuple):
    """What stands on the tab and is changed or read."""

    task: gr.Dropdown
    model: gr.Dropdown
    problems: gr.Slider
    told: gr.HTML
    checked: gr.HTML
    seen: gr.State
    status: gr.HTML
    go_on: gr.Button


def tab(desk: Desk, page: gr.Blocks, chosen_tab: gr.Tab, others: list[gr.Tab]) -> Parts:
    """Lay the tab out; its button to go on to a training is connected by who knows that tab."""
    say = desk.say
    endings = ", ".join(READERS)
    gr.Markdown(say("own.intro", endings=endings, most=LARGEST >> 20, files=MOST))
    upload, sent = _file_part(desk)
    told = gr.HTML(elem_id="own-notice")
    with gr.Row():
        task = task_list(desk, elem_id="own-task", min_width=260, scale=3)
        look = gr.Button(say("own.check"), elem_id="own-check", min_width=140, scale=0)
    checked = gr.HTML(elem_id="own-checked")
    model, problems, start, stop = _pilot_part(desk)
    status = gr.HTML(elem_id="own-status")
    go_on = gr.Button(say("own.train"), variant="primary", elem_id="own-train", visible=False)
    parts = Parts(task, model, problems, told, checked, gr.State(""), status, go_on)
    upload.click(
        answered(_uploaded(desk), lambda note: (gr.skip(), note, gr.skip()), say),
        sent,
        [task, told, checked],
        js="async () => await window.ltfUpload()",
        **QUIET,
    )
    look.click(
        answered(_check(desk), lambda note: (note, ""), say),
        task,
        [told, checked],
        api_visibility="private",
        concurrency_limit=2,
        show_progress_on=checked,
    )
    page.load(_newest(desk), None, task, **QUIET)
    _watch(desk, parts, chosen_tab, others, start, stop)
    return parts


def _file_part(desk: Desk) -> tuple[gr.Button, list[gr.Textbox]]:
    """The field for a file and its button; what the page says of it comes in two hidden boxes."""
    say, kinds = desk.say, ",".join(READERS)
    with gr.Row():
        gr.HTML(
            f'<label class="ltf-file"><span>{escape(say("own.file"))}</span>'
            f'<input type="file" accept="{kinds}"></label>',
            elem_id="task-file",
            padding=False,
        )
        upload = gr.Button(say("own.upload"), elem_id="own-upload", min_width=140, scale=0)
    return upload, [gr.Textbox(visible=False), gr.Textbox(visible=False)]


def _pilot_part(desk: Desk) -> tuple[gr.Dropdown, gr.Slider, gr.Button, gr.Button]:
    say = desk.say
    low, high, begin = PROBLEMS
    gr.Markdown(say("own.pilot_intro"))
    with gr.Row():
        model = choice(
            titles(desk.shelf, say),
            value=TINY_BASE,
            label=say("own.model"),
            elem_id="own-model",
            min_width=240,
        )
        problems = gr.Slider(
            low,
            high,
            begin,
            step=1,
            label=say("batch.count"),
            elem_id="own-problems",
            min_width=240,
        )
        start = gr.Button(say("own.pilot"), elem_id="own-pilot", min_width=140, scale=0)
        stop = gr.Button(say("stop"), variant="stop", elem_id="own-stop", min_width=100, scale=0)
    return model, problems, start, stop


def _watch(
    desk: Desk,
    parts: Parts,
    chosen_tab: gr.Tab,
    others: list[gr.Tab],
    start: gr.Button,
    stop: gr.Button,
) -> None:
    """Look at the pilot of the chosen task while the tab is open, and only then."""
    timer = gr.Timer(LOOK, active=False)
    look, shown = _look(desk), [parts.seen, parts.status, parts.go_on]
    token = gr.Textbox(visible=False)
    chosen_tab.select(lambda: gr.Timer(active=True), None, timer, **QUIET).then(
        _lists(desk), None, [parts.task, parts.model], **QUIET
    )
    parts.task.input(lambda: ("", ""), None, [parts.told, parts.checked], **QUIET)
    gr.on(
        [timer.tick, chosen_tab.select, parts.task.change],
        look,
        [parts.task, parts.seen],
        shown,
        **QUIET,
    )
    for click, work in ((start, _start), (stop, _stop)):
        click.click(
            answered(desk.signed(work(desk)), lambda note: (note, *[gr.skip()] * 3), desk.say),
            [parts.task, parts.model, parts.problems, token],
            [parts.told, *shown],
            js=SIGNED,
            api_visibility="private",
            concurrency_limit=8,
        )
    for other in others:
        other.select(lambda: gr.Timer(active=False), None, timer, **QUIET)


def _lists(desk: Desk) -> Callable[[], Any]:
    def lists() -> Any:
        """Fresh lists; what is chosen stays."""
        tasks, models = (make(desk.shelf, desk.say) for make in (choices, titles))
        return gr.update(choices=tasks), gr.update(choices=models)

    return lists


def _newest(desk: Desk) -> Callable[[], Any]:
    def newest() -> Any:
        """The lists as they are now; what was brought last is chosen, with its pilot."""
        there = choices(desk.shelf, desk.say)
        return gr.update(choices=there, value=there[0][1])

    return newest


def _uploaded(desk: Desk) -> Callable[..., Any]:
    def arrived(name: Any, error: Any) -> Any:
        """What the page says of an upload: the name that the file got here, or why it got none."""
        say = desk.say
        if error:
            large = say("upload.large", most=LARGEST >> 20)
            return (
                gr.skip(),
                cards.notice(large if error == "large" else say.told(str(error)[:500])),
                "",
            )
        if not isinstance(name, str) or name not in uploaded(desk.shelf.runs):
            return gr.skip(), cards.notice(say("upload.none")), ""
        list_ = choices(desk.shelf, say)
        text = say("upload.kept", name=name, folder=f"{desk.shelf.runs.name}/{FOLDER}")
        return gr.update(choices=list_, value=f"{FILE}{name}"), done(text), ""

    return arrived


def _check(desk: Desk) -> Callable[[Any], tuple[str, str]]:
    def look_at(key: Any) -> tuple[str, str]:
        task = chosen(desk.shelf, desk.say, key)
        return "", found.checked(check(task), desk.say)

    return look_at


def _place(desk: Desk, key: Any) -> tuple[Path, Path, Any]:
    """The folder of pilots, that of the chosen task's, and the task."""
    task = chosen(desk.shelf, desk.say, key)
    root = desk.shelf.runs / FOLDER / PILOTS
    return root, jobs.folder_of(root, task), task


def _start(desk: Desk) -> Callable[..., Any]:
    def start(key: Any, model: Any, problems: Any) -> Any:
        root, folder, task = _place(desk, key)
        asked, (low, high, _) = desk.shelf.model(model), PROBLEMS
        n = bounded(problems, desk.say("batch.count"), low, high, desk.say)
        order = jobs.Order(
            task=jobs.settings_of_task(task),
            model=asked.opens,
            base=desk.shelf.base_of(asked),
            problems=n,
            dialect=desk.pool.dialect_of(asked.opens),
        )
        jobs.start(order, root, folder)
        return done(desk.say("own.started")), *_look(desk)(key, "")

    return start


def _stop(desk: Desk) -> Callable[..., Any]:
    def stop(key: Any, model: Any, problems: Any) -> Any:
        jobs.stop(_place(desk, key)[1])
        return done(desk.say("own.stopped")), *_look(desk)(key, "")

    return stop


def _look(desk: Desk) -> Callable[[Any, Any], list[Any]]:
    def look(key: Any, seen: Any) -> list[Any]:
        """(what is shown now, its HTML, the button to go on); nothing where nothing changed."""
        try:
            _, folder, task = _place(desk, key)
            state = jobs.state(folder)
        except Exception as error:  # a file that is gone; Check says so
            now = f"{key} {sentence(error, desk.say)}"
            return [gr.skip()] * 3 if now == seen else [now, "", gr.update(visible=False)]
        now = repr((key, state))
        if now == seen:
            return [gr.skip()] * 3
        return [now, _status(desk, task, state), gr.update(visible=state.found is not None)]

    return look


def _status(desk: Desk, task: Task, state: jobs.PilotState) -> str:
    say = desk.say
    if state.working:
        html = f'<p class="ltf-lead">{escape(say("own.working"))}</p>'
        return html + (bar(state.progress, say) if state.progress else "")
    if state.found is not None:
        return found.piloted(state.found, preset_text(task, state.found.planned), say)
    if state.order is None:
        return ""
    return cards.notice(say.told(state.ended or say("own.was_stopped")))


def preset_for(desk: Desk, key: Any) -> str:
    """Write the preset that the pilot of a task proposes, and return its name."""
    _, folder, task = _place(desk, key)
    state = jobs.state(folder)
    if state.found is None:
        raise UsageError(desk.say("own.no_pilot"))
    return keep_preset(task, state.found.planned, desk.shelf.runs)

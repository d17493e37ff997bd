"""The Train tab: start a preset as a process of its own, watch it, stop it, go on with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ltf_lite import presets
from ltf_lite.app.web import cards
from ltf_lite.app.web.desk import Desk, answered, choice, sentence
from ltf_lite.app.web.runs import stages
from ltf_lite.app.web.words import Say
from ltf_lite.core.progress import Progress, duration
from ltf_lite.core.text import escape
from ltf_lite.pipeline.needs import needs as needs_of
from ltf_lite.pipeline.needs import preview_text
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.run.state import RunState
from ltf_lite.report.figures.curves import curves_figure
from ltf_lite.tuning.types import LogLine

LOOK = 1.0  # seconds between two looks at a running training


def tab(desk: Desk, chosen: gr.Tab, others: list[gr.Tab]) -> gr.Dropdown:
    """Lay the tab out; it looks at the run while it is open, and only then.

    Returns the list of presets.
    """
    say, names = desk.say, list(presets.available())
    gr.Markdown(say("train.intro"))
    with gr.Row():
        preset = choice(
            names,
            value="tiny" if "tiny" in names else names[0] if names else None,
            label=say("train.preset"),
            elem_id="preset",
            scale=3,
        )
        start = gr.Button(
            say("train.start"), variant="primary", elem_id="train-start", min_width=140
        )
        stop = gr.Button(say("stop"), variant="stop", elem_id="train-stop", min_width=100)
    told = gr.HTML(elem_id="train-notice")
    needs = gr.HTML(elem_id="train-needs")
    status, log = gr.HTML(elem_id="train-status"), gr.HTML(elem_id="train-log")
    seen = gr.State("")  # what is on the page: nothing is sent where nothing changed
    timer = gr.Timer(LOOK, active=False)
    look, parts = _look(desk), [seen, status, log]
    no = lambda note: (note, *[gr.skip()] * 3)  # noqa: E731

    chosen.select(
        lambda: gr.update(choices=list(presets.available())),
        None,
        preset,
        queue=False,
        api_visibility="private",
        show_progress="hidden",
    )
    gr.on(
        [chosen.select, preset.change],
        answered(_needs(desk), lambda note: note, say),
        preset,
        needs,
        queue=False,
        api_visibility="private",
        show_progress="hidden",
    )
    gr.on(
        [chosen.select, preset.change],
        lambda: ("", gr.Timer(active=True)),
        None,
        [told, timer],
        queue=False,
        api_visibility="private",
    ).then(
        look, [preset, seen], parts, queue=False, api_visibility="private", show_progress="hidden"
    )
    timer.tick(
        look, [preset, seen], parts, queue=False, api_visibility="private", show_progress="hidden"
    )
    for click, work in ((start, _start), (stop, _stop)):
        click.click(
            answered(work(desk), no, say),
            [preset, seen],
            [told, *parts],
            api_visibility="private",
            concurrency_limit=8,
        )
    for other in others:
        other.select(
            lambda: gr.Timer(active=False), None, timer, queue=False, api_visibility="private"
        )
    return preset


def _folder(desk: Desk, preset: Any) -> Path:
    """Where the run of a preset is; raises PresetError if there is no such preset."""
    if not isinstance(preset, str) or preset not in presets.available():
        presets.find(str(preset)[:80].removesuffix(".yaml").removesuffix(".yml"))
        raise presets.PresetError(desk.say("train.no_presets"))
    return desk.shelf.runs / preset


def _needs(desk: Desk) -> Callable[[Any], str]:
    def needs(preset: Any) -> str:
        """What the preset's tuning needs, and whether this machine has it."""
        _folder(desk, preset)
        loaded = presets.load(preset)
        said = needs_of(loaded)
        lead = f'<p class="ltf-lead">{escape(loaded.about)}. {escape(said.sentence)}</p>'
        detail = f"<pre>{escape(preview_text(said))}</pre>"
        return lead + cards.folded(desk.say("train.needs"), detail)

    return needs


def _start(desk: Desk) -> Callable[[Any, str], tuple]:
    def start(preset: Any, seen: str) -> tuple:
        _folder(desk, preset)
        working = jobs.start(preset, desk.shelf.runs).working
        word = "train.started" if working else "train.finished"
        return done(desk.say(word, preset=preset)), *_look(desk)(preset, "")

    return start


def _stop(desk: Desk) -> Callable[[Any, str], tuple]:
    def stop(preset: Any, seen: str) -> tuple:
        jobs.stop(_folder(desk, preset))
        return done(desk.say("train.stopped", preset=preset)), *_look(desk)(preset, "")

    return stop


def done(text: str) -> str:
    return f'<p class="ltf-done" role="status">{escape(text)}</p>'


def _look(desk: Desk) -> Callable[[Any, str], list[Any]]:
    def look(preset: Any, seen: str) -> list[Any]:
        """(what is shown now, its status, its log); nothing where nothing changed."""
        try:
            folder = _folder(desk, preset)
        except presets.PresetError:
            return [gr.skip()] * 3
        try:
            return _seen(desk, preset, folder, seen)
        except Exception as error:  # a file of the run is broken; the next look may find it whole
            now = repr(error)
            if now == seen:
                return [gr.skip()] * 3
            return [now, cards.notice(sentence(error, desk.say)), ""]

    return look


def _seen(desk: Desk, preset: str, folder: Path, seen: str) -> list[Any]:
    """What a look at a run's folder finds."""
    state, curve = jobs.state(folder), jobs.curves(folder)
    now = repr((preset, state, len(curve)))
    if now == seen:
        return [gr.skip()] * 3
    return [now, _status(state, curve, desk.say), _log(state, desk.say)]


def _status(state: RunState, curve: Sequence[LogLine], say: Say) -> str:
    """Whether it runs, its bar, its stages, its losses."""
    ended = sum(stage.status == "done" for stage in state.stages)
    if not ended and not state.working and not state.log:
        return f'<p class="ltf-dim">{escape(say("train.never"))}</p>'
    word = "train.working" if state.working else "train.idle"
    html = f'<p class="ltf-lead">{escape(say(word, done=ended, total=len(state.stages)))}</p>'
    if state.ended and not state.working:
        html += cards.notice(state.ended)
    if state.progress:
        html += bar(state.progress, say)
    drawn = ""
    if curve:
        picture = curves_figure(curve, say.picture("figure"))
        drawn = cards.part(say("runs.curves"), cards.figure(picture, say("runs.curves")))
    return f'{html}<div class="ltf-two">{stages(state, say)}{drawn}</div>'


def bar(progress: Progress, say: Say) -> str:
    facts = [progress.title, f"{progress.done:,}/{progress.total:,}", progress.note]
    if progress.left is not None:
        facts.append(say("train.left", left=duration(progress.left)))
    text = escape(" · ".join(filter(None, facts)))
    return (
        f'<div class="ltf-bar"><progress max="{max(1, progress.total)}" value="{progress.done}" '
        f'aria-label="{text}"></progress><span>{text}</span></div>'
    )


def _log(state: RunState, say: Say) -> str:
    if not state.log:
        return ""
    text = "\n".join(state.log)
    return (
        f"<h3>{escape(say('train.log'))}</h3>"
        f'<pre class="ltf-log" tabindex="0" role="log">{escape(text)}</pre>'
    )

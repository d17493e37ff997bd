"""The Train tab: start a preset as a process of its own, watch it, stop it, go on with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import gradio as gr

from ltf_lite import presets
from ltf_lite.app.web import cards
from ltf_lite.app.web.desk import QUIET, SIGNED, Desk, answered, choice, sentence
from ltf_lite.app.web.runs import stages
from ltf_lite.app.web.words import Say
from ltf_lite.core.errors import UsageError
from ltf_lite.core.progress import Progress, duration
from ltf_lite.core.text import escape
from ltf_lite.pipeline.needs import needs as needs_of
from ltf_lite.pipeline.needs import preview_text
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.run.state import RunState
from ltf_lite.report.figures.curves import curves_figure
from ltf_lite.report.figures.drawing import columns
from ltf_lite.tuning.types import LogLine

NAME, COLUMNS = 44, re.compile(r" {2,}")  # of what a preset needs: its first column
LOOK = 1.0  # seconds between two looks at a running training


class Parts(NamedTuple):
    """What stands on the tab and follows the chosen preset and its run."""

    seen: gr.State
    status: gr.HTML
    log: gr.HTML
    start: gr.Button
    stop: gr.Button


def tab(desk: Desk, chosen: gr.Tab, others: list[gr.Tab]) -> gr.Dropdown:
    """Lay the tab out; it looks at the run while it is open, and only then.

    Returns the list of presets.
    """
    say, names = desk.say, list(presets.choices())
    gr.Markdown(say("train.intro"))
    with gr.Row(equal_height=True):
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
        stop = gr.Button(
            say("stop"), variant="stop", elem_id="train-stop", min_width=100, visible=False
        )
    told = gr.HTML(elem_id="train-notice")
    needs = gr.HTML(elem_id="train-needs")
    status, log = gr.HTML(elem_id="train-status"), gr.HTML(elem_id="train-log")
    parts = Parts(gr.State(""), status, log, start, stop)
    _connect(desk, (chosen, others), preset, told, needs, parts)
    return preset


def _connect(
    desk: Desk,
    tabs: tuple[gr.Tab, list[gr.Tab]],
    preset: gr.Dropdown,
    told: gr.HTML,
    needs: gr.HTML,
    parts: Parts,
) -> None:
    say, (chosen, others) = desk.say, tabs
    timer = gr.Timer(LOOK, active=False)  # nothing is sent where nothing changed
    token = gr.Textbox(visible=False)
    look, no = _look(desk), lambda note: (note, *[gr.skip()] * len(Parts._fields))
    every = lambda: gr.update(choices=list(presets.choices()))  # noqa: E731
    chosen.select(every, None, preset, **QUIET)
    opened: list[Any] = [chosen.select, preset.change]
    gr.on(opened, answered(_needs(desk), lambda note: note, say), preset, needs, **QUIET)
    clear = lambda: ("", gr.Timer(active=True))  # noqa: E731
    gr.on(opened, clear, None, [told, timer], **QUIET).then(
        look, [preset, parts.seen], list(parts), **QUIET
    )
    timer.tick(look, [preset, parts.seen], list(parts), **QUIET)
    for click, work in ((parts.start, _start), (parts.stop, _stop)):
        click.click(
            answered(desk.signed(work(desk)), no, say),
            [preset, parts.seen, token],
            [told, *parts],
            js=SIGNED,
            api_visibility="private",
            concurrency_limit=8,
        )
    for other in others:
        other.select(lambda: gr.Timer(active=False), None, timer, **QUIET)


def _folder(desk: Desk, preset: Any) -> Path:
    """Where the run of a preset is; raises PresetError if there is no such preset."""
    if not isinstance(preset, str) or preset not in presets.choices():
        presets.find(str(preset)[:80].removesuffix(".yaml").removesuffix(".yml"))
        raise presets.PresetError(desk.say("train.no_presets"))
    return desk.shelf.runs / preset


def _needs(desk: Desk) -> Callable[[Any], str]:
    def needs(preset: Any) -> str:
        """What the preset is for, how long it takes, and whether this machine can train it."""
        _folder(desk, preset)
        loaded, say = presets.choose(preset)[1], desk.say
        took = say("train.no_time")
        if loaded.takes:
            took = say("train.takes", time=say.told(loaded.takes))
        said = needs_of(loaded)
        about, able_to = say("train.about", about=say.told(loaded.about)), say.told(said.sentence)
        lead = f'<p class="ltf-lead">{escape(about)}</p>'
        able = f"<p><strong>{escape(took)}</strong></p><p>{escape(able_to)}</p>"
        if not said.has:
            able = cards.notice(f"{say('train.cannot')} {able_to}")
        lines = "\n".join(_line(line, say) for line in preview_text(said).splitlines())
        detail = f"<pre>{escape(lines)}</pre>"
        return lead + able + cards.folded(say("train.needs"), detail)

    return needs


def _line(text: str, say: Say) -> str:
    """A line of what a preset needs: a sentence, or a name and its columns."""
    first, *cells = COLUMNS.split(text)
    if not cells:
        return say.told(text)
    name = say.told(first)
    return name + " " * (NAME - columns(name)) + "".join(f"{say.told(cell):>14}" for cell in cells)


@lru_cache(maxsize=64)
def _can(preset: str, file: Path, changed: int) -> bool:
    """Whether this machine can train a preset; asked once as long as its file stays the same."""
    try:
        return needs_of(presets.choose(preset)[1]).has
    except Exception:  # what can't be told may be tried: the training says what is wrong
        return True


def _able(preset: str) -> bool:
    file = presets.choices()[preset]
    return _can(preset, file, file.stat().st_mtime_ns)


def _start(desk: Desk) -> Callable[[Any, str], tuple]:
    def start(preset: Any, seen: str) -> tuple:
        _folder(desk, preset)
        if not _able(preset):
            raise UsageError(desk.say("train.cannot"))
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
        """(what is shown now, its status, its log, the buttons); nothing where nothing changed."""
        try:
            folder = _folder(desk, preset)
        except presets.PresetError:
            return [gr.skip()] * 5
        try:
            return _seen(desk, preset, folder, seen)
        except Exception as error:  # a file of the run is broken; the next look may find it whole
            now = repr(error)
            if now == seen:
                return [gr.skip()] * 5
            return [now, cards.notice(sentence(error, desk.say)), "", *[gr.skip()] * 2]

    return look


def _seen(desk: Desk, preset: str, folder: Path, seen: str) -> list[Any]:
    """What a look at a run's folder finds."""
    state, curve = jobs.state(folder), jobs.curves(folder)
    now = repr((preset, state, len(curve)))
    if now == seen:
        return [gr.skip()] * 5
    shown = _status(state, curve, desk.say), _log(state, desk.say)
    return [now, *shown, *_buttons(state, _able(preset), desk.say)]


def _buttons(state: RunState, able: bool, say: Say) -> list[Any]:
    """To start, where there is something to do and the machine can; to stop, where it works."""
    begun = any(stage.status != "waiting" for stage in state.stages)
    word = "train.go_on" if begun else "train.start"
    starts = able and not state.working and not _is_done(state)
    return [gr.update(value=say(word), visible=starts), gr.update(visible=state.working)]


def _is_done(state: RunState) -> bool:
    return all(stage.status == "done" for stage in state.stages)


def _status(state: RunState, curve: Sequence[LogLine], say: Say) -> str:
    """Whether it runs, its bar, its stages, its losses."""
    ended = sum(stage.status == "done" for stage in state.stages)
    if not ended and not state.working and not state.log:
        return f'<p class="ltf-dim">{escape(say("train.never"))}</p>'
    word = "train.working" if state.working else "train.idle"
    html = f'<p class="ltf-lead">{escape(say(word, done=ended, total=len(state.stages)))}</p>'
    if _is_done(state):
        link = f"?tab=compare&run={quote(Path(state.run).name, safe='')}"
        text = escape(say("train.done"))
        html = f'{html}<p class="ltf-done"><a href="{escape(link)}">{text}</a></p>'
    if state.ended and not state.working:
        html += cards.notice(say.told(state.ended))
    if state.progress:
        html += bar(state.progress, say)
    drawn = ""
    if curve:
        picture = curves_figure(curve, say.picture("figure"))
        drawn = cards.part(say("runs.curves"), cards.figure(picture, say("runs.curves")))
    return f'{html}<div class="ltf-two">{stages(state, say)}{drawn}</div>'


def bar(progress: Progress, say: Say) -> str:
    done = f"{progress.done:,}/{progress.total:,}"
    facts = [say.told(progress.title), done, say.told(progress.note)]
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

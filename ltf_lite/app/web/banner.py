"""What is trained right now, on every tab, in every window; at its end, the way to its result."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import gradio as gr

from ltf_lite.app.web.desk import QUIET, Desk
from ltf_lite.core.progress import duration
from ltf_lite.core.text import escape
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.run.state import RunState

LOOK = 2.0  # seconds between two looks


def lay_out(desk: Desk, page: gr.Blocks) -> None:
    """The line above the tabs; nothing is sent where nothing changed."""
    line = gr.HTML(elem_id="banner", padding=False)
    seen, known = gr.State(""), gr.State([])
    timer = gr.Timer(LOOK)
    gr.on([page.load, timer.tick], _look(desk), [seen, known], [seen, known, line], **QUIET)


def _look(desk: Desk):
    def look(seen: Any, known: Any) -> list[Any]:
        """(what is shown now, the runs under way, the line)."""
        folders = desk.shelf.run_folders()
        states = {
            name: jobs.state(folder)
            for name, folder in folders.items()
            if name in (known or []) or jobs.working(folder) is not None
        }
        html = "".join(_line(desk, name, state) for name, state in states.items())
        if html == seen:
            return [gr.skip()] * 3
        return [html, list(states), html]

    return look


def _line(desk: Desk, name: str, state: RunState) -> str:
    """A run that is trained, or one that this page saw being trained and that has ended."""
    say, done = desk.say, sum(stage.status == "done" for stage in state.stages)
    at = quote(name, safe="")
    if state.working:
        told = say(
            "banner.working", run=name, step=min(done + 1, len(state.stages)), of=len(state.stages)
        )
        running = next((stage for stage in state.stages if stage.status == "running"), None)
        facts = [say.known(f"stage.{running.name}", running.title)] if running else []
        if state.progress and state.progress.left is not None:
            facts.append(say("train.left", left=duration(state.progress.left)))
        link = f'<a href="?tab=train&amp;run={at}">{escape(say("banner.watch"))}</a>'
        return _shown("open", " · ".join([told, *facts]), link)
    if done == len(state.stages):
        link = f'<a href="?tab=compare&amp;run={at}">{escape(say("banner.compare"))}</a>'
        return _shown("good", say("banner.done", run=name), link)
    link = f'<a href="?tab=train&amp;run={at}">{escape(say("banner.watch"))}</a>'
    return _shown("bad", say("banner.ended", run=name), link)


def _shown(look: str, text: str, link: str) -> str:
    return f'<p class="ltf-banner ltf-{look}" role="status"><span>{escape(text)}</span> {link}</p>'

"""The Runs tab: what each run has come to, read from its own records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from ltf_lite.app.web import cards, sections, verdicts
from ltf_lite.app.web.desk import QUIET, Desk, answered, choice, tried
from ltf_lite.app.web.words import Say
from ltf_lite.core.progress import duration
from ltf_lite.core.text import escape
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.run.state import RunState

PARTS = ("report", "sections", "stages", "files")


def tab(desk: Desk, chosen: gr.Tab) -> gr.Dropdown:
    """Lay the tab out; it is read anew whenever it is opened. Returns the list of runs."""
    say = desk.say
    gr.Markdown(say("runs.intro"))
    with gr.Row():
        run = choice([], label=say("runs.run"), elem_id="run", scale=3)
        refresh = gr.Button(say("refresh"), elem_id="runs-refresh", min_width=120)
    parts = [gr.HTML(elem_id=f"runs-{name}") for name in ("notice", *PARTS)]
    blank = lambda note: [gr.skip(), note, *[""] * len(PARTS)]  # noqa: E731
    gr.on(
        [chosen.select, refresh.click, run.input],
        answered(_show(desk), blank, say),
        run,
        [run, *parts],
        queue=False,
        api_visibility="private",
        show_progress_on=run,
    )
    run.input(None, run, None, js="(run) => window.ltfGo({ run })", **QUIET)
    return run


def _show(desk: Desk) -> Callable[[Any], list[Any]]:
    def show(name: Any) -> list[Any]:
        names = list(desk.shelf.run_folders())
        if not names:
            return [gr.update(visible=False), nothing(desk.say), *[""] * len(PARTS)]
        name = name or desk.shelf.newest("evaluate")
        folder = desk.shelf.run(name)
        return [
            gr.update(choices=names, value=name, visible=True),
            "",
            tried(_report, desk, name, say=desk.say),
            tried(_sections, folder, desk.say, say=desk.say),
            tried(_stages, folder, desk.say, say=desk.say),
            tried(_files, desk, name, say=desk.say),
        ]

    return show


def nothing(say: Say) -> str:
    """Before there is any run: where one is made."""
    link = f'<a href="?tab=train">{escape(say("tab.train"))}</a>'
    return f'<p class="ltf-remark">{escape(say("runs.none"))} {link}</p>'


def _sections(folder: Path, say: Say) -> str:
    """The report's sections, as far as the run has come."""
    run = Run.load(folder)
    found, judged = sections.of_run(run, say), verdicts.of_run(run, say)
    waits = ""
    if all(section.name != "headline" for section in found):
        waits = f'<p class="ltf-dim">{escape(say("runs.no_results"))}</p>'
    return waits + "".join(
        sections.html(section, say, judged.get(section.name, "")) for section in found
    )


def _stages(folder: Path, say: Say) -> str:
    return stages(jobs.state(folder), say)


def stages(state: RunState, say: Say) -> str:
    """Every stage with its status, time and peak memory."""
    rows = [
        (
            say.known(f"stage.{stage.name}", stage.title),
            say(f"status.{stage.status}"),
            duration(stage.seconds) if stage.seconds else "–",
            f"{stage.peak_bytes / 2**20:,.0f} MiB" if stage.peak_bytes else "–",
        )
        for stage in state.stages
    ]
    head = [say(f"runs.{name}") for name in ("stage", "status", "time", "memory")]
    return cards.part(say("runs.stages"), cards.grid(head, rows))


def _report(desk: Desk, name: str) -> str:
    """Links to the run's report and to its numbers; "" before there is one."""
    there, at = desk.shelf.reports(name), f"report/{quote(name, safe='')}"
    links = []
    if "index.html" in there:
        told = escape(desk.say("runs.report"))
        language = desk.say.language
        page = at if language == "en" else f"{at}?language={language}"
        links.append(f'<a href="{page}" target="_blank" rel="noopener">{told}</a>')
    if "results.csv" in there:
        links.append(f'<a href="{at}/results.csv" download>results.csv</a>')
    return f"<p>{' · '.join(links)}</p>" if links else ""


def _files(desk: Desk, name: str) -> str:
    """A link to download each GGUF file of a run."""
    items = "".join(
        f'<li><a href="gguf/{quote(name, safe="")}/{quote(file, safe="")}" download>'
        f"{escape(file)}</a> ({path.stat().st_size / 2**20:,.1f} MiB)</li>"
        for file, path in desk.shelf.ggufs(name).items()
    )
    none = f'<p class="ltf-dim">{escape(desk.say("runs.no_files"))}</p>'
    return cards.part(desk.say("runs.files"), f"<ul>{items}</ul>" if items else none)

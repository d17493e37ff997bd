"""The Runs tab: what each run has come to, read from its own records."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from ltf_lite import pipeline
from ltf_lite.pipeline import jobs
from ltf_lite.progress import duration
from ltf_lite.report import figures
from ltf_lite.report.kept_tables import retention_table
from ltf_lite.report.kinds_tables import kinds_table
from ltf_lite.report.picture import headline_figure
from ltf_lite.report.results import headline_sentence, records
from ltf_lite.report.success_tables import difference_table, pass_table, success_table
from ltf_lite.report.tables import as_markdown
from ltf_lite.ui import cards
from ltf_lite.ui.desk import Desk, answered, choice
from ltf_lite.ui.words import Say

SHOWN = 5  # outputs of `show` besides the notice


def tab(desk: Desk, chosen: gr.Tab) -> None:
    """Lay the tab out; it is read anew whenever it is opened."""
    say = desk.say
    gr.Markdown(say("runs.intro"))
    with gr.Row():
        run = choice([], label=say("runs.run"), elem_id="run", scale=3)
        refresh = gr.Button(say("refresh"), elem_id="runs-refresh", min_width=120)
    told = gr.HTML(elem_id="runs-notice")
    parts: list[gr.components.Component] = [gr.HTML(elem_id="runs-headline")]
    with gr.Accordion(say("as_table"), open=False):
        parts.append(gr.Markdown(elem_id="runs-table"))
    parts += [gr.HTML(elem_id="runs-stages"), gr.HTML(elem_id="runs-kinds")]
    with gr.Accordion(say("as_table"), open=False):
        parts.append(gr.Markdown(elem_id="runs-tables"))
    files = gr.HTML(elem_id="runs-files")
    blank = lambda note: [gr.skip(), note, *[""] * len(parts), ""]  # noqa: E731
    gr.on([chosen.select, refresh.click, run.input], answered(_show(desk), blank, say), run,
          [run, told, *parts, files], queue=False, api_visibility="private",
          show_progress_on=run)  # fmt: skip


def _show(desk: Desk):
    def show(name: Any) -> list[Any]:
        names = list(desk.shelf.run_folders())
        if not names:
            return [gr.update(choices=[]), cards.notice(desk.say("runs.none")), *[""] * (SHOWN + 1)]
        name = name or names[0]
        folder = desk.shelf.run(name)
        update = gr.update(choices=names, value=name)
        return [update, "", *_of(folder, desk.say), _files(desk, name)]

    return show


def _of(folder: Path, say: Say) -> list[str]:
    """Stages and curves, headline, its table, failure kinds, their tables."""
    found = pipeline.summary(pipeline.Run.load(folder))
    made, curve = records(folder), jobs.curves(folder)
    words = cards.words_of("figure", figures.WORDS, say)
    top, kinds, tables = stages(jobs.state(folder), say), "", []
    headline = f'<p class="ltf-dim">{escape(say("runs.no_results"))}</p>'
    if curve:
        picture = cards.figure(figures.curves_figure(curve, words), say("runs.curves"))
        top += cards.part(say("runs.curves"), picture)
        tables.append(f"### {say('runs.curves')}\n{figures.curves_table(curve)}")
    if made:
        picture = cards.figure(figures.kinds_figure(made, words), say("runs.kinds"))
        kinds = cards.part(say("runs.kinds"), picture)
        tables.append(f"### {say('runs.kinds')}\n{as_markdown(kinds_table(folder))}")
    if found["headline"]:
        lead = f'<p class="ltf-lead">{escape(headline_sentence(found["headline"]))}</p>'
        headline = lead + cards.figure(headline_figure(found["results"]), say("runs.headline"))
        tables += [
            f"### {say('runs.difference')}\n{as_markdown(difference_table(folder))}",
            *(
                f"### {table.title}\n{as_markdown(table)}"
                for table in (pass_table(folder), retention_table(folder))
                if table
            ),
        ]
    return [
        cards.part(say("runs.headline"), headline),
        as_markdown(success_table(found["results"])) if found["results"] else "",
        f'<div class="ltf-two">{top}</div>',
        kinds,
        "\n\n".join(filter(None, tables)),
    ]


def stages(state: dict[str, Any], say: Say) -> str:
    """Every stage with its status, time and peak memory."""
    rows = [
        (
            say(f"stage.{stage['name']}"), say(f"status.{stage['status']}"),
            duration(stage["seconds"]) if stage["seconds"] else "–",
            f"{stage['peak_bytes'] / 2**20:,.0f} MiB" if stage["peak_bytes"] else "–",
        )
        for stage in state["stages"]
    ]  # fmt: skip
    head = [say(f"runs.{name}") for name in ("stage", "status", "time", "memory")]
    return cards.part(say("runs.stages"), cards.grid(head, rows))


def _files(desk: Desk, name: str) -> str:
    """A link to download each GGUF file of a run."""
    items = "".join(
        f'<li><a href="gguf/{quote(name, safe="")}/{quote(file, safe="")}" download>'
        f"{escape(file)}</a> ({path.stat().st_size / 2**20:,.1f} MiB)</li>"
        for file, path in desk.shelf.ggufs(name).items()
    )
    body = (
        f"<ul>{items}</ul>"
        if items
        else f'<p class="ltf-dim">{escape(desk.say("runs.no_files"))}</p>'
    )
    return cards.part(desk.say("runs.files"), body)

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
from ltf_lite.report.figures import curves_figure
from ltf_lite.report.kept_tables import curves_table
from ltf_lite.report.picture import headline_figure
from ltf_lite.report.results import headline_sentence
from ltf_lite.report.success_tables import difference_table, pass_table, same_table, success_table
from ltf_lite.report.tables import Table, as_markdown
from ltf_lite.tuning.checkpoints import best
from ltf_lite.ui import cards, outcomes
from ltf_lite.ui.desk import Desk, answered, choice
from ltf_lite.ui.words import Say

PARTS = ("headline", "table", "stages", "kept", "kinds", "cost", "tables", "files")
TABLES = ("table", "tables")  # of the parts, those that are folded


def tab(desk: Desk, chosen: gr.Tab) -> None:
    """Lay the tab out; it is read anew whenever it is opened."""
    say = desk.say
    gr.Markdown(say("runs.intro"))
    with gr.Row():
        run = choice([], label=say("runs.run"), elem_id="run", scale=3)
        refresh = gr.Button(say("refresh"), elem_id="runs-refresh", min_width=120)
    parts: list[gr.components.Component] = [gr.HTML(elem_id="runs-notice")]
    for name in PARTS:
        if name in TABLES:
            with gr.Accordion(say("as_table"), open=False):
                parts.append(gr.Markdown(elem_id=f"runs-{name}"))
        else:
            parts.append(gr.HTML(elem_id=f"runs-{name}"))
    blank = lambda note: [gr.skip(), note, *[""] * len(PARTS)]  # noqa: E731
    gr.on([chosen.select, refresh.click, run.input],
          answered(_show(desk), blank, say), run, [run, *parts], queue=False,
          api_visibility="private", show_progress_on=run)  # fmt: skip


def _show(desk: Desk):
    def show(name: Any) -> list[Any]:
        names = list(desk.shelf.run_folders())
        if not names:
            told = cards.notice(desk.say("runs.none"))
            return [gr.update(choices=[]), told, *[""] * len(PARTS)]
        name = name or names[0]
        folder = desk.shelf.run(name)
        notice, parts = _of(folder, desk.say)
        parts["headline"] += _report(desk, name)
        parts["files"] = _files(desk, name)
        update = gr.update(choices=names, value=name)
        return [update, notice, *(parts[part] for part in PARTS)]

    return show


def _of(folder: Path, say: Say) -> tuple[str, dict[str, str]]:
    """(A notice or "", the parts of the tab that a run's records fill)."""
    run = pipeline.Run.load(folder)
    preset, lines, found = run.preset, jobs.curves(folder), pipeline.summary(run)
    kept, kept_tables = outcomes.kept(folder, preset, lines, say)
    failed, failed_tables = outcomes.failed(folder, say)
    equal, budget_tables = outcomes.budgets(folder, preset, say)
    paid, paid_tables = outcomes.paid(folder, run.stages, say)
    top, headline, tables = stages(jobs.state(folder), say), "", []
    if lines:
        picture = cards.figure(curves_figure(lines, outcomes.figure_words(say)), say("runs.curves"))
        top += cards.part(say("runs.curves"), picture)
        tables.append(curves_table(lines, best(lines)["step"]))
    if found["headline"]:
        headline = f'<p class="ltf-lead">{escape(headline_sentence(found["headline"]))}</p>'
        headline += cards.figure(headline_figure(found["results"]), say("runs.headline"))
        tables += _answers(folder)
    else:
        headline = f'<p class="ltf-dim">{escape(say("runs.no_results"))}</p>'
    tables += [*kept_tables, *failed_tables, *budget_tables, *paid_tables]
    return outcomes.below_floor(found["below"], say), {
        "headline": cards.part(say("runs.headline"), headline),
        "table": as_markdown(success_table(found["results"])) if found["results"] else "",
        "stages": outcomes.beside([top]),
        "kept": kept,
        "kinds": failed,
        "cost": outcomes.beside([equal, paid]),
        "tables": outcomes.as_text(tables),
    }


def _answers(folder: Path) -> list[Table]:
    """Which differences are real, and what more samples would solve."""
    found = [difference_table(folder), same_table(folder), pass_table(folder)]
    return [table for table in found if table and table.rows]


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


def _report(desk: Desk, name: str) -> str:
    """Links to the run's report and to its numbers; "" before there is one."""
    there, at = desk.shelf.reports(name), f"report/{quote(name, safe='')}"
    links = []
    if "index.html" in there:
        links.append(f'<a href="{at}" target="_blank" rel="noopener">'
                     f"{escape(desk.say('runs.report'))}</a>")  # fmt: skip
    if "results.csv" in there:
        links.append(f'<a href="{at}/results.csv" download>results.csv</a>')
    return f'<p id="runs-report">{" · ".join(links)}</p>' if links else ""


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

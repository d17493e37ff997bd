"""The Failures tab: harvested failures by kind, reasoner and fatal step."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ltf_lite import pipeline
from ltf_lite.harvest import browse
from ltf_lite.harvest.store import Row
from ltf_lite.pipeline.common import task_of
from ltf_lite.tasks import NumbersGame
from ltf_lite.tasks.base import KINDS
from ltf_lite.ui import cards, outcomes
from ltf_lite.ui.desk import Desk, answered, bounded, choice
from ltf_lite.ui.words import Say

A_PAGE = 12  # failures
ALL = ""  # the choice that leaves nothing out
FILTERS = ("kind", "reasoner", "fatal_step")


def tab(desk: Desk, chosen: gr.Tab) -> None:
    """Lay the tab out; a new choice goes back to the first page."""
    say = desk.say
    gr.Markdown(say("failures.intro"))
    with gr.Row():
        run = choice([], label=say("runs.run"), elem_id="failures-run")
        kind = choice([], label=say("failures.kind"), elem_id="failures-kind")
        reasoner = choice([], label=say("failures.reasoner"), elem_id="failures-reasoner")
        step = choice([], label=say("failures.step"), elem_id="failures-step")
        page = gr.Number(1, label=say("failures.page"), precision=0, minimum=1,
                         elem_id="failures-page", min_width=90)  # fmt: skip
    told, kinds = gr.HTML(elem_id="failures-notice"), gr.HTML(elem_id="failures-kinds")
    rows = gr.HTML(elem_id="failures-list")
    inputs = [run, kind, reasoner, step, page]
    outputs = [*inputs, told, kinds, rows]
    blank = lambda note: [*[gr.skip()] * len(inputs), note, "", ""]  # noqa: E731
    look, turn = (answered(_show(desk, drawn), blank, say) for drawn in (True, False))
    options = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    gr.on([chosen.select], look, inputs, outputs, **options)
    gr.on([run.input], lambda *picked: look(*picked[:-1], 1), inputs, outputs, **options)
    gr.on([page.change], turn, inputs, outputs, **options)
    gr.on([one.input for one in (kind, reasoner, step)],
          lambda *picked: turn(*picked[:-1], 1), inputs, outputs, **options)  # fmt: skip


def _show(desk: Desk, drawn: bool):
    """`drawn`: with the run's pictures, which no choice but the run's changes."""

    def show(run: Any, kind: Any, reasoner: Any, step: Any, page: Any) -> list[Any]:
        say, names = desk.say, list(desk.shelf.run_folders())
        if not names:
            return [*[gr.skip()] * 5, cards.notice(say("runs.none")), "", ""]
        run = run or names[0]
        folder = desk.shelf.run(run)
        counted = browse.counts(folder / "harvest")
        picked = dict(zip(FILTERS, (kind or ALL, reasoner or ALL, step or ALL), strict=True))
        lists = {name: _choices(counted, picked, name, say) for name in FILTERS}
        for name, choices in lists.items():
            if picked[name] not in [value for _, value in choices]:
                picked[name] = ALL  # of another run, or nothing is left of it
        shown, page = _page(folder, picked, page, say)
        updates = [gr.update(choices=lists[n], value=picked[n]) for n in FILTERS]
        kinds = outcomes.failed(folder, say)[0] if drawn else gr.skip()
        return [gr.update(choices=names, value=run), *updates, gr.update(value=page), "", kinds,
                shown]  # fmt: skip

    return show


def _choices(
    counted: list[dict[str, Any]], picked: dict[str, str], name: str, say: Say
) -> list[tuple[str, str]]:
    """What can be chosen of one filter under the others, with how many there are."""
    others = [each for each in FILTERS if each != name and picked[each] != ALL]
    found: dict[str, int] = {}
    for row in counted:
        if all(str(row[each]) == picked[each] for each in others):
            found[str(row[name])] = found.get(str(row[name]), 0) + row["n"]
    first = (f"{say('failures.all')} ({sum(found.values()):,})", ALL)
    return [first, *((f"{_shown(name, v, say)} ({n:,})", v) for v, n in sorted(found.items()))]


def _shown(name: str, value: str, say: Say) -> str:
    """Steps are counted from 0 in the records and from 1 for people; kinds have names."""
    if name == "fatal_step":
        return str(int(value) + 1)
    return say(f"name.{value}") if value in KINDS else value


def _page(folder: Path, picked: dict[str, str], page: Any, say: Say) -> tuple[str, int]:
    """(HTML of a page, which page it is: the last one where there are fewer)."""
    page = bounded(page, say("failures.page"), 1, 10**6, say)
    wanted: dict[str, Any] = {k: v for k, v in picked.items() if v != ALL}
    if "fatal_step" in wanted:
        wanted["fatal_step"] = int(wanted["fatal_step"])
    store = folder / "harvest"
    at = A_PAGE * (page - 1)
    rows, total, skipped = browse.failures(store, **wanted, offset=at, limit=A_PAGE)
    pages = max(1, -(-total // A_PAGE))
    if page > pages:
        return _page(folder, picked, pages, say)
    task = task_of(pipeline.Run.load(folder))
    head = say("failures.total", total=f"{total:,}", page=f"{page:,}", pages=f"{pages:,}")
    if not total:
        head = say("failures.none")
    html = f'<p class="ltf-lead" role="status">{escape(head)}</p>'
    if skipped:
        html += cards.notice(say("failures.skipped", files=", ".join(skipped)))
    found = "".join(_card(row, task, say) for row in rows)
    return f'{html}<div class="ltf-cards">{found}</div>', page


def _card(row: Row, task: NumbersGame, say: Say) -> str:
    """One failed path: the problem, its lines, the fatal one marked, why, what would save it."""
    lines, why = browse.marked(row, task)
    problem = f"{' '.join(map(str, row['numbers']))} → {row['target']}"
    steps = "".join(cards.step_line(line["text"], line["state"], say) for line in lines)
    saving = browse.saving_step(row, task)
    rescue = f"<p>{escape(say('failures.saving', step=saving))}</p>" if saving else ""
    kind = _shown("kind", row["kind"], say)
    by = say("failures.by", reasoner=row["reasoner"], tokens=row["tokens"])
    return (
        f'<article class="ltf-pane ltf-bad"><div class="ltf-title">{escape(problem)}</div>'
        f'<p class="ltf-state"><strong>{escape(kind)}</strong> {escape(why)}</p>'
        f'<ol class="ltf-path">{steps}</ol>{rescue}<p class="ltf-dim">{escape(by)}</p></article>'
    )

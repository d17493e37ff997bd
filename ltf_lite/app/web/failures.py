"""The Failures tab: harvested failures by kind, reasoner and fatal step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.web import cards, verdicts
from ltf_lite.app.web.desk import Desk, answered, bounded, choice, sentence, tried
from ltf_lite.app.web.runs import nothing
from ltf_lite.app.web.words import Say
from ltf_lite.core.text import escape
from ltf_lite.harvest import browse
from ltf_lite.harvest.store import Row
from ltf_lite.pipeline import Run
from ltf_lite.report.figures.kinds import kinds_change_figure, kinds_figure
from ltf_lite.report.kinds import Titles, kinds_of, title_in, titles_in
from ltf_lite.report.results import records
from ltf_lite.tasks import Task

A_PAGE = 12  # failures
ALL = ""  # the choice that leaves nothing out


class Picked(NamedTuple):
    """What is chosen of each filter, `ALL` for everything; fatal steps count from 0, as text."""

    kind: str = ALL
    label: str = ALL
    fatal_step: str = ALL


def tab(desk: Desk, chosen: gr.Tab) -> gr.Dropdown:
    """Lay the tab out; a new choice goes back to the first page. Returns the list of runs."""
    say = desk.say
    gr.Markdown(say("failures.intro"))
    with gr.Row():
        run = choice([], label=say("runs.run"), elem_id="failures-run")
        kind = choice([], label=say("failures.kind"), elem_id="failures-kind")
        reasoner = choice([], label=say("failures.reasoner"), elem_id="failures-reasoner")
        step = choice([], label=say("failures.step"), elem_id="failures-step")
        page = gr.Number(
            1,
            label=say("failures.page"),
            precision=0,
            minimum=1,
            elem_id="failures-page",
            min_width=90,
        )
    told, kinds = gr.HTML(elem_id="failures-notice"), gr.HTML(elem_id="failures-kinds")
    rows = gr.HTML(elem_id="failures-list")
    inputs = [run, kind, reasoner, step, page]
    outputs = [*inputs, told, kinds, rows]
    blank = lambda note: [*[gr.skip()] * len(inputs), note, "", ""]  # noqa: E731
    look, turn = (answered(_show(desk, drawn), blank, say) for drawn in (True, False))
    options: dict[str, Any] = {
        "queue": False,
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    gr.on([chosen.select], look, inputs, outputs, **options)
    gr.on([run.input], lambda *picked: look(*picked[:-1], 1), inputs, outputs, **options)
    gr.on([page.change], turn, inputs, outputs, **options)
    filters = [one.input for one in (kind, reasoner, step)]
    gr.on(filters, lambda *picked: turn(*picked[:-1], 1), inputs, outputs, **options)
    run.input(None, run, None, js="(run) => window.ltfGo({ run })", **options)
    return run


def _show(desk: Desk, drawn: bool) -> Callable[..., list[Any]]:
    """`drawn`: with the run's pictures, which no choice but the run's changes."""

    def show(run: Any, kind: Any, reasoner: Any, step: Any, page: Any) -> list[Any]:
        say, names = desk.say, list(desk.shelf.run_folders())
        if not names:
            return [*[gr.update(visible=False)] * 5, nothing(say), "", ""]
        name = run or desk.shelf.newest("search")
        chosen = gr.update(choices=names, value=name, visible=True)
        try:
            return [chosen, *run_of(name, kind, reasoner, step, page)]
        except Exception as error:  # another run can still be chosen
            return [chosen, *[gr.skip()] * 4, cards.notice(sentence(error, say)), "", ""]

    def run_of(name: Any, kind: Any, reasoner: Any, step: Any, page: Any) -> list[Any]:
        say, found = desk.say, Run.load(desk.shelf.run(name))
        found.check("search", "baseline", "evaluate")
        counted = browse.counts(found.at.harvest)
        picked = Picked(kind or ALL, reasoner or ALL, step or ALL)
        titles = titles_in(found.preset, say.picture("figure"))
        lists = [_choices(counted, picked, field, say, titles) for field in Picked._fields]
        # A choice of another run, or of which nothing is left, becomes `ALL`.
        kept = Picked(
            *(
                value if value in [each for _, each in choices] else ALL
                for value, choices in zip(picked, lists, strict=True)
            )
        )
        shown, page = _page(found, kept, page, say)
        updates = [
            gr.update(choices=choices, value=value, visible=True)
            for choices, value in zip(lists, kept, strict=True)
        ]
        kinds = tried(kinds_of_run, found, say, say=say) if drawn else gr.skip()
        return [*updates, gr.update(value=page, visible=True), "", kinds, shown]

    return show


def kinds_of_run(run: Run, say: Say) -> str:
    """How paths ended before and after tuning, and which failures went away and which came."""
    made, words = records(run.at, run.preset.task.name), say.picture("figure")
    if not made:
        return ""
    kinds = kinds_of(run.preset.task, made)
    drawn = {"runs.kinds": kinds_figure(made, kinds, words)}
    if {"base", "tuned"} <= {record.model for record in made}:
        drawn["runs.change"] = kinds_change_figure(made, kinds, words)
    parts = (cards.part(say(key), cards.figure(each, say(key))) for key, each in drawn.items())
    judged = verdicts.of_run(run, say).get("failures", "")
    return f'{judged}<div class="ltf-two">{"".join(parts)}</div>'


def _choices(
    counted: Sequence[browse.Failed], picked: Picked, name: str, say: Say, titles: Titles
) -> list[tuple[str, str]]:
    """What can be chosen of one filter under the others, with how many there are."""
    others = [each for each in Picked._fields if each != name and getattr(picked, each) != ALL]
    total, found = 0, dict[str, int]()
    for row in counted:
        if all(str(getattr(row, each)) == getattr(picked, each) for each in others):
            value = getattr(row, name)
            total += row.n
            if value is not None:
                found[str(value)] = found.get(str(value), 0) + row.n
    first = (f"{say('failures.all')} ({total:,})", ALL)
    told = ((_shown(name, v, say, titles), v, n) for v, n in sorted(found.items()))
    return [first, *((f"{title} ({n:,})", value) for title, value, n in told)]


def _shown(name: str, value: str, say: Say, titles: Titles) -> str:
    """Steps are counted from 0 in the records and from 1 for people; the rest has names."""
    if name == "fatal_step":
        return str(int(value) + 1)
    return say.name(value) if name == "kind" else title_in(titles, value)


def _page(run: Run, picked: Picked, page: Any, say: Say) -> tuple[str, int]:
    """(HTML of a page, which page it is: the last one where there are fewer)."""
    page = bounded(page, say("failures.page"), 1, 10**6, say)
    rows, total, skipped = browse.failures(
        run.at.harvest,
        picked.kind or None,
        picked.label or None,
        int(picked.fatal_step) if picked.fatal_step else None,
        offset=A_PAGE * (page - 1),
        limit=A_PAGE,
    )
    pages = max(1, -(-total // A_PAGE))
    if page > pages:
        return _page(run, picked, pages, say)
    head = say("failures.total", total=f"{total:,}", page=f"{page:,}", pages=f"{pages:,}")
    if not total:
        head = say("failures.none" if any(picked) else "failures.empty")
    html = f'<p class="ltf-lead" role="status">{escape(head)}</p>'
    if skipped:
        html += cards.notice(say("failures.skipped", files=", ".join(skipped)))
    titles = titles_in(run.preset, say.picture("figure"))
    found = "".join(card(row, run.preset.task, say, titles) for row in rows)
    return f'{html}<div class="ltf-cards">{found}</div>', page


def card(row: Row, task: Task, say: Say, titles: Titles = MappingProxyType({})) -> str:
    """One failed path: the problem, its lines, the fatal one marked, why, what would save it."""
    lines, told = browse.marked(row, task)
    kind, why = say.name(row.kind or ""), say.told(told)
    steps = "".join(cards.step_line(line.text, line.state, say) for line in lines)
    saving = browse.saving_step(row, task)
    rescue = f"<p>{escape(say('failures.saving', step=saving))}</p>" if saving else ""
    by = title_in(titles, row.label)
    if row.tokens:  # of a tree's path nobody counted its own
        by = say("failures.by", reasoner=by, tokens=row.tokens)
    return (
        f'<article class="ltf-pane ltf-bad"><div class="ltf-title">{escape(row.problem.text)}</div>'
        f'<p class="ltf-state"><strong>{escape(kind)}</strong> {escape(why)}'
        f'</p><ol class="ltf-path">{steps}</ol>{rescue}<p class="ltf-dim">{escape(by)}</p>'
        "</article>"
    )

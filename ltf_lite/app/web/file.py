"""The part of the Compare tab that takes a file of problems and gives their answers as files.

The page's script sends the file with the event, and the answers go back within the page. Nothing
is kept here, so there is nothing of one visitor that another could ask for.
"""

from __future__ import annotations

import base64
import binascii
import io
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import PurePath
from threading import Event
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.answer import live
from ltf_lite.app.answer.lines import id_of, lines_of, problem_of
from ltf_lite.app.web import cards
from ltf_lite.app.web.answers import CELL, Asked, Row, row_of, shown
from ltf_lite.app.web.asked import LONGEST, Form, asks_model, sides_of, task_of
from ltf_lite.app.web.desk import Desk, who
from ltf_lite.app.web.receive import int_of
from ltf_lite.app.web.train import bar
from ltf_lite.app.web.turns import ahead, ended, still, waiting
from ltf_lite.core.errors import UsageError
from ltf_lite.core.json_text import Line
from ltf_lite.core.progress import Progress
from ltf_lite.core.text import escape, printable
from ltf_lite.tasks import Task

ENDINGS = (".jsonl", ".csv", ".txt")
LARGEST = 1 << 20  # bytes of a file, which is held whole and sent as text
MOST = 1000  # lines of it
TOLD_EVERY = 0.5  # seconds between two looks at how far it is
TIRED = 3  # problems in a row that no side could answer; it would be no other with the rest
SIDES = ("single", "search")
# Of the click: it takes the place of the last four inputs by the file and the token of the page.
BROUGHT = "async (...all) => [...all.slice(0, -4), ...await window.ltfProblems(), window.ltfToken]"


class FilePart(NamedTuple):
    """What stands there and is pressed, read or changed."""

    sides: gr.CheckboxGroup
    sent: list[gr.Textbox]
    start: gr.Button
    stop: gr.Button
    told: gr.HTML
    progress: gr.HTML
    table: gr.HTML


def file_part(desk: Desk) -> FilePart:
    """Lay it out."""
    say = desk.say
    with gr.Accordion(say("file.title"), open=False, elem_id="file-box"):
        endings, most = ", ".join(ENDINGS), f"{MOST:,}"
        gr.Markdown(say("file.intro", endings=endings, size=LARGEST >> 20, most=most))
        gr.HTML(
            f'<label class="ltf-file"><span>{escape(say("file.file"))}</span>'
            f'<input type="file" accept="{",".join(ENDINGS)}"></label>',
            elem_id="problems-file",
            padding=False,
        )
        with gr.Row():
            sides = gr.CheckboxGroup(
                [(say(f"{name}.title"), name) for name in SIDES],
                value=["single"],
                label=say("file.ways"),
                elem_id="file-ways",
                min_width=240,
                scale=3,
            )
            # what isn't there is answered in a sentence of ours
            sides.preprocess = lambda payload: payload  # type: ignore[method-assign]
            start = gr.Button(say("file.button"), elem_id="file-start", min_width=140)
            stop = gr.Button(say("stop"), variant="stop", elem_id="file-stop", visible=False)
        told, progress = gr.HTML(elem_id="file-notice"), gr.HTML(elem_id="file-progress")
        sent = [gr.Textbox(visible=False) for _ in range(4)]
        return FilePart(sides, sent, start, stop, told, progress, gr.HTML(elem_id="file-answers"))


def run_file(desk: Desk) -> Callable[..., Iterator[tuple]]:
    """Asks the lines of a file; what it yields are a notice, how far it is, answers, buttons."""

    def run(request: gr.Request, *values: Any) -> Iterator[tuple]:
        *rest, chosen, name, data, size, token = values
        ticket = desk.tickets.of(who(request))
        try:
            desk.vouched(token)
            form = Form(*rest)
            task, sides = task_of(desk, form), _sides(desk, form, chosen)
            lines = _lines(desk, task, str(name or ""), str(data or ""), int_of(str(size)))
            yield "", _far(0, len(lines), desk), "", *still()
            told, found = "", list[Row]()
            for told, number in _answered(desk, task, lines, sides, ticket, found):
                yield told, _far(number, len(lines), desk), gr.skip(), *still()
            yield told, "", shown(desk, sides, found), *ended()
        finally:
            desk.tickets.end(who(request), ticket)

    return run


def _sides(desk: Desk, form: Form, chosen: Any) -> list[Asked]:
    """The chosen sides of the form; raises UsageError where none of them is chosen."""
    wanted = [name for name in SIDES if isinstance(chosen, list) and name in chosen]
    if not wanted:
        raise UsageError(desk.say("file.no_way"))
    single, search = sides_of(desk, form, task_of(desk, form))
    own = {
        "single": (str(form.single), single),
        "search": (str(form.search) if asks_model(search.way) else "", search),
    }
    return [Asked(desk.say(f"{name}.title"), *own[name]) for name in wanted]


def _lines(desk: Desk, task: Task, name: str, data: str, size: int) -> list[Line]:
    """The lines of what the page sent; raises UsageError or TaskError for a file that is none."""
    say = desk.say
    if not name:
        raise UsageError(say("upload.none"))
    if PurePath(name).suffix.lower() not in ENDINGS:
        raise UsageError(say("upload.ending", endings=", ".join(ENDINGS)))
    if max(size, len(data) * 3 // 4 - 2) > LARGEST:
        raise UsageError(say("file.large", most=LARGEST >> 20))
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):  # the page sends no such thing
        raw = b""
    if len(raw) != size:
        raise UsageError(say("upload.broken"))
    lines = list(lines_of(io.BytesIO(raw), printable(name, 80), task))
    if not lines:
        raise UsageError(say("file.empty"))
    if len(lines) > MOST:
        raise UsageError(say("file.many", most=f"{MOST:,}"))
    return lines


def _answered(
    desk: Desk,
    task: Task,
    lines: Sequence[Line],
    sides: Sequence[Asked],
    ticket: Event,
    found: list[Row],
) -> Iterator[tuple[str, int]]:
    """(notice, lines asked) now and then and at the end, to which Stop leads too.

    The rows come into `found`. Raises UsageError where no line could be asked.
    """
    told, failed, number, at = "", 0, 0, time.monotonic()
    for line in lines:
        work = _rows(desk, task, line, sides, ticket)
        rows = yield from waiting(work, partial(_first, number, desk))
        if not rows:
            break
        found += [row._replace(line=line.number, id=id_of(line)) for row in rows]
        number += 1
        failed = failed + 1 if all(row.way and row.error for row in rows) else 0
        if failed == TIRED:
            told = cards.notice(desk.say.told(rows[-1].error))
            break
        if time.monotonic() - at > TOLD_EVERY:
            yield told, number
            at = time.monotonic()
    if not found:
        raise UsageError(desk.say("batch.none"))
    if not any(row.way for row in found):
        raise UsageError(desk.say("file.none", why=found[0].error))
    if number < len(lines):
        told += cards.remark(desk.say("file.stopped", n=f"{number:,}", of=f"{len(lines):,}"))
    yield told, number


def _first(number: int, desk: Desk, n: int) -> tuple[str, int]:
    return ahead(n, desk), number


def _rows(
    desk: Desk, task: Task, line: Line, sides: Sequence[Asked], ticket: Event
) -> Generator[int, None, list[Row]]:
    """A row for each side, or the one that says why the line can't be asked; none once stopped.

    Yields how many others come first.
    """
    if ticket.is_set():
        return []
    problem = problem_of(task, line)
    if isinstance(problem, str):
        return [Row(error=desk.say.told(problem))]
    if len(problem.text) > LONGEST:
        told = desk.say("too_long", most=f"{LONGEST:,}")
        cut = problem.text[:CELL] + "…"
        return [Row(problem=cut, error=desk.say("file.line", n=line.number, why=told))]
    found = []
    for asked in sides:
        last = yield from live.waited(live.answer(problem, task, asked.side, desk.pool, ticket))
        if last.state == "stopped":
            return []
        found.append(row_of(problem, asked, last, task, desk))
    return found


def _far(number: int, total: int, desk: Desk) -> str:
    return bar(Progress(desk.say("file.asked"), number, total), desk.say)

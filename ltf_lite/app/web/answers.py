"""Answers to a file of problems: their rows, what they come to, and the two files of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

from ltf_lite.app.answer import live
from ltf_lite.app.web import cards
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.train import done
from ltf_lite.core.json_text import as_json
from ltf_lite.core.text import escape, printable
from ltf_lite.report.tables.base import csv_text
from ltf_lite.tasks import Problem, Task

SHOWN, CELL = 10, 120  # rows on the page, and characters of a cell there
KINDS = {"answers.jsonl": "application/x-ndjson", "answers.csv": "text/csv;charset=utf-8"}


class Row(NamedTuple):
    """What one side answered to a line, or why it could not; as both files have it.

    `line` is counted from 1, `id` is what the file itself calls the problem. `solved` is None where
    that can't be said.
    """

    line: int | None = None
    id: str | int | float | None = None
    problem: str = ""
    model: str = ""
    way: str = ""
    answer: str = ""
    solved: bool | None = None
    kind: str = ""
    verdict: str = ""
    tokens: int | None = None
    seconds: float | None = None
    error: str = ""


class Asked(NamedTuple):
    """A side of the form: what it is called on the page and in the files, and how it is asked."""

    title: str
    model: str
    side: live.Side


def row_of(problem: Problem, asked: Asked, last: live.Snapshot, task: Task, desk: Desk) -> Row:
    own = Row(problem=problem.text, model=asked.model, way=asked.side.way)
    verdict = last.verdict
    if last.state == "failed" or verdict is None:
        return own._replace(error=last.error)
    reason = cards.reason(verdict, last.lines, task, desk.say)
    return own._replace(
        answer=last.text.strip(),
        solved=None if verdict.kind in task.spared else verdict.correct,
        kind=verdict.kind or "",
        verdict=desk.say("verdict.solved") if verdict.correct else reason,
        tokens=last.tokens,
        seconds=round(last.seconds, 4),
    )


def shown(desk: Desk, sides: Sequence[Asked], found: Sequence[Row]) -> str:
    """What it came to, both files to download, and the first rows."""
    say = desk.say
    head = [say("problem"), say("file.answer"), say("metric.tokens"), say("metric.seconds")]
    head.append(say("file.verdict"))
    titles = {asked.side.way: asked.title for asked in sides}
    rows = [_cells(row, desk) for row in found[:SHOWN]]
    if len(sides) > 1:
        head.insert(1, say("pilot.way"))
        rows = [
            [cells[0], titles.get(row.way, ""), *cells[1:]]
            for cells, row in zip(rows, found, strict=False)
        ]
    first = say("file.first", n=len(rows), of=f"{len(found):,}")
    links = f'<p class="ltf-links">{escape(say("file.download"))} {_links(found)}</p>'
    return (
        f"{done(_summary(desk, sides, found))}{links}"
        f'<p class="ltf-dim">{escape(first)}</p>{cards.grid(head, rows)}'
    )


def _cells(row: Row, desk: Desk) -> list[str]:
    if row.error:
        return [printable(row.problem, CELL), "", "", "", printable(row.error, 2 * CELL)]
    mark = "?" if row.solved is None else "✓" if row.solved else "✗"
    return [
        printable(row.problem, CELL),
        printable(row.answer, CELL),
        f"{row.tokens:,}",
        cards.seconds(row.seconds),
        printable(f"{mark} {row.verdict}", 2 * CELL),
    ]


def _summary(desk: Desk, sides: Sequence[Asked], found: Sequence[Row]) -> str:
    """How many of each side are right, and how many lines could not be asked."""
    say, told = desk.say, []
    for title, _, side in sides:
        own = [row for row in found if row.way == side.way and not row.error]
        known = [row.solved for row in own if row.solved is not None]
        if known:
            told.append(say("file.solved", way=title, solved=sum(known), n=len(known)))
        elif own:
            told.append(say("file.unchecked", way=title, n=len(own)))
    if bad := sum(bool(row.error) for row in found):
        told.append(say("file.bad", n=f"{bad:,}"))
    return " ".join(told)


def _links(found: Sequence[Row]) -> str:
    """Links that hold the files themselves, so that nobody but who has this page has them."""
    return " · ".join(
        f'<a href="data:{KINDS[name]};base64,{base64.b64encode(text.encode()).decode()}" '
        f'download="{name}">{name}</a>'
        for name, text in files_of(found).items()
    )


def files_of(found: Sequence[Row]) -> dict[str, str]:
    """Name → text of a file; the CSV one holds no formula for a spreadsheet."""
    table = csv_text([Row._fields, *([_word(each) for each in row] for row in found)])
    return {
        "answers.jsonl": "".join(f"{as_json(row._asdict())}\n" for row in found),
        # without the mark a spreadsheet takes other letters for those of its own country
        "answers.csv": table if table.isascii() else f"\ufeff{table}",
    }


def _word(each: object) -> object:
    return str(each).lower() if isinstance(each, bool) else each

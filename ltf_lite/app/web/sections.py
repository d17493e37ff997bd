"""The sections of a run's report in the app's language, and as HTML for the app."""

from __future__ import annotations

from ltf_lite.app.web import cards
from ltf_lite.app.web.words import Say
from ltf_lite.core.text import escape
from ltf_lite.pipeline import Run
from ltf_lite.report.paths import Group
from ltf_lite.report.sections import sections
from ltf_lite.report.tables.base import Cell, Table
from ltf_lite.report.told import Picture, Section

LINES = ("right", "fatal", "after", "missing")  # states of a path's line in a card


def of_run(run: Run, say: Say) -> list[Section]:
    """Every section that the run has data for, in the app's language.

    Raises BrokenFile where a file is not what the run wrote.
    """
    run.check()
    found = sections(run.at, run.manifest, run.preset, words=say.picture("figure"))
    return [_said(section, say) for section in found]


def _said(section: Section, say: Say) -> Section:
    """A section in the app's language: what other rooms wrote of it is known by its English."""
    name = section.name
    return section._replace(
        title=say.known(f"section.{name}", section.title),
        text=say.known(f"text.{name}", section.text) if section.text else "",
        alarm=say.told(section.alarm),
        pictures=[_labelled(each, say) for each in section.pictures],
        tables=[_table_said(each, say) for each in section.tables],
        groups=[_group_said(each, say) for each in section.groups],
    )


def _labelled(picture: Picture, say: Say) -> Picture:
    return picture._replace(label=say.known(f"picture.{picture.name}", picture.label))


def _table_said(table: Table, say: Say) -> Table:
    said = table._replace(
        title=say.known(f"table.{table.name}", table.title) if table.title else "",
        head=tuple(_column(name, say) for name in table.head),
        note=say.told(table.note),
    )
    if table.name == "manifest":  # settings and their values
        return said
    return said._replace(rows=[tuple(_cell(each, say) for each in row) for row in table.rows])


def _cell(each: Cell, say: Say) -> Cell:
    return each._replace(shown=say.told(each.shown))


def _column(name: str, say: Say) -> str:
    """A column's name, of failure kinds among them."""
    return say.known(f"column.{name}", say.name(name))


def _group_said(group: Group, say: Say) -> Group:
    return group._replace(
        title=say.told(group.title), cards=[_card_said(each, say) for each in group.cards]
    )


def _card_said(card: Table, say: Say) -> Table:
    """A path: what was written stays, what is said of it is in the app's language."""
    model, colon, problem = card.title.partition(": ")
    title = f"{say.told(model)}: {problem}" if colon and model in ("base", "tuned") else card.title
    rows = [
        (_cell(state, say), text if state.value in LINES else _cell(text, say))
        for state, text in card.rows
    ]
    return card._replace(title=title, rows=rows)


def html(section: Section, say: Say, verdict: str = "") -> str:
    """A section: its alarm, its verdict and sentences, pictures, tables and paths."""
    text = f'<p class="ltf-lead">{escape(section.text)}</p>' if section.text else ""
    if verdict and text:  # the verdict says what it comes to
        text = cards.folded(say("in_detail"), text)
    pictures = "".join(map(_picture, section.pictures))
    shown = f'<div class="ltf-two">{pictures}</div>' if pictures else ""
    tables = "".join(_table(each, say) for each in section.tables)
    groups = "".join(_group(each, say) for each in section.groups)
    return (
        f'<section id="runs-{escape(section.name)}"><h3>{escape(section.title)}</h3>'
        f"{cards.notice(section.alarm)}{verdict}{text}{shown}{tables}{groups}</section>"
    )


def _picture(picture: Picture) -> str:
    return cards.part(picture.label, cards.figure(picture.figure, picture.spoken))


def _table(table: Table, say: Say) -> str:
    """A table, folded: what it comes to stands above it in words or as a picture."""
    rows = [[each.shown for each in row] for row in table.rows]
    note = f'<p class="ltf-dim">{escape(table.note)}</p>' if table.note else ""
    return cards.folded(table.title or say("as_table"), cards.grid(table.head, rows) + note)


def _group(group: Group, say: Say) -> str:
    return cards.folded(
        group.title,
        f'<div class="ltf-cards">{"".join(_path(card, say) for card in group.cards)}</div>',
    )


def _path(card: Table, say: Say) -> str:
    """A path of the report: its verdict first, its lines, then what is said of it."""
    verdict, *rows = card.rows
    look = "good" if verdict[0].value == "solved" else "bad"
    lines = "".join(
        cards.step_line(text.shown, state.value, say)
        for state, text in rows
        if state.value in LINES
    )
    said = "".join(
        f'<p class="ltf-dim">{escape(text.shown)}</p>'
        for state, text in rows
        if state.value not in LINES
    )
    return (
        f'<article class="ltf-pane ltf-{look}"><div class="ltf-title">{escape(card.title)}</div>'
        f'<p class="ltf-state"><strong>{escape(verdict[0].shown)}</strong> '
        f'{escape(verdict[1].shown)}</p><ol class="ltf-path">{lines}</ol>{said}</article>'
    )

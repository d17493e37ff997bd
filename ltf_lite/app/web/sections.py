"""The sections of a run's report as HTML for the app, their titles in the app's language."""

from __future__ import annotations

from ltf_lite.app.web import cards
from ltf_lite.app.web.words import Say
from ltf_lite.core.text import escape
from ltf_lite.pipeline import Run
from ltf_lite.report.paths import Group
from ltf_lite.report.sections import Picture, Section, sections
from ltf_lite.report.tables.base import Table

LINES = ("right", "fatal", "after", "missing")  # states of a path's line in a card


def of_run(run: Run, say: Say) -> list[Section]:
    """Every section that the run has data for, its pictures in the app's language.

    Raises BrokenFile where a file is not what the run wrote.
    """
    run.check()
    return sections(run.at, run.manifest, run.preset, words=say.picture("figure"))


def html(section: Section, say: Say, verdict: str = "") -> str:
    """A section: its alarm, its verdict and sentences, pictures, tables and paths."""
    title = say.known(f"section.{section.name}", section.title)
    told = say.known(f"text.{section.name}", section.text)
    text = f'<p class="ltf-lead">{escape(told)}</p>' if told else ""
    if verdict and text:  # the verdict says what it comes to
        text = cards.folded(say("in_detail"), text)
    pictures = "".join(_picture(each, say) for each in section.pictures)
    shown = f'<div class="ltf-two">{pictures}</div>' if pictures else ""
    tables = "".join(_table(each, say) for each in section.tables)
    groups = "".join(_group(each, say) for each in section.groups)
    return (
        f'<section id="runs-{escape(section.name)}"><h3>{escape(title)}</h3>'
        f"{cards.notice(section.alarm)}{verdict}{text}{shown}{tables}{groups}</section>"
    )


def _picture(picture: Picture, say: Say) -> str:
    label = say.known(f"picture.{picture.name}", picture.label)
    return cards.part(label, cards.figure(picture.figure, label))


def _table(table: Table, say: Say) -> str:
    """A table, folded: what it comes to stands above it in words or as a picture."""
    rows = [[each.shown for each in row] for row in table.rows]
    note = f'<p class="ltf-dim">{escape(table.note)}</p>' if table.note else ""
    title = say.known(f"table.{table.name}", table.title) or say("as_table")
    return cards.folded(title, cards.grid([_column(name, say) for name in table.head], rows) + note)


def _column(name: str, say: Say) -> str:
    """A column's name, of failure kinds among them."""
    return say.known(f"column.{name}", say.name(name))


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

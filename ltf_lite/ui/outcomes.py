"""What a run's records show beside its success: what was kept, how paths failed, what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ltf_lite.evaluation.cost import Price
from ltf_lite.evaluation.retention import HELDOUT_NLL
from ltf_lite.files import read_json
from ltf_lite.presets import Preset
from ltf_lite.report import cost_tables
from ltf_lite.report.drawing import WORDS
from ltf_lite.report.figures import kinds_figure
from ltf_lite.report.figures_cost import break_even_figure, budget_figure
from ltf_lite.report.figures_kept import ability_word, kinds_change_figure, retention_figure
from ltf_lite.report.kept_tables import checkpoints_table, retention_table
from ltf_lite.report.kinds_tables import kinds_change_table, kinds_table
from ltf_lite.report.results import records
from ltf_lite.report.success_tables import budget_points, budget_table
from ltf_lite.report.tables import Table, as_markdown
from ltf_lite.tuning.checkpoints import best
from ltf_lite.ui import cards
from ltf_lite.ui.words import Say

Shown = tuple[str, list[Table]]  # HTML, and the same as tables; "" and none where nothing is known


def below_floor(lost: Sequence[Mapping[str, Any]], say: Say) -> str:
    """A loud notice where the adapter that tuning kept lost more than the preset allows.

    `lost` are the rows of `evaluation.retention.missed`.
    """
    words = figure_words(say)
    what = "; ".join(
        say("runs.risen" if row["ability"] == HELDOUT_NLL else "runs.lost",
            ability=ability_word(row["ability"], words), kept=f"{row['kept']:.2f}",
            floor=f"{row['floor']:g}")
        for row in lost
    )  # fmt: skip
    return cards.notice(say("runs.below", what=what)) if lost else ""


def kept(folder: Path, preset: Preset, lines: list[dict[str, Any]], say: Say) -> Shown:
    """The base's abilities over the checkpoints, and before and after tuning."""
    file, floors = folder / "tuning" / "base.json", preset.retention.floors()
    base = read_json(file) if file.is_file() else None
    tables, html = [retention_table(folder)], ""
    if base and any(line.get("kept") for line in lines):
        drawn = retention_figure(base, lines, floors, figure_words(say))
        html = cards.part(say("runs.retention"), cards.figure(drawn, say("runs.retention")))
        tables.insert(0, checkpoints_table(base, lines, floors, best(lines)["step"]))
    return html, [table for table in tables if table]


def failed(folder: Path, say: Say) -> Shown:
    """How paths ended before and after tuning, and which failures went away and which came."""
    made, words, title = records(folder), figure_words(say), say("runs.kinds")
    if not made:
        return "", []
    parts = [cards.part(title, cards.figure(kinds_figure(made, words), title))]
    tables = [kinds_table(folder)]
    if change := kinds_change_table(made):
        title = say("runs.change")
        drawn = cards.figure(kinds_change_figure(made, words), title)
        parts.append(cards.part(title, drawn))
        tables.append(change)
    return beside(parts), tables


def budgets(folder: Path, preset: Preset, say: Say) -> Shown:
    """Success at equal token budgets."""
    points = budget_points(folder, preset.budgets.tokens) if preset.budgets else []
    table, title = budget_table(points), say("runs.budgets")
    if not table:
        return "", []
    drawn = budget_figure(points, figure_words(say))
    return cards.part(title, cards.figure(drawn, title)), [table]


def paid(folder: Path, stages: Mapping[str, Any], say: Say) -> Shown:
    """When training has paid for itself, at the price that is assumed where nobody says."""
    result, title = cost_tables.paid(folder, stages, Price()), say("runs.break_even")
    if not result:
        return "", []
    drawn = break_even_figure(result, figure_words(say))
    lead = f'<p class="ltf-lead">{escape(cost_tables.in_words(result))}</p>'
    html = cards.part(title, lead + cards.figure(drawn, title))
    return html, [cost_tables.break_even_table(result)]


def beside(parts: Iterable[str]) -> str:
    """Parts beside each other where the page is wide enough."""
    whole = "".join(parts)
    return f'<div class="ltf-two">{whole}</div>' if whole else ""


def as_text(tables: Iterable[Table]) -> str:
    """Tables under their titles, in Markdown."""
    return "\n\n".join(f"### {table.title}\n{as_markdown(table)}" for table in tables)


def figure_words(say: Say) -> Mapping[str, str]:
    return cards.words_of("figure", WORDS, say)

"""What a progress bar shows in a terminal: count and time left at any width, the rest with room.

Apart from `progress`, as rich takes a tenth of a second to import.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from ltf_lite.core.progress import duration

NAME = 34  # characters of a bar's name
FACTS = 34  # of count and time left, with the blanks around them
BARRED, FULL = 78, 98  # columns from which there is room for a bar, and for the time so far


class Left(ProgressColumn):
    """The time that is left, as a person writes it; at the end the time that it took."""

    max_refresh = 0.5  # seconds

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"in {duration(task.finished_time or 0)}", "progress.remaining")
        left = task.time_remaining
        return Text("" if left is None else f"{duration(left)} left", "progress.remaining")


class SoFar(ProgressColumn):
    """The time since the beginning."""

    def render(self, task: Task) -> Text:
        return Text("" if task.finished else duration(task.elapsed or 0), "progress.elapsed")


def progress(console: Console) -> Progress:
    """Bars that fit into the width of a terminal; the task field `note` is shown where it fits."""
    width = console.width
    name = max(8, min(NAME, width - FACTS))
    cut = Column(width=name, no_wrap=True, overflow="ellipsis")
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False, table_column=cut)
    ]
    if width >= BARRED:
        columns.append(BarColumn(bar_width=max(8, min(24, (width - name - FACTS) // 3))))
    columns += [
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        Left(table_column=Column(no_wrap=True)),
    ]
    if width >= FULL:
        columns.append(SoFar(table_column=Column(no_wrap=True)))
    # a note is text, whatever is in it
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns.append(TextColumn("{task.fields[note]}", markup=False, table_column=rest))
    return Progress(*columns, console=console, expand=True)

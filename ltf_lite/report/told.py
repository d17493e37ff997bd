"""A run as a report sees it, and what the parts of a report are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from matplotlib.figure import Figure

from ltf_lite.core.files import read_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest
from ltf_lite.evaluation.cost import Price
from ltf_lite.evaluation.retention import floors_of, missed, said
from ltf_lite.evaluation.types import Abilities, Record, Result, read_abilities
from ltf_lite.presets import Preset
from ltf_lite.report import paths
from ltf_lite.report.kinds import Titles, titles_in
from ltf_lite.report.results import records, rows_of
from ltf_lite.report.tables import differences as difference_tables
from ltf_lite.report.tables.base import Table
from ltf_lite.tuning.types import LogLine, TuningResult, best_line, read_log


class Picture(NamedTuple):
    """A figure, the name of its PNG file, and its title for who cannot see it.

    `says` is what it comes to, where its words say that.
    """

    name: str
    label: str
    figure: Figure
    says: str = ""

    @property
    def spoken(self) -> str:
        """What a screen reader says."""
        return self.says or self.label


class Section(NamedTuple):
    """A part of the page: sentences, pictures, tables, then groups of paths; `alarm` is loud."""

    name: str
    title: str
    text: str = ""
    alarm: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    groups: Sequence[paths.Group] = ()


@dataclass(frozen=True)
class Told:
    """A run as far as it is done: what was asked for, and what its folder holds."""

    folder: RunFolder
    manifest: Manifest
    preset: Preset
    price: Price
    words: Mapping[str, str]

    @property
    def task(self) -> str:
        return self.preset.task.name

    @property
    def floors(self) -> dict[str, float]:
        """Floors by kind of ability."""
        return self.preset.retention.floors()

    @property
    def titles(self) -> Titles:
        """What the reasoners of the search are called, by their labels."""
        return titles_in(self.preset, self.words)

    @cached_property
    def records(self) -> list[Record]:
        return records(self.folder, self.task)

    @cached_property
    def results(self) -> list[Result]:
        return rows_of(self.records)

    @cached_property
    def differences(self) -> difference_tables.Differences:
        return difference_tables.differences(self.folder, self.task)

    @cached_property
    def log(self) -> list[LogLine]:
        return read_log(self.folder.tuning_log)

    @cached_property
    def tuned(self) -> TuningResult | None:
        file = self.folder.tuning_result
        return read_as(file, TuningResult) if file.is_file() else None

    @cached_property
    def base(self) -> Abilities | None:
        """What the base could do before it was tuned."""
        file = self.folder.base_abilities
        return read_abilities(file, self.task) if file.is_file() else None

    @property
    def kept(self) -> int | None:
        """The step that was kept, so far where tuning is not done."""
        if self.tuned:
            return self.tuned.step
        return best_line(self.log).step if self.log else None

    @property
    def below(self) -> str:
        """What the kept checkpoint has lost more of than the preset allows; "" for nothing."""
        if not self.tuned:
            return ""
        floors = floors_of(self.base.abilities, self.floors) if self.base else self.floors
        found = missed(self.tuned.validation.kept, floors)
        what = "; ".join(map(said, found))
        return f"The kept checkpoint is below a floor: {what}." if found else ""

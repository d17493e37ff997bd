"""The grid of a sweep: every combination of the values that were asked for, each as a preset."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ltf_lite.core.yaml_text import SyntaxFault, YamlError, load_yaml
from ltf_lite.presets import Preset, PresetError, parse
from ltf_lite.tuning import Tuning
from ltf_lite.tuning.methods import METHODS

SECTIONS = ("tuning", "harvest")
FAILURES = "failures_per_problem"
MOST = 1000  # cells of a grid

Settings = dict[str, Any]


class Cell(NamedTuple):
    """One combination: what was set, as the schema reads it, and the preset that this makes."""

    settings: Settings
    preset: Preset

    @property
    def label(self) -> str:
        told = (f"{name}={shown(value)}" for name, value in self.settings.items())
        return " ".join(told) or "as in the preset"

    @property
    def id(self) -> str:
        """A name for its folder."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", self.label)

    def seeded(self, seed: int) -> Preset:
        tuning = self.preset.tuning.model_copy(update={"seed": seed})
        return self.preset.model_copy(update={"tuning": tuning})


class _Name(NamedTuple):
    """A setting: its section of the preset and its key there."""

    section: str
    key: str

    @classmethod
    def of(cls, name: str) -> _Name:
        """A name without a dot is a tuning setting."""
        section, dot, key = name.partition(".")
        return cls(section, key) if dot else cls("tuning", section)

    def __str__(self) -> str:
        return self.key if self.section == "tuning" else f"{self.section}.{self.key}"

    def check(self) -> None:
        """PresetError for a setting that the cells of a sweep can't differ in."""
        if self.section not in SECTIONS:
            raise PresetError(
                f"--set {self}: a sweep varies the settings of {' and '.join(SECTIONS)} only; "
                "what depends on others is not shared: run `ltf train` with another preset"
            )
        if self == ("tuning", "seed"):
            raise PresetError("--set seed: the seeds of a sweep are given by --seeds")


def shown(value: Any) -> str:
    """A value as a table shows it."""
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def grid(preset: Preset, pairs: Sequence[str]) -> list[Cell]:
    """The cells of `["method=sft,uft", "alpha=1e-5,1e-4"]`, equal ones once.

    Raises PresetError for what no preset could say, and for a setting that no method of the grid
    knows.
    """
    return _crossed(preset, _values(pairs))


def grids(preset: Preset) -> dict[str, list[Cell]]:
    """The cells of each grid that the preset itself names; none where it names none.

    Raises PresetError as `grid` does.
    """
    named = preset.sweep.grids if preset.sweep else {}
    found = {}
    for title, asked in named.items():
        try:
            values: dict[_Name, list[Any]] = {}
            for told, each in asked.items():
                name = _Name.of(told)
                name.check()
                if name in values:
                    raise PresetError(f"{name} is given twice: write all its values in one")
                values[name] = each
            found[title] = _crossed(preset, values)
        except PresetError as error:
            reason = str(error).removeprefix("--set ").removeprefix("--set: ")
            raise PresetError(f"sweep.grids.{title}: {reason}") from error
    return found


def _crossed(preset: Preset, asked: Mapping[_Name, list[Any]]) -> list[Cell]:
    """A cell for each combination of the values, equal ones once."""
    asked_for = math.prod(map(len, asked.values()))
    if asked_for > MOST:
        raise PresetError(f"--set: {asked_for} combinations are more than the {MOST} of a sweep")
    found: dict[str, Cell] = {}
    for values in itertools.product(*asked.values()):
        cell = _cell(preset, dict(zip(asked, values, strict=True)))
        found.setdefault(cell.id, cell)
    for name in asked:
        if not any(str(name) in cell.settings for cell in found.values()):
            methods = sorted({cell.preset.tuning.method for cell in found.values()})
            raise PresetError(
                f"--set {name}: no method of this sweep ({', '.join(methods)}) knows {name}: leave "
                "it out"
            )
    return list(found.values())


def cell_of(preset: Preset, settings: Mapping[str, Any]) -> Cell:
    """The preset with these settings, without those that its method does not know.

    Raises PresetError that names the setting.
    """
    return _cell(preset, {_Name.of(name): value for name, value in settings.items()})


def _cell(preset: Preset, settings: Mapping[_Name, Any]) -> Cell:
    told = preset.model_dump(mode="json")
    # Without the defaults: those of the method that the cell names take their place.
    tuning = preset.tuning.model_dump(mode="json", exclude_defaults=True)
    sections: dict[str, Settings] = {
        "tuning": {"method": preset.tuning.method, **tuning},
        "harvest": told["harvest"],
    }
    for name, value in settings.items():
        sections[name.section][name.key] = value
    for key in _of_others(sections["tuning"]["method"]):
        sections["tuning"].pop(key, None)
    made = parse({**told, **sections}, "--set")
    if not _forgets(made.tuning):  # it draws its successes whatever the failures are
        sections["harvest"].pop(FAILURES, None)
        made = parse({**told, **sections}, "--set")
    return Cell({str(n): v for n, v in _all_settings(made).items() if n in settings}, made)


def _of_others(method: str) -> set[str]:
    """The settings of other methods that this one does not know."""
    if method not in METHODS.names():
        return set()
    every = {key for each in METHODS.all() for key in each.model_fields}
    return every - set(METHODS.get(method).model_fields)


def _forgets(tuning: Tuning) -> bool:
    return tuning.failures(tuning.batch * tuning.accumulation) > 0


def _all_settings(preset: Preset) -> dict[_Name, Any]:
    """What a cell may set, in an order that does not depend on how it was asked.

    The method comes first, then what only it knows.
    """
    tuning = preset.tuning
    ordered = {"method": tuning.method, **tuning.own(), **dict(tuning)}
    found = {_Name("tuning", key): value for key, value in ordered.items()}
    failures = () if _forgets(tuning) else (FAILURES,)
    return found | {
        _Name("harvest", key): value for key, value in preset.harvest if key not in failures
    }


def _values(pairs: Sequence[str]) -> dict[_Name, list[Any]]:
    """The values of each name."""
    found: dict[_Name, list[Any]] = {}
    for pair in pairs:
        told, _, text = pair.partition("=")
        name = _Name.of(told)
        name.check()
        if name in found:
            raise PresetError(f"--set {name}: given twice; write all its values in one")
        try:
            found[name] = load_yaml(f"[{text}]", f"--set {name}")
        except SyntaxFault:
            found[name] = []
        except YamlError as error:
            raise PresetError(str(error)) from error
        if not name.key or not found[name]:
            raise PresetError(f"--set takes NAME=VALUE,VALUE,..., not {pair!r}")
    return found

"""The grid of a sweep: every combination of the values that were asked for, each as a preset."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from ltf_lite.preset_schema import METHOD_SETTINGS, foreign
from ltf_lite.presets import Preset, PresetError, parse

SECTIONS = ("tuning", "harvest")
FAILURES = "harvest.failures_per_problem"


class Cell(NamedTuple):
    """One combination: what was set, as the schema reads it, and the preset that this makes."""

    settings: dict[str, Any]
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


def shown(value: Any) -> str:
    """A value as a table shows it."""
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def grid(preset: Preset, pairs: Sequence[str]) -> list[Cell]:
    """The cells of `["method=sft,uft", "alpha=1e-5,1e-4"]`, equal ones once.

    A name without a dot is a tuning setting. Raises PresetError for what no preset could say, and
    for a setting that no method of the grid knows.
    """
    return _crossed(preset, _values(pairs))


def grids(preset: Preset) -> dict[str, list[Cell]]:
    """The cells of each grid that the preset itself names; none where it names none.

    Raises PresetError as `grid` does.
    """
    named = preset.sweep.grids if preset.sweep else {}
    found = {}
    for name, asked in named.items():
        try:
            for setting in asked:
                _check_name(setting)
            found[name] = _crossed(preset, {_short(k): v for k, v in asked.items()})
        except PresetError as error:
            reason = str(error).removeprefix("--set ").removeprefix("--set: ")
            raise PresetError(f"sweep.grids.{name}: {reason}") from error
    return found


def _crossed(preset: Preset, asked: dict[str, list[Any]]) -> list[Cell]:
    """A cell for each combination of the values, equal ones once."""
    found: dict[str, Cell] = {}
    for values in itertools.product(*asked.values()):
        cell = cell_of(preset, dict(zip(asked, values, strict=True)))
        found.setdefault(cell.id, cell)
    for name in asked:
        if not any(name in cell.settings for cell in found.values()):
            methods = sorted({cell.preset.tuning.method for cell in found.values()})
            raise PresetError(
                f"--set {name}: no method of this sweep ({', '.join(methods)}) knows {name}: leave "
                "it out"
            )
    return list(found.values())


def cell_of(preset: Preset, settings: dict[str, Any]) -> Cell:
    """The preset with these settings, without those that its method does not know.

    Raises PresetError that names the setting.
    """
    data = preset.model_dump(mode="json")
    for name, value in settings.items():
        section, key = _way(name)
        data[section][key] = value
    method = data["tuning"]["method"]
    unknown = set(foreign(method)) if method in list(METHOD_SETTINGS) else set()
    for name in unknown:
        data["tuning"].pop(name, None)
    if method == "sft":  # it draws its successes whatever the failures are
        unknown.add(FAILURES)
        data["harvest"].pop("failures_per_problem", None)
    made = parse(data, "--set")
    # In the schema's order, so that a cell has one name whatever the order it was asked in.
    values = {
        (key if section == "tuning" else f"{section}.{key}"): value
        for section in SECTIONS
        for key, value in getattr(made, section)
    }
    return Cell({n: v for n, v in values.items() if n in settings and n not in unknown}, made)


def _way(name: str) -> tuple[str, str]:
    """Section and key of a name."""
    section, dot, key = name.partition(".")
    return (section, key) if dot else ("tuning", section)


def _short(name: str) -> str:
    return name.removeprefix("tuning.")


def _check_name(name: str) -> None:
    """PresetError for a setting that the cells of a sweep can't differ in."""
    section, key = _way(name)
    if section not in SECTIONS:
        raise PresetError(
            f"--set {name}: a sweep varies the settings of {' and '.join(SECTIONS)} only; "
            "what depends on others is not shared: run `ltf train` with another preset"
        )
    if (section, key) == ("tuning", "seed"):
        raise PresetError("--set seed: the seeds of a sweep are given by --seeds")


def _values(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """Name → values, `tuning.` left out of the names."""
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        name = _short(name)
        _check_name(name)
        if name in found:
            raise PresetError(f"--set {name}: given twice; write all its values in one")
        try:
            found[name] = yaml.safe_load(f"[{text}]")
        except yaml.YAMLError:
            found[name] = []
        if not _way(name)[1] or not found[name]:
            raise PresetError(f"--set takes NAME=VALUE,VALUE,..., not {pair!r}")
    return found

"""The numbers of a sweep: single pass, searches and what is left of them, over the seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

from scipy.stats import t

from ltf_lite.evaluation.success import wilson
from ltf_lite.evaluation.types import Result
from ltf_lite.reasoners import Choice

Settings = dict[str, Any]


class Key(NamedTuple):
    """A reasoner with its settings, and how it chooses."""

    label: str
    choice: Choice


@dataclass(frozen=True)
class CellResult:
    """What one tuning of a sweep came to, as it lies on disk.

    `input` is a hash of what it depends on. `below` names the abilities below their floor of which
    no checkpoint had more. `results` are those of the tuned model.
    """

    input: str
    settings: Settings
    seed: int
    tuning_seconds: float
    below: tuple[str, ...]
    results: tuple[Result, ...]


class Group(NamedTuple):
    """A cell of the grid: its result by seed, and why a seed failed.

    `twin` is the name of the same cell by sft.
    """

    name: str
    settings: Settings
    twin: str | None
    results: Mapping[int, CellResult]
    failures: Mapping[int, str]


@dataclass(frozen=True)
class Column:
    """An ability of the table: of how many problems, and whether it is a search."""

    n: int
    search: bool


@dataclass(frozen=True)
class Average:
    """A rate over the seeds with its 95 % interval; `kept` is it over the base's."""

    rate: float
    low: float
    high: float
    kept: float | None = None


@dataclass(frozen=True)
class SweepRow:
    """The base, or a cell over its seeds.

    `below` and `failed` are by seed: abilities below their floor, and why a tuning failed.
    `tuning_seconds` is the median of one.
    """

    cell: str
    settings: Settings = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    below: dict[int, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    tuning_seconds: float | None = None
    valid_steps: float | None = None
    abilities: dict[str, Average] = field(default_factory=dict)


@dataclass(frozen=True)
class Gain:
    """What is solved more than by sft, as a share of the problems; one seed has no interval."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class GainRow:
    """A cell beside the same cell by sft, over the seeds that both have."""

    cell: str
    settings: Settings
    seeds: tuple[int, ...]
    abilities: dict[str, Gain]


@dataclass(frozen=True)
class SweepTable:
    """The base's row, then one a cell; `grids` has the cells' names by grid."""

    preset: str
    settings: tuple[str, ...]
    abilities: dict[str, Column]
    rows: tuple[SweepRow, ...]
    beside_sft: tuple[GainRow, ...]
    grids: dict[str, tuple[str, ...]]


def sweep_table(
    preset: str,
    base: Iterable[Result],
    groups: Sequence[Group],
    grids: Mapping[str, Sequence[str]],
) -> SweepTable:
    """The table of a sweep. Abilities are the single pass and every search without a verifier."""
    own = [result for result in base if result.model == "base"]
    names = _names(own)
    before = {names[key]: result for result in own if (key := _key(result)) in names}
    single = next(iter(before.values()))
    abilities = {
        name: Average(one.rate.rate, one.rate.low, one.rate.high) for name, one in before.items()
    }
    first = SweepRow("base", valid_steps=single.valid_steps, abilities=abilities)
    most = sorted((group.settings for group in groups), key=len, reverse=True)
    return SweepTable(
        preset=preset,
        settings=tuple(dict.fromkeys(name for settings in most for name in settings)),
        abilities={n: Column(one.rate.n, one.choice.is_search) for n, one in before.items()},
        rows=(first, *(_row(group, names, before) for group in groups)),
        beside_sft=tuple(_beside_sft(groups, names)),
        grids={name: tuple(cells) for name, cells in grids.items() if name},
    )


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean of independent values, two or more."""
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def _key(result: Result) -> Key:
    return Key(result.label, result.choice)


def _names(base: Sequence[Result]) -> dict[Key, str]:
    """The abilities' names, single pass first; what has the same name shows its settings."""
    chosen = [one for one in base if one.choice.kind == "single_pass"]
    chosen += [one for one in base if one.choice.is_search]
    count = Counter(one.answer for one in chosen)
    return {
        _key(one): one.answer if count[one.answer] == 1 else f"{one.answer} ({one.label})"
        for one in chosen
    }


def _named(cell: CellResult, names: Mapping[Key, str]) -> dict[str, Result]:
    return {names[key]: one for one in cell.results if (key := _key(one)) in names}


def _row(group: Group, names: Mapping[Key, str], before: Mapping[str, Result]) -> SweepRow:
    cells = [group.results[seed] for seed in sorted(group.results)]
    found = [_named(cell, names) for cell in cells]
    single = next(iter(before))
    valid = [share for each in found if (share := each[single].valid_steps) is not None]
    abilities = {
        name: _average([each[name] for each in found], before[name])
        for name in (before if found else ())
    }
    return SweepRow(
        cell=group.name,
        settings=group.settings,
        seeds=tuple(sorted(group.results)),
        below={seed: one.below for seed, one in sorted(group.results.items()) if one.below},
        failed=dict(group.failures),
        tuning_seconds=median(cell.tuning_seconds for cell in cells) if cells else None,
        valid_steps=fmean(valid) if valid and len(valid) == len(found) else None,
        abilities=abilities,
    )


def _average(results: Sequence[Result], base: Result) -> Average:
    """The mean over the seeds.

    Its interval is of the seeds or of the problems, whichever reaches further: the seeds all answer
    the same problems.
    """
    rates = [one.rate.rate for one in results]
    mean, low, high, n = fmean(rates), results[0].rate.low, results[0].rate.high, results[0].rate.n
    if len(rates) > 1:
        lows, highs = zip(t_interval(rates), wilson(round(mean * n), n), strict=True)
        low, high = min(lows), max(highs)
    kept = mean / base.rate.rate if base.rate.rate else None
    return Average(mean, max(0.0, low), min(1.0, high), kept)


def _beside_sft(groups: Sequence[Group], names: Mapping[Key, str]) -> list[GainRow]:
    known = {group.name: group for group in groups}
    found = []
    for group in groups:
        twin = known.get(group.twin or "")
        seeds = sorted(group.results.keys() & twin.results.keys()) if twin else []
        if not twin or not seeds:
            continue
        ours = [_named(group.results[seed], names) for seed in seeds]
        theirs = [_named(twin.results[seed], names) for seed in seeds]
        gains = {
            name: _gain(
                [a[name].rate.rate - b[name].rate.rate for a, b in zip(ours, theirs, strict=True)]
            )
            for name in ours[0]
        }
        found.append(GainRow(group.name, group.settings, tuple(seeds), gains))
    return found


def _gain(differences: Sequence[float]) -> Gain:
    low, high = t_interval(differences) if len(differences) > 1 else (None, None)
    return Gain(fmean(differences), low, high)

"""`ltf sweep`: one search and many tunings on its harvest, each over several seeds, in one table.

The folder holds a run that is shared (problems, baseline, search) and one run for each cell and
seed (tune, merge, evaluate), which begins with hard links to what is shared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ltf_lite.core.files import BrokenFile, read_as, set_aside, write_as, write_text
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import read_manifest
from ltf_lite.core.progress import duration, say
from ltf_lite.evaluation.sweep import CellResult, Group, SweepTable, sweep_table
from ltf_lite.pipeline.abilities import below
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run.adopt import SHARED, adopt
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.pipeline.run.lock import locked
from ltf_lite.pipeline.run.mend import remove
from ltf_lite.pipeline.sweep.grid import Cell, cell_of
from ltf_lite.pipeline.train import check, finish
from ltf_lite.presets import Preset, PresetError
from ltf_lite.report.results import results
from ltf_lite.report.sweep import as_csv, as_markdown
from ltf_lite.tuning.types import TuningResult

OWN = tuple(s for s in STAGES if s.name in ("tune", "merge", "evaluate"))
PARTS = tuple(sorted({part for stage in (*SHARED, *OWN) for part in stage.parts}))

Failures = dict[str, dict[int, str]]  # cell → seed → why it failed
Results = dict[int, CellResult]  # of a cell, by seed


@dataclass(frozen=True)
class SweepFolder:
    """Where everything of a sweep lies."""

    path: Path

    @property
    def shared(self) -> Path:
        return self.path / "shared"

    @property
    def asked(self) -> Path:
        return self.path / "sweep.json"

    @property
    def table(self) -> Path:
        return self.path / "results.csv"

    @property
    def page(self) -> Path:
        return self.path / "sweep.md"

    def cell(self, cell: Cell, seed: int) -> Path:
        """The run of a cell with a seed."""
        return self.path / "cells" / cell.id / f"seed-{seed}"

    def results(self) -> list[Path]:
        return sorted(self.path.glob("cells/*/seed-*/result.json"))


@dataclass(frozen=True)
class Asked:
    """What a sweep was asked for, as its folder tells it: the settings of each cell by its id."""

    preset: dict[str, Any]
    seeds: int
    cells: dict[str, dict[str, Any]]


def sweep(
    preset: Preset,
    grids: Mapping[str, Sequence[Cell]],
    seeds: int,
    folder: Path,
    source: Run | None = None,
) -> SweepTable:
    """Run what is not done of the grids' cells × seeds; returns the table, which is on disk then.

    A `source` lends what it shares with the preset. A cell of several grids is run once. The table
    also has the cells of earlier grids in this folder, where their results still hold. A cell that
    fails says so in its row and stops no other. Raises RunError if the sweep cannot start or go on,
    or TaskError before anything is written.
    """
    check(preset)
    at = SweepFolder(folder)
    cells = list({cell.id: cell for cells in grids.values() for cell in cells}.values())
    names = {name: [cell.id for cell in cells] for name, cells in grids.items()}
    with locked(folder):
        _claim(at, preset)
        say("Shared by all cells:")
        shared = _run(at.shared, preset)
        if source is not None:
            adopt(shared, source)
        finish(shared, SHARED)
        settings = {cell.id: cell.settings for cell in cells}
        write_as(at.asked, Asked(shared.manifest.preset, seeds, settings))
        table = partial(_write_table, at, shared, cells, names)
        return table(_run_cells(at, shared, cells, seeds, table))


def _claim(at: SweepFolder, preset: Preset) -> None:
    """RunError if the folder holds anything but a sweep of this preset."""
    run = RunFolder(at.shared)
    if run.manifest.is_file():
        try:
            name = read_manifest(run).preset.get("name")
        except BrokenFile:
            return  # it is set aside before the run of what is shared begins anew
        if name != preset.name:
            raise RunError(
                f"{at.path} holds a sweep of the preset {name!r}, not {preset.name!r}: name "
                "another folder with --out"
            )
        return
    own = (RunFolder(at.path).lock.name, at.shared.name)
    if any(path.name not in own for path in at.path.iterdir()):
        raise RunError(f"{at.path} is not empty and is no sweep: name another folder with --out")


def _run(folder: Path, preset: Preset) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run.prepare(folder, preset, False)


def _run_cells(
    at: SweepFolder,
    shared: Run,
    cells: Sequence[Cell],
    seeds: int,
    table: Callable[[Failures], SweepTable],
) -> Failures:
    """Run what has no result yet, every cell with one seed first; why each that failed did."""
    work = [(cell, seed) for seed in range(seeds) for cell in cells]
    todo = [
        (cell, seed)
        for cell, seed in work
        if not _holds(at.cell(cell, seed), _input(shared, cell, seed))
    ]
    if len(todo) < len(work):
        say(f"{len(work) - len(todo)} of {len(work)} tunings: done before")
    failures: Failures = {}
    began = time.monotonic()
    for number, (cell, seed) in enumerate(todo):
        left = (time.monotonic() - began) / max(1, number) * (len(todo) - number)
        tail = f", {duration(left)} left" if number else ""
        done = len(work) - len(todo) + number
        say(f"Tuning {done + 1}/{len(work)}{tail}: {cell.label}, seed {seed}")
        try:
            _run_cell(at.cell(cell, seed), shared, cell, seed)
        except RunError as error:
            say(f"  failed: {error}")
            failures.setdefault(cell.id, {})[seed] = str(error)
        table(failures)
    return failures


def _input(shared: Run, cell: Cell, seed: int) -> str:
    """What the result of a cell depends on."""
    preset = cell.seeded(seed).model_dump(mode="json")
    run = Run(shared.folder, replace(shared.manifest, preset=preset))
    return run.input_hash(PARTS, ("problems", "search"))


def _result_of(folder: Path) -> Path:
    """The file of a cell's result."""
    return folder / "result.json"


def _holds(folder: Path, wanted: str) -> bool:
    """Whether a cell has a result of this input; large files that a kill left are deleted then."""
    result = _result(_result_of(folder))
    holds = result is not None and result.input == wanted
    if holds:
        _drop(folder)
    return holds


def _result(file: Path) -> CellResult | None:
    """The result of a cell, None if there is none; what can't be read of it is set aside."""
    try:
        return read_as(file, CellResult) if file.is_file() else None
    except BrokenFile:
        aside = set_aside(file)
        say(f"{file} is truncated or damaged: set aside as {aside.name}")
        return None


def _run_cell(folder: Path, shared: Run, cell: Cell, seed: int) -> None:
    """Tune and evaluate one cell; its result is written last, then what it needs no more goes."""
    _result_of(folder).unlink(missing_ok=True)
    run = _run(folder, cell.seeded(seed))
    adopt(run, shared)
    finish(run, OWN)
    result = CellResult(
        input=_input(shared, cell, seed),
        settings=cell.settings,
        seed=seed,
        tuning_seconds=read_as(run.at.tuning_result, TuningResult).seconds,
        below=tuple(missed.ability for missed in below(run)),
        results=tuple(one for one in results(run.at) if one.model == "tuned"),
    )
    write_as(_result_of(folder), result)
    _drop(folder)


def _drop(folder: Path) -> None:
    """Delete what is large and can be made again from the adapter."""
    run = RunFolder(folder)
    remove(run.model)
    remove(run.checkpoints)


def _write_table(
    at: SweepFolder,
    shared: Run,
    cells: Sequence[Cell],
    names: Mapping[str, Sequence[str]],
    failures: Failures,
) -> SweepTable:
    """Write sweep.md and results.csv from the results that hold."""
    groups = _groups(at, shared, cells, failures)
    found = sweep_table(shared.preset.name, results(shared.at), groups, names)
    write_text(at.table, as_csv(found))
    write_text(at.page, as_markdown(found))
    return found


def _groups(at: SweepFolder, shared: Run, cells: Sequence[Cell], failures: Failures) -> list[Group]:
    """The results by cell: this grid's cells in their order, then those of earlier grids."""
    known = {cell.id: cell for cell in cells}
    found: dict[str, Results] = {cell.id: {} for cell in cells}
    for file in at.results():
        result = _result(file)
        if result is None:
            continue
        try:
            cell = cell_of(shared.preset, result.settings)
        except PresetError:  # of an earlier grid, and the preset's schema is another now
            continue
        if result.input == _input(shared, cell, result.seed):
            known.setdefault(cell.id, cell)
            found.setdefault(cell.id, {})[result.seed] = result
    return [_group(shared.preset, known[name], own, failures) for name, own in found.items()]


def _group(preset: Preset, cell: Cell, own: Results, failures: Failures) -> Group:
    return Group(cell.id, cell.settings, _twin(preset, cell), own, failures.get(cell.id, {}))


def _twin(preset: Preset, cell: Cell) -> str | None:
    """The id of the cell that is this one by plain SFT."""
    if cell.settings.get("method", "sft") == "sft":
        return None
    return cell_of(preset, {**cell.settings, "method": "sft"}).id

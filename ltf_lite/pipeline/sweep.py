"""`ltf sweep`: one search and many tunings on its harvest, each over several seeds, in one table.

The folder holds a run that is shared (problems, baseline, search) and one run for each cell and
seed (tune, merge, evaluate), which begins with hard links to what is shared.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ltf_lite.files import BROKEN, BrokenFile, read_json, set_aside, write_json, write_text
from ltf_lite.pipeline.abilities import below
from ltf_lite.pipeline.grid import Cell, cell_of
from ltf_lite.pipeline.mend import remove
from ltf_lite.pipeline.run import Run, RunError, locked, read_manifest
from ltf_lite.pipeline.train import STAGES, check, finish
from ltf_lite.presets import Preset, PresetError
from ltf_lite.progress import duration, say
from ltf_lite.report.results import rows
from ltf_lite.report.sweep import Group, as_csv, as_markdown, sweep_table

SHARED = tuple(s for s in STAGES if s.name in ("problems", "baseline", "search"))
OWN = tuple(s for s in STAGES if s.name in ("tune", "merge", "evaluate"))
PARTS = tuple(sorted({part for stage in (*SHARED, *OWN) for part in stage.parts}))
DROPPED = ("model", "tuning/checkpoints")  # large, and made again from the adapter


def sweep(
    preset: Preset, grids: Mapping[str, Sequence[Cell]], seeds: int, folder: Path
) -> dict[str, Any]:
    """Run what is not done of the grids' cells × seeds; returns the table, which is on disk then.

    A cell of several grids is run once. The table also has the cells of earlier grids in this
    folder, where their results still hold. A cell that fails says so in its row and stops no other.
    Raises RunError if the sweep cannot start or go on, or TaskError before anything is written.
    """
    check(preset)
    cells = list({cell.id: cell for cells in grids.values() for cell in cells}.values())
    names = {name: [cell.id for cell in cells] for name, cells in grids.items()}
    with locked(folder):
        _claim(folder, preset)
        say("Shared by all cells:")
        shared = _run(folder / "shared", preset)
        finish(shared, SHARED)
        write_json(
            folder / "sweep.json",
            {"preset": shared.manifest["preset"], "seeds": seeds,
             "cells": {cell.id: cell.settings for cell in cells}},
        )  # fmt: skip
        table = partial(_write_table, folder, shared, cells, names)
        return table(_run_cells(folder, shared, cells, seeds, table))


def _claim(folder: Path, preset: Preset) -> None:
    """RunError if the folder holds anything but a sweep of this preset."""
    if (folder / "shared" / "manifest.json").is_file():
        try:
            name = read_manifest(folder / "shared")["preset"]["name"]
        except BrokenFile:
            return  # it is set aside before the run of what is shared begins anew
        if name != preset.name:
            raise RunError(
                f"{folder} holds a sweep of the preset {name!r}, not {preset.name!r}: name another "
                "folder with --out"
            )
    elif any(path.name not in (".lock", "shared") for path in folder.iterdir()):
        raise RunError(f"{folder} is not empty and is no sweep: name another folder with --out")


def _run(folder: Path, preset: Preset) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run.prepare(folder, preset, False)


def _run_cells(
    folder: Path, shared: Run, cells: Sequence[Cell], seeds: int,
    table: Callable[[dict[str, dict[int, str]]], Any],
) -> dict[str, dict[int, str]]:  # fmt: skip
    """Run what has no result yet, every cell with one seed first; why each that failed did."""
    work = [(cell, seed) for seed in range(seeds) for cell in cells]
    todo = [
        (cell, seed)
        for cell, seed in work
        if not _holds(_cell_folder(folder, cell, seed), _input(shared, cell, seed))
    ]
    if len(todo) < len(work):
        say(f"{len(work) - len(todo)} of {len(work)} tunings: done before")
    failures: dict[str, dict[int, str]] = {}
    began = time.monotonic()
    for number, (cell, seed) in enumerate(todo):
        left = (time.monotonic() - began) / max(1, number) * (len(todo) - number)
        tail = f", {duration(left)} left" if number else ""
        done = len(work) - len(todo) + number
        say(f"Tuning {done + 1}/{len(work)}{tail}: {cell.label}, seed {seed}")
        try:
            _run_cell(_cell_folder(folder, cell, seed), shared, cell, seed)
        except RunError as error:
            say(f"  failed: {error}")
            failures.setdefault(cell.id, {})[seed] = str(error)
        table(failures)
    return failures


def _cell_folder(folder: Path, cell: Cell, seed: int) -> Path:
    return folder / "cells" / cell.id / f"seed-{seed}"


def _input(shared: Run, cell: Cell, seed: int) -> str:
    """What the result of a cell depends on."""
    preset = cell.seeded(seed).model_dump(mode="json")
    return Run(shared.folder, {**shared.manifest, "preset": preset}).input_hash(
        PARTS, ("problems", "search")
    )


def _holds(folder: Path, wanted: str) -> bool:
    """Whether a cell has a result of this very input; what it kept too long is let go of."""
    result = _result(folder / "result.json")
    holds = result is not None and result["input"] == wanted
    if holds:
        _drop(folder)
    return holds


def _result(file: Path) -> dict[str, Any] | None:
    """The result of a cell, None if there is none; what can't be read of it is set aside."""
    try:
        return read_json(file) if file.is_file() else None
    except BrokenFile:
        aside = set_aside(file)
        say(f"{file} is truncated or damaged: set aside as {aside.name}")
        return None


def _run_cell(folder: Path, shared: Run, cell: Cell, seed: int) -> None:
    """Tune and evaluate one cell; its result is written last, then what it needs no more goes."""
    (folder / "result.json").unlink(missing_ok=True)
    run = _run(folder, cell.seeded(seed))
    _adopt(run, shared)
    finish(run, OWN)
    result = {
        "input": _input(shared, cell, seed),
        "settings": cell.settings,
        "seed": seed,
        "tuning_seconds": read_json(folder / "tuning" / "result.json")["seconds"],
        "below": [missed["ability"] for missed in below(run)],
        "rows": [row for row in rows(folder) if row["model"] == "tuned"],
    }
    write_json(folder / "result.json", result)
    _drop(folder)


def _drop(folder: Path) -> None:
    for name in DROPPED:
        remove(folder / name)


def _adopt(run: Run, shared: Run) -> None:
    """Take over what the shared stages wrote, with their entries, unless it is there already."""
    for stage in SHARED:
        entry = shared.stages[stage.name]
        if run.stages.get(stage.name) == entry and run.finished(stage, entry["input"]):
            continue
        target = run.folder / stage.folder
        remove(target)
        shutil.copytree(
            shared.folder / stage.folder, target,
            ignore=shutil.ignore_patterns(f"*{BROKEN}"), copy_function=_link,
        )  # fmt: skip
        run.stages[stage.name] = dict(entry)
        run.save()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _write_table(
    folder: Path, shared: Run, cells: Sequence[Cell], names: dict[str, list[str]],
    failures: dict[str, dict[int, str]],
) -> dict[str, Any]:  # fmt: skip
    """Write sweep.md and results.csv from the results that hold."""
    groups = _groups(folder, shared, cells, failures)
    found = sweep_table(shared.preset.name, rows(shared.folder), groups, names)
    write_text(folder / "results.csv", as_csv(found))
    write_text(folder / "sweep.md", as_markdown(found))
    return found


def _groups(
    folder: Path, shared: Run, cells: Sequence[Cell], failures: dict[str, dict[int, str]]
) -> list[Group]:
    """The results by cell: this grid's cells in their order, then those of earlier grids."""
    known = {cell.id: cell for cell in cells}
    results: dict[str, dict[int, dict[str, Any]]] = {cell.id: {} for cell in cells}
    for file in sorted((folder / "cells").glob("*/seed-*/result.json")):
        result = _result(file)
        if result is None:
            continue
        try:
            cell = cell_of(shared.preset, result["settings"])
        except PresetError:  # of an earlier grid, and the preset's schema is another now
            continue
        if result["input"] == _input(shared, cell, result["seed"]):
            known.setdefault(cell.id, cell)
            results.setdefault(cell.id, {})[result["seed"]] = result
    return [
        Group(
            name, known[name].settings, _twin(shared.preset, known[name]), own,
            failures.get(name, {}),
        )
        for name, own in results.items()
    ]  # fmt: skip


def _twin(preset: Preset, cell: Cell) -> str | None:
    """The id of the cell that is this one by plain SFT."""
    if cell.settings.get("method", "sft") == "sft":
        return None
    return cell_of(preset, {**cell.settings, "method": "sft"}).id

"""Bits that turn over in the files of a run, and whether the run would go on with them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ltf_lite.core import seals
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.graph import STAGES, Stage
from ltf_lite.pipeline.run.mend import unreadable

# What a stage makes anew whenever it is not done, whatever is there.
ANEW = ("problems", "merge", "report")


@dataclass
class Flips:
    """How many bits were turned over in files of each kind, and which nobody noticed."""

    tried: Counter[str] = field(default_factory=Counter)
    unnoticed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        return [each for found in self.unnoticed.values() for each in found]


def half_finished(folder: Path) -> Run:
    """The run, as a kill leaves it that met each stage at its end, but not done."""
    run = Run.load(folder)
    for entry in run.stages.values():
        entry.status = "running"
    run.save()
    return run


def flip(file: Path, bit: int) -> None:
    """Turn one bit over; the file is another one, whatever it was linked to."""
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.unlink()
    file.write_bytes(content)


def used(run: Run) -> Iterator[tuple[Stage, Path]]:
    """Every file that a half-finished run goes on with, and its stage."""
    for stage in STAGES:
        if stage.name not in ANEW:
            for file in sorted((run.folder / stage.folder).rglob("*")):
                if file.is_file() and file.name not in (seals.HASHES, "Modelfile"):
                    yield stage, file


def flips(run: Run, rng: random.Random, each: int) -> Flips:
    """Turn `each` random bits over, one at a time, in every file that a run goes on with."""
    found = Flips()
    for stage, file in used(run):
        kind = kind_of(stage, file)
        content = file.read_bytes()
        for _ in range(each):
            bit = rng.randrange(8 * len(content))
            flip(file, bit)
            found.tried[kind] += 1
            if list(unreadable(run, stage)) != [file]:
                found.unnoticed.setdefault(kind, []).append(f"{file}, bit {bit}")
        file.write_bytes(content)
    return found


def kind_of(stage: Stage, file: Path) -> str:
    """The stage and what the file is, as a table names it."""
    where = "checkpoint " if file.parent.name.startswith("checkpoint-") else ""
    return f"{stage.name}: {where}{file.suffix or file.name}"

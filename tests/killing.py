"""A training run that is ended from outside at some instant: its head, its stage, or all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ltf_lite.core.files import hash_file
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import read_manifest
from ltf_lite.evaluation.types import read_record
from ltf_lite.harvest.store import read_shard
from ltf_lite.pipeline.run import spending

PATIENCE = 600.0  # seconds for a stage to begin, or a process to end
LOOK = 0.02  # seconds between two looks


@dataclass(frozen=True)
class Kill:
    """A signal, and whom it is sent to: `head`, its `stage`, or `all` as a terminal's Ctrl-C is."""

    signal: signal.Signals
    whom: str

    def __str__(self) -> str:
        return f"{self.signal.name} {self.whom}"


KINDS = tuple(
    Kill(each, whom)
    for each in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    for whom in ("head", "stage", "all")
)


@dataclass(frozen=True)
class Killed:
    """What a kill met: the stage that was at work, None if none was, and how the head ended.

    `sent` is False where the run had ended before.
    """

    sent: bool
    stage: str | None
    code: int
    said: str


def train(preset: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "ltf_lite", "train", str(preset), "--out", str(folder)]


def kill_during(command: list[str], folder: Path, stage: str, delay: float, kill: Kill) -> Killed:
    """Start a run and kill it some seconds after a stage has begun, or let it end before that."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # `all` of it, and nothing else
    )
    until(lambda: process.poll() is not None or begun(folder, stage))
    if process.poll() is None:
        time.sleep(delay)
    sent = process.poll() is None
    met = at_work(folder) if sent else None
    for pid in targets(process.pid, kill.whom) if sent else ():
        try:
            os.kill(pid, kill.signal)
        except ProcessLookupError:  # it ended by itself
            continue
    _, said = process.communicate(timeout=PATIENCE)
    return Killed(sent, met, process.returncode, said)


def targets(head: int, whom: str) -> Iterator[int]:
    """The processes that a kill is for; the head itself where no stage is at work."""
    try:
        children = psutil.Process(head).children(recursive=whom == "all")
    except psutil.NoSuchProcess:
        return
    if whom == "stage":
        yield from [each.pid for each in stages(children)] or [head]
        return
    yield head
    if whom == "all":
        yield from (each.pid for each in children)


def stages(children: list[psutil.Process]) -> Iterator[psutil.Process]:
    """Of the processes that a run has started: its stages, and copies of the one made for that."""
    for each in children:
        try:
            told = " ".join(each.cmdline())
            if "multiprocessing.forkserver" in told:
                yield from each.children()
            elif "spawn_main" in told:
                yield each
        except psutil.Error:  # it has ended
            continue


def statuses(folder: Path) -> dict[str, str]:
    """Name of each stage that was begun → where it stands."""
    try:
        return {name: entry.status for name, entry in read_manifest(folder).stages.items()}
    except OSError:
        return {}


def begun(folder: Path, stage: str) -> bool:
    return stage in statuses(folder)


def at_work(folder: Path) -> str | None:
    return next((name for name, now in statuses(folder).items() if now == "running"), None)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < deadline:
        time.sleep(LOOK)


def made(folder: Path) -> dict[str, str]:
    """Path → hash of all that a run hands on: its adapter, its merged model, its GGUF files."""
    files = [
        *folder.glob("tuning/adapter/adapter_*"),
        *(each for each in (folder / "model").iterdir() if not each.name.startswith(".")),
        *folder.glob("gguf/*.gguf"),
    ]
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in sorted(files)}


def untold(folder: Path) -> dict[str, tuple[int, int]]:
    """Stages whose files hold more generated tokens than the run has on its account: (held, told).

    Of trees nothing is counted: their paths share tokens.
    """
    if not RunFolder(folder).manifest.is_file():
        return {}
    found = {}
    for name, entry in read_manifest(folder).stages.items():
        spent = spending.spent(RunFolder(folder).spent, name, entry.input)
        told, held = (spent or entry).tokens_out, tokens_of(RunFolder(folder), name)
        if told < held:
            found[name] = held, told
    return found


def tokens_of(at: RunFolder, stage: str) -> int:
    """The tokens that the files of a stage say were generated for them."""
    if stage == "search":
        files = at.harvest.glob("part-*.parquet")
        tables = [read_shard(file, ("tokens", "reasoner")) for file in files]
        rows = [row for table in tables for row in table.to_pylist()]
        return sum(row["tokens"] for row in rows if row["reasoner"] == "cot")
    model = {"baseline": "base", "evaluate": "tuned"}.get(stage)
    files = at.evaluation(model).rglob("*.test.json") if model else ()
    return sum(read_record(file).tokens_out for file in files)

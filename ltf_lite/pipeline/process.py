"""A stage in a process of its own, so that its memory is really free afterwards."""

from __future__ import annotations

import importlib
import logging
import os
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from filelock import FileLock

from ltf_lite.core.errors import disk_full, of_system, sentence
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.parent import die_with_parent
from ltf_lite.core.progress import record_to
from ltf_lite.pipeline.begin import Surroundings, context
from ltf_lite.pipeline.run import spending
from ltf_lite.pipeline.run.folder import Run, RunError

GIVE_UP = 20.0  # seconds to wait for the orphan of a killed run
STAGES = "ltf_lite.pipeline.stages"  # a module each, whose `main(run)` does the work


@dataclass(frozen=True)
class Ended:
    """How a stage ended: the facts that it returned, or why it failed."""

    facts: dict[str, Any]
    error: str | None = None


def in_process(folder: Path, name: str) -> dict[str, Any]:
    """Run a stage of the run in a folder in a process of its own; the facts that it returns.

    Raises RunError where it fails or is killed.
    """
    processes = context()
    ours, theirs = processes.Pipe(duplex=False)
    args = theirs, folder, name, time.monotonic(), Surroundings()
    process = processes.Process(target=_child, args=args, name=f"ltf-{name}")  # type: ignore[attr-defined]
    try:
        process.start()
        theirs.close()
        ended: Ended = ours.recv()
        process.join()
    except EOFError:
        process.join()
        raise RunError(
            f"the stage {name} was ended from outside (exit code {process.exitcode}; out of "
            "memory?); the same command goes on where it stopped"
        ) from None
    except KeyboardInterrupt:
        if process.is_alive():
            process.kill()
        raise
    if ended.error is not None:
        raise RunError(ended.error)
    return ended.facts


def _child(pipe: Connection, folder: Path, name: str, began: float, around: Surroundings) -> None:
    # On import, bitsandbytes asks for a pack of CPU kernels that nothing here needs.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    die_with_parent()
    record_to(RunFolder(folder).progress)
    try:
        around.take_over()
        # A stage orphaned by a kill may still be about to notice; it must be gone first.
        with FileLock(RunFolder(folder).work, timeout=GIVE_UP):
            facts = _work(folder, name, began)
        pipe.send(Ended(facts))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if os.environ.get("LTF_DEBUG"):
            traceback.print_exc()
        pipe.send(Ended({}, _why(error, name, folder)))


def _work(folder: Path, name: str, began: float) -> dict[str, Any]:
    run = Run.load(folder)
    entry = run.stages.get(name)
    # What is no stage, like preflight, takes a moment, and a killed stage's file is left.
    told = spending.telling(run.at.spent, name, entry, began) if entry else nullcontext()
    with told:
        return importlib.import_module(f"{STAGES}.{name}").main(run) or {}


def _why(error: Exception, name: str, folder: Path) -> str:
    """One sentence for the user: which stage failed, and why."""
    machine = of_system(error) or disk_full(error)
    way = "; the same command goes on where it stopped" if machine else ""
    return f"{name}: {sentence(error, folder)}{way}"

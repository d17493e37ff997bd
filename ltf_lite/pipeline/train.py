"""`ltf train`: every stage that is not done yet, one after the other."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.progress import duration, forget, say
from ltf_lite.core.seals import HASHES
from ltf_lite.pipeline.checks import check, check_apart, check_at_hand
from ltf_lite.pipeline.graph import STAGES, Stage
from ltf_lite.pipeline.needs.fits import in_words
from ltf_lite.pipeline.process import in_process
from ltf_lite.pipeline.run import spending
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.pipeline.run.lock import locked, signed
from ltf_lite.pipeline.run.mend import clear, mend
from ltf_lite.presets import Preset


def train(preset: Preset, folder: Path, force_new: bool = False) -> Run:
    """Run what is not done; returns the finished run.

    Raises RunError, or TaskError, ReasonerError or PresetError before anything is written; what was
    finished before stays finished.
    """
    check(preset)
    check_at_hand(preset)
    check_apart(preset, folder)
    _heed_interrupts()
    with locked(folder), ExitStack() as work:
        run = Run.prepare(folder, preset, force_new)
        began = time.monotonic()
        # Signed only where there is work: who starts a run waits for this, or for its end.
        finish(run, STAGES, lambda: work.enter_context(signed(folder)))
        say(f"All stages done, {duration(time.monotonic() - began)} from this start.")
        return run


def _heed_interrupts() -> None:
    """Let SIGINT end a process that was started apart from any terminal.

    Whoever started it may ignore SIGINT itself (a shell's `&`), and that is inherited; but only
    `stop` sends it to the head of a session of its own.
    """
    if not hasattr(os, "getsid"):  # a system without sessions
        return
    apart = os.getsid(0) == os.getpid() and threading.current_thread() is threading.main_thread()
    if apart and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def finish(run: Run, stages: Sequence[Stage], begin: Callable[[], Any] = lambda: None) -> None:
    """Run those of the stages that are not done; raises RunError.

    `begin` is called before the first of them, and not at all where every stage is done.
    """
    checked = False
    for number, stage in enumerate(stages, 1):
        wanted = run.input_hash(stage.parts, stage.upstream)
        changes = run.changes(stage, wanted)
        if changes == {}:
            say(f"[{number}/{len(stages)}] {stage.title}: done before")
            continue
        if not checked:
            begin()
            _preflight(run)
            checked = True
        say(f"[{number}/{len(stages)}] {stage.title}")
        mend(run, stage, wanted, changes)
        run_stage(run, stage, wanted)


def _preflight(run: Run) -> None:
    """Refuse what can't be loaded or exported; a run that has not begun leaves no manifest."""
    try:
        in_process(run.folder, "preflight")
    except RunError:
        if not run.stages:
            run.at.manifest.unlink()
            (run.folder / HASHES).unlink(missing_ok=True)
        raise


def run_stage(run: Run, stage: Stage, wanted: str) -> None:
    """Run one stage in a process of its own and keep its entry up to date; raises RunError."""
    entry = run.entry(stage.name)
    if entry.input != wanted:
        entry = StageEntry(input=wanted)
        clear(run.folder / stage.folder)
    spending.take_over(entry, run.at.spent, stage.name)  # left there by a kill
    entry.status, entry.error = "running", None
    run.stages[stage.name] = entry
    forget(run.at.progress)
    run.save()
    try:
        entry.facts = in_process(run.folder, stage.name)
        entry.status = "done"
        run.record(stage)
    except RunError as error:
        entry.status, entry.error = "failed", str(error)
        raise
    finally:
        forget(run.at.progress)
        spending.take_over(entry, run.at.spent, stage.name)
        # On a full disk it is the stage's own sentence that names what there was no room for.
        with suppress(OSError) if entry.status == "failed" else nullcontext():
            run.save()
            forget(run.at.spent)  # not before the manifest has it
    peak = "" if entry.peak_bytes is None else f", peak {in_words(entry.peak_bytes)}"
    say(f"      {duration(entry.seconds)}{peak}")

"""`ltf train`: every stage that is not done yet, each in a process of its own."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from ltf_lite.pipeline import abilities, spending
from ltf_lite.pipeline.mend import clear, mend
from ltf_lite.pipeline.run import PROGRESS, SPENT, WORK, Run, RunError, Stage, locked, signed
from ltf_lite.presets import Preset
from ltf_lite.progress import duration, forget, record_to, say
from ltf_lite.tasks import SPLITS, get_task

ORPHANED = 0.2  # seconds after which a stage notices that its parent is gone
GIVE_UP = 20.0  # seconds to wait for the orphan of a killed run

STAGES = (
    Stage("problems", "problems", ("task", "problems"), (), "problems", ("problems",)),
    Stage("baseline", "evaluate the base",
          ("task", "model", "evaluation", "budgets", "retention.heldout"),
          ("problems",), "evaluation/base", ("evaluation/base",)),
    Stage("search", "search and harvest", ("task", "model", "engine", "search"), ("problems",),
          "harvest", ("harvest",)),
    Stage("tune", "tune", ("task", "model", "harvest", "tuning", "retention"),
          ("problems", "search"), "tuning", ("tuning/adapter", "tuning/result.json")),
    Stage("merge", "merge", ("model",), ("tune",), "model", ("model",)),
    Stage("evaluate", "evaluate the tuned model",
          ("task", "model", "evaluation", "budgets", "retention.heldout"), ("problems", "merge"),
          "evaluation/tuned", ("evaluation/tuned",)),
    Stage("export", "export GGUF and prove parity", ("name", "task", "export", "evaluation"),
          ("problems", "baseline", "search", "merge", "evaluate"), "gguf", ("gguf",)),
    Stage("report", "report", ("name", "about"), ("baseline", "evaluate", "export"),
          "report", ("report",)),
)  # fmt: skip


def train(preset: Preset, folder: Path, force_new: bool = False) -> Run:
    """Run what is not done; returns the finished run.

    Raises RunError, or TaskError or PresetError before anything is written, with a sentence for the
    user; what was finished before stays finished.
    """
    check(preset)
    _heed_interrupts()
    with locked(folder), ExitStack() as work:
        run = Run.prepare(folder, preset, force_new)
        began = time.monotonic()
        # Signed only where there is work: who starts a run waits for this, or for its end.
        finish(run, STAGES, lambda: work.enter_context(signed(folder)))
        say(f"All stages done in {duration(time.monotonic() - began)}.")
        return run


def _heed_interrupts() -> None:
    """Let SIGINT end a process that was started apart from any terminal.

    Whoever started it may ignore SIGINT itself (a shell's `&`), and that is inherited; but only
    `stop` sends it to the head of a session of its own.
    """
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
        _run_stage(run, stage, wanted)


def _preflight(run: Run) -> None:
    """Refuse what can't be loaded or exported; a run that has not begun leaves no manifest."""
    try:
        _in_process(run, "preflight")
    except RunError:
        if not run.stages:
            (run.folder / "manifest.json").unlink()
        raise


def check(preset: Preset) -> None:
    """What can be known to be impossible before anything is written.

    Raises TaskError, PresetError.
    """
    task = get_task(preset.task.name, **preset.task.settings())
    for split in SPLITS:
        task.problems(split, 1, preset.seed)
    abilities.check(preset)


def _run_stage(run: Run, stage: Stage, wanted: str) -> None:
    entry = run.stages.get(stage.name, {})
    if entry.get("input") != wanted:
        entry = {"input": wanted, "seconds": 0.0}
        clear(run.folder / stage.folder)
    entry |= spending.spent(run.folder / SPENT, stage.name, wanted)  # left there by a kill
    entry["status"] = "running"
    entry.pop("error", None)
    run.stages[stage.name] = entry
    forget(run.folder / PROGRESS)
    run.save()
    try:
        entry |= _in_process(run, stage.name)
        entry["status"] = "done"
        run.record(stage)
    except RunError as error:
        entry["status"], entry["error"] = "failed", str(error)
        raise
    finally:
        forget(run.folder / PROGRESS)
        entry |= spending.spent(run.folder / SPENT, stage.name, wanted)
        run.save()
        forget(run.folder / SPENT)  # not before the manifest has it
    say(f"      {duration(entry['seconds'])}, peak {entry.get('peak_bytes', 0) / 2**20:.0f} MiB")


def _in_process(run: Run, name: str) -> dict[str, Any]:
    """Run a stage in a fresh process, so that its memory is really free afterwards."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    args = theirs, run.folder, name, time.monotonic()
    process = context.Process(target=_child, args=args, name=f"ltf-{name}")
    try:
        process.start()
        theirs.close()
        kind, value = ours.recv()
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
    if kind == "failed":
        raise RunError(value)
    return value


def _child(pipe, folder: Path, name: str, began: float) -> None:
    # On import, bitsandbytes asks for a pack of CPU kernels that nothing here needs.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    die_with_parent()
    record_to(folder / PROGRESS)
    try:
        # A stage orphaned by a kill may still be about to notice; it must be gone first.
        with FileLock(folder / WORK, timeout=GIVE_UP):
            run = Run.load(folder)
            entry = run.stages.get(name)
            # What is no stage, like preflight, takes a moment, and a killed stage's file is left.
            told = spending.telling(folder / SPENT, name, entry, began) if entry else nullcontext()
            with told:
                work = importlib.import_module(f"ltf_lite.pipeline.stages.{name}")
                facts = work.main(run)
        pipe.send(("done", facts or {}))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if os.environ.get("LTF_DEBUG"):
            raise
        pipe.send(("failed", sentence(error, name)))


def die_with_parent() -> None:
    """Let this process end soon after the one that started it, in whatever way that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.pid,), daemon=True).start()


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHANED)
    os._exit(1)


def sentence(error: BaseException, name: str) -> str:
    """One sentence of an exception: our own as they are, others named with the way to see more."""
    module = type(error).__module__
    if isinstance(error, OSError) and error.errno is not None:
        where = f" ({error.filename})" if error.filename else ""
        return f"{name}: {error.strerror}{where}; the same command goes on where it stopped"
    if module.startswith("ltf_lite."):
        return f"{name}: {error}"
    text = " ".join(str(error).split())[:300]
    return f"{name}: {type(error).__name__}: {text} (LTF_DEBUG=1 shows the whole traceback)"

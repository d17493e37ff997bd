"""A run as a process of its own: started, watched, stopped and resumed from elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from ltf_lite import presets
from ltf_lite.core.errors import BELOW, DONE, LtfError
from ltf_lite.core.folder import RunFolder
from ltf_lite.pipeline.run.folder import RunError
from ltf_lite.pipeline.run.lock import make_writable, working
from ltf_lite.pipeline.run.state import RunState, curves, last_words, runs_in, state

BEGIN = 15.0  # seconds to wait for a process to begin its work
GENTLE = 10.0  # seconds to end after SIGINT
LOOK = 0.05  # seconds between two looks
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows, any signal ends a process at once


def start(preset_name: str, runs: Path) -> RunState:
    """Start or resume `ltf train` in runs/<preset>, to outlive this process; returns its `state`.

    `preset_name` is a name, also of a short form, or a YAML file. Returns when the process works,
    or ended well because nothing was left to do. Raises RunError with a sentence if there is no
    such preset, the folder can't be written, the run is being worked on, or the process fails at
    once.
    """
    try:
        file, preset, short = presets.choose(preset_name)
    except LtfError as error:
        raise RunError(str(error)) from error
    folder = runs / preset.name
    make_writable(folder)
    try:
        with FileLock(RunFolder(folder).starting, timeout=2 * BEGIN):  # one at a time
            return _begin(file, preset.name, folder, short)
    except Timeout:
        raise RunError(f"{folder} is being started by another process") from None


def _begin(file: Path, name: str, folder: Path, short: bool) -> RunState:
    pid = working(folder)
    if pid is not None:
        raise RunError(f"{folder} is being worked on already, by process {pid}: stop it, or wait")
    log = RunFolder(folder).log
    begun = log.stat().st_size if log.exists() else 0
    given = [f"--out={folder}", *(["--quick"] if short else []), "--", str(file)]
    command = [sys.executable, "-m", "ltf_lite", "train", *given]
    process = spawn(command, folder)
    # One that takes longer still compares large files with what its manifest says of them.
    until(lambda: working(folder) == process.pid or process.poll() is not None, BEGIN)
    if process.poll() not in (None, DONE, BELOW):
        why = last_words(folder, begun) or f"its process ended with the code {process.poll()}"
        raise RunError(f"{name} did not start: {why}")
    return state(folder)


def stop(folder: Path) -> None:
    """End the process that works on a run, which a later `start` resumes; returns when it is gone.

    Raises RunError if nothing works on it, or it can't be ended from here.
    """
    pid = working(folder)
    if pid is None:
        raise RunError(f"nothing is working on {folder}: there is nothing to stop")
    for signal_, patience in ((signal.SIGINT, GENTLE), (KILL, GENTLE)):
        try:
            if working(folder) == pid:
                os.kill(pid, signal_)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise RunError(f"process {pid} works on {folder} and is another user's") from None
        if until(lambda: working(folder) != pid, patience):
            until(lambda: not _lives(pid), GENTLE)
            return
    raise RunError(f"process {pid} works on {folder} and does not end")


def spawn(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A command in a session of its own, which outlives this process and its terminal.

    Its output goes to the log of the folder. Raises RunError where it can't be started.
    """
    apart = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")  # what Windows has of sessions
    try:
        with open(RunFolder(folder).log, "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                creationflags=sum(getattr(subprocess, flag, 0) for flag in apart),
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            )
    except OSError as error:
        raise RunError(f"cannot start {folder.name}: {error.strerror or error}") from error
    threading.Thread(target=process.wait, daemon=True).start()  # so that no zombie stays
    return process


def until(true: Callable[[], bool], patience: float) -> bool:
    """Whether it became true in so many seconds."""
    deadline = time.monotonic() + patience
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


def _lives(pid: int) -> bool:
    import psutil

    try:
        # One that ended stays listed until whoever started it asks.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


__all__ = ["RunState", "curves", "runs_in", "start", "state", "stop", "working"]

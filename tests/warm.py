"""Commands in copies of a process that has imported what they need, as the stages of a run are.

A command of its own pays seconds for imports alone. A copy is a process too, with its own
arguments, folder, environment and outputs; it runs the same `main`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

from ltf_lite.pipeline.begin import ASKED_BY, Surroundings, context, copies

# What a process is told anew for each test, and what nothing reads while it is imported.
PASSING = {"PYTEST_CURRENT_TEST", "PYTEST_VERSION", ASKED_BY}
PATIENCE = 600.0  # seconds for a command
begun: dict[str, str] = {}  # the environment of the process that is copied


def surroundings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PASSING}


def can_copy() -> bool:
    """Whether a copy is what a new process would be: imports read the environment, once."""
    if not begun:
        begun.update(surroundings())
    return copies() and begun == surroundings()


def ltf(args: list[str], cwd: Path | None, said: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy: its exit code and what it wrote."""
    with tempfile.TemporaryFile() as put, tempfile.TemporaryFile() as out, \
            tempfile.TemporaryFile() as err:  # fmt: skip
        put.write((said or "").encode())
        put.seek(0)
        process = context().Process(target=_Command(args, cwd, (put, out, err)))  # type: ignore[attr-defined]
        process.start()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(args, PATIENCE)
        told = [_text(file) for file in (out, err)]
    return subprocess.CompletedProcess(args, process.exitcode, *told)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class _Command:
    """What a copy does; pickled where it is started."""

    def __init__(self, args: list[str], cwd: Path | None, files: tuple[IO[bytes], ...]) -> None:
        self.args, self.cwd, self.files = args, str(cwd or Path.cwd()), files

    def __getstate__(self) -> dict[str, Any]:
        files = [DupFd(file.fileno()) for file in self.files]
        return {"args": self.args, "cwd": self.cwd, "files": files, "around": Surroundings()}

    def __call__(self) -> None:
        around: Surroundings = self.around  # type: ignore[attr-defined]
        around.take_over()
        for number, file in enumerate(self.files):
            own = file.detach()  # type: ignore[attr-defined]
            os.dup2(own, number)
            os.close(own)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = os.fdopen(2, "w", closefd=False)  # type: ignore[misc]
        os.chdir(self.cwd)
        # What this starts is copied from the same process.
        forkserver.ensure_running = forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
        sys.argv = ["ltf", *self.args]
        from ltf_lite.app.cli.main import main

        sys.exit(main(self.args))

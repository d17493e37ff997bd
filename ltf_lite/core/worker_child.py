"""A child process and the pipe to it, as the side that gives the orders sees it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO, Any

MAIN = "ltf_lite.core.worker_main"
MOST = (1 << 20) + 4096  # bytes of an answer; the child keeps its results below
SMALL = 4096  # bytes that any pipe holds, so that writing them does not wait
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")


class Late(Exception):
    """No answer came in time."""


class Over(Exception):
    """The process ended, or wrote what is no answer."""


class Child:
    """A new interpreter in an empty folder of its own, with no secret in its environment."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.folder = tempfile.mkdtemp(prefix="ltf-")
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MAIN],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env=environment(self.folder),
                start_new_session=True,  # a group of its own, to be killed as one
            )
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.lines: SimpleQueue[bytes] = SimpleQueue()
        reading = (self.process.stdout, self.lines)
        threading.Thread(target=_read, args=reading, daemon=True).start()

    def alive(self) -> bool:
        """Whether it can be asked; a copy of this process must not ask for the original."""
        return self.owner == os.getpid() and self.process.poll() is None

    def send(self, text: str, seconds: float) -> None:
        """Write a line; raises Late, or Over where nobody reads any more."""
        line, late = text.encode() + b"\n", threading.Event()

        def stop() -> None:
            late.set()
            self.end()

        guard = threading.Timer(seconds, stop) if len(line) > SMALL else None
        if guard is not None:
            guard.daemon = True
            guard.start()
        stream = self.process.stdin
        assert stream is not None
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError) as error:
            if late.is_set():
                raise Late from error
            raise Over(self._how()) from error
        finally:
            if guard is not None:
                guard.cancel()

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next answer; raises Late or Over."""
        try:
            line = self.lines.get(timeout=seconds)
        except Empty as error:
            raise Late from error
        if not line.endswith(b"\n"):
            raise Over("its answer was too large" if line else self._how())
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Over("it wrote what is no answer") from error
        if not isinstance(answer, dict):
            raise Over("it wrote what is no answer")
        return answer

    def _how(self) -> str:
        """How the process ended."""
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(1.0)
            return f"exit code {code}" if code >= 0 else f"signal {-code}"
        return "its pipe is closed"

    def end(self) -> None:
        """Kill the process and its group."""
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(OSError):
            self.process.kill()

    def kill(self) -> None:
        """End the process and remove what it leaves; a copy of this process does nothing."""
        if self.owner != os.getpid():
            return
        self.end()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()
        for _ in range(5):  # Windows gives a folder back a little after its process
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                return
            time.sleep(0.05)


def _read(stream: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    """Hand on each line; the last one has no line end, and may be empty."""
    line = b"\n"
    while line.endswith(b"\n"):
        try:
            line = stream.readline(MOST)
        except (OSError, ValueError):  # closed meanwhile
            line = b""
        lines.put(line)


def environment(folder: str) -> dict[str, str]:
    """What the child knows of this process: where to find code, and nothing that is secret."""
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    kept |= dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR"), folder)
    kept |= {f"{library}_NUM_THREADS": "1" for library in THREADS}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "OMP_WAIT_POLICY": "PASSIVE"}

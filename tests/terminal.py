"""A command in a terminal of its own: what a person sees there, and what the keyboard does."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CTRL_C = b"\x03"
AGAIN = 10.0  # seconds that a person waits before pressing a key again
# Colours, moves of the cursor, titles of the window.
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b\].*?(?:\x07|\x1b\\)|\x1b[=>]")


@dataclass(frozen=True)
class Seen:
    """How a command ended, and all that it wrote: `raw` as sent, `text` without the steering."""

    code: int
    raw: str
    text: str


def in_terminal(
    *args: object,
    columns: int = 80,
    press: bytes = b"",
    when: Callable[[str], bool] = bool,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 300,
    command: tuple[str, ...] = (sys.executable, "-m", "ltf_lite"),
) -> Seen:
    """Run a command in a terminal; `press` is typed as soon as `when` likes what is seen.

    And once more where that brought nothing, as a person does: an import of another library may
    have swallowed it.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [*command, *map(str, args)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={**own, "TERM": "xterm-256color", **(env or {})},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C reaches its group
    )
    os.close(theirs)
    seen, end, found, pressed = b"", time.monotonic() + timeout, False, 0.0
    try:
        while time.monotonic() < end:
            if pressed and time.monotonic() > pressed + AGAIN:
                os.write(ours, press)
                pressed = 0.0
            if not select.select([ours], [], [], 0.05)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # on Linux, where nobody writes any more
                break
            if not part:
                break
            seen += part
            if press and not found and when(seen.decode(errors="replace")):
                os.write(ours, press)
                found, pressed = True, time.monotonic()
        code = process.wait(max(1.0, end - time.monotonic()))
    finally:
        os.close(ours)
        process.kill()
    raw = seen.decode(errors="replace").replace("\r\n", "\n")
    return Seen(code, raw, STEERING.sub("", raw))

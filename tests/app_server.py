"""A real app process on a free port, for tests and benchmarks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class App(NamedTuple):
    """Where an app is, its process, the seconds to its first page, and its folder of runs."""

    url: str
    process: subprocess.Popen
    seconds: float
    runs: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def app(runs: Path, *args: object, cwd: Path = ROOT) -> Iterator[App]:
    """`python app.py` over a folder of runs; ended when the block ends."""
    port = free_port()
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--runs", str(runs)]
    began = time.monotonic()
    with open(runs.parent / f"app-{port}.log", "w+") as log:
        process = subprocess.Popen(
            [*command, *map(str, args)], cwd=cwd, stdout=log, stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log.name)
            yield App(url, process, time.monotonic() - began, runs)
        finally:
            process.terminate()
            process.wait(30)


def _wait(url: str, process: subprocess.Popen, log: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                assert b"ltf_lite" in page.read()
                return
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, Path(log).read_text()
            assert time.monotonic() < deadline, Path(log).read_text()
            time.sleep(0.05)

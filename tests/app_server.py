"""A real app process on a free port, for tests and benchmarks."""

from __future__ import annotations

import json
import os
import re
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


def token_of(served: App) -> str:
    """The token that the page has and no program is told."""
    with urllib.request.urlopen(served.url, timeout=60) as page:
        found = re.search(r'ltfToken = \\?"([\w-]+)', page.read().decode())
    assert found
    return found[1]


class Page:
    """A page as the app sees it: a session that presses buttons by their events."""

    def __init__(self, served: App, session: str, token: str | None = None) -> None:
        self.served, self.session = served, session
        self.token = token_of(served) if token is None else token
        self.config = json.loads(self._sent("/config"))

    def pressed(self, element: str, *values: object) -> list:
        """What a button's last event comes to, of the values that stand before its token."""
        (start,) = [e for e in self.config["dependencies"] if self._of(element, e)]
        number = start["id"]
        then = (e for e in self.config["dependencies"] if e.get("trigger_after") == number)
        event = next(then, start)
        data = [*values, self.token] if "ltfToken" in str(event.get("js")) else list(values)
        body = {"fn_index": event["id"], "data": data, "session_hash": self.session}
        self._sent("/gradio_api/queue/join", body)
        said = self._sent(f"/gradio_api/queue/data?session_hash={self.session}")
        told = [json.loads(line[5:]) for line in said.splitlines() if line.startswith("data:")]
        (last,) = [each for each in told if each["msg"] == "process_completed"]
        assert last["success"], last
        return last["output"]["data"]

    def _of(self, element: str, event: dict) -> bool:
        """Whether an event is the click on an element of the page in its first language."""
        own = next(
            e["id"] for e in self.config["components"] if e["props"].get("elem_id") == element
        )
        return [own, "click"] in [list(target) for target in event["targets"]]

    def _sent(self, path: str, body: object = None) -> str:
        raw = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.served.url + path, raw, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.read().decode()

"""`ltf serve` as a user starts it: a real process, asked over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.llama_server import free_port

PATIENCE = 180  # seconds, on a busy machine


@dataclass(frozen=True)
class Served:
    """A server, and the first line that it has said."""

    process: subprocess.Popen[str]
    url: str
    said: str

    def post(self, path: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=PATIENCE, trust_env=False)

    def chat(self, text: str, **more: Any) -> httpx.Response:
        return self.post("/chat/completions", messages=[{"role": "user", "content": text}], **more)

    def reply(self, text: str, **more: Any) -> str:
        """What the model says to a person's message."""
        answer = self.chat(text, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["choices"][0]["message"]["content"]


@contextmanager
def served(model: object, cwd: object = None) -> Iterator[Served]:
    port = free_port()
    command = [sys.executable, "-m", "ltf_lite", "serve", str(model), "--port", str(port)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=cwd)  # type: ignore[call-overload]
    try:
        said = process.stdout.readline()  # it is said once it can be asked
        assert said, process.stderr.read()
        yield Served(process, f"http://127.0.0.1:{port}/v1", said)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def ended(process: subprocess.Popen[str], seconds: float) -> tuple[int, str]:
    """(exit code, what was said on the error stream) of a process that ends in time."""
    began = time.monotonic()
    _, said = process.communicate(timeout=seconds)
    assert time.monotonic() - began < seconds
    return process.returncode, said

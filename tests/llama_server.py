"""llama-cpp-python's own server with a GGUF file: a real process on loopback, 32-bit KV cache."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTEXT = 256  # llama.cpp's smallest


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(
    file: Path, port: int, alias: str | None = "base", context: int = CONTEXT
) -> Iterator[subprocess.Popen]:
    """The server's process, ready to be asked for the model at 127.0.0.1.

    It is called by its `alias`; without one, by the file's path.
    """
    settings = {
        "model": file,
        "model_alias": alias,
        "host": "127.0.0.1",
        "port": port,
        "n_ctx": context,
        "type_k": 0,
        "type_v": 0,
        "flash_attn": "false",
        "n_threads": 1,
        "n_threads_batch": 1,
        "verbose": "false",
    }
    settings = {key: value for key, value in settings.items() if value is not None}
    command = [sys.executable, "-m", "llama_cpp.server"]
    command += [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    # the server takes settings from the environment too, and they win
    clean = {k: v for k, v in os.environ.items() if k.lower() not in settings}
    log = file.with_suffix(f".{port}.log")
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=clean)
    try:
        _wait_for(f"http://127.0.0.1:{port}/v1/models", process, log)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())

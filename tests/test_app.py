"""The app: a real server process answers, and the comparison says what happened."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ltf_lite.engines import TINY_BASE
from ltf_lite.ui.app import compare, models

ROOT = Path(__file__).parent.parent


def test_both_panes_are_filled_and_the_ratio_is_said():
    states = list(compare("countdown", "7 3", "10", TINY_BASE, [TINY_BASE], 8))
    assert states[0][0].startswith("### Single pass: ")
    assert states[0][1] == "searching …"
    assert "Best of 8, the verifier picks" in states[-1][1]
    assert "times as long" in states[-1][2]


@pytest.mark.parametrize(
    ("numbers", "target", "model", "word"),
    [
        ("1 1 1 1", "99", TINY_BASE, "no solution"),
        ("٣ 4", "7", TINY_BASE, "whole number"),
        ("", "7", TINY_BASE, "2 to 6 numbers"),
        ("3 4", "7", "../../etc/passwd.gguf", "listed"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(numbers, target, model, word):
    ((text, _, _),) = compare("countdown", numbers, target, model, [TINY_BASE], 8)
    assert word in text


def test_the_models_of_the_runs_are_found(small_run):
    assert models(small_run.parent)[-1] == TINY_BASE
    assert str(small_run / "gguf" / "small.q8_0.gguf") in models(small_run.parent)


def test_the_server_answers_on_loopback_alone(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--runs", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as page:
                    assert b"ltf_lite" in page.read()
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        process.terminate()
        out = process.communicate()[0]
    assert f"http://127.0.0.1:{port}" in out
    assert "gradio.live" not in out

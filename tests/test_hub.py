"""A name on the Hub where the Hub does not answer: said at once, with what may be meant."""

from __future__ import annotations

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ltf_lite.engines import EngineError, resolve
from ltf_lite.engines.hub import reachable
from ltf_lite.engines.refs import meant
from tests.conftest import ltf, one_sentence

NOBODY = "http://127.0.0.1:9"  # where nothing listens
SOON = 20  # seconds on a busy machine; huggingface_hub alone tries for 23 a file
TRIED = "thrown while requesting"  # what it says each time


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder to work in, with one run."""
    (tmp_path / "runs" / "sums").mkdir(parents=True)
    (tmp_path / "runs" / "sums" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def offline(tmp_path):
    return {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": NOBODY, "HF_HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("smolm2", "smollm2"),
        ("HuggingFaceTB/SmolLM2", "smollm2"),
        ("typo/tinybase", "tiny-base"),
        ("sms", "runs/sums"),
        ("runs/sumss", "runs/sums"),
        ("typo/x", ""),
        ("gpt2", ""),
    ],
)
def test_the_base_or_run_that_may_be_meant_is_named(given, near, runs):
    assert meant(given) == (f"; did you mean {near}?" if near else "")


def test_a_base_in_other_letters_and_a_run_that_is_not_there_are_not_asked_of_the_hub(runs):
    with pytest.raises(EngineError, match=r"'SmolLM2'; did you mean smollm2\?"):
        resolve("SmolLM2")
    with pytest.raises(EngineError, match=r"`ltf train tiny` makes it; tiny-tuned is such"):
        resolve("runs/tiny")
    with pytest.raises(EngineError, match=r"a run's folder; did you mean runs/sums\?"):
        resolve("runs/sum")
    assert resolve("somebody/sums").kind == "hub"


def test_asking_a_model_that_is_nowhere_ends_soon_and_names_the_nearest(runs, offline):
    began = time.monotonic()
    told = ltf("solve", "countdown", "5 6 -> 11", "--model", "typo/smollm", cwd=runs, env=offline)
    assert time.monotonic() - began < SOON
    one_sentence(told, 1, "typo/smollm", "cannot be reached", "did you mean smollm2?")
    assert TRIED not in told.stderr


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.slow
def test_a_base_that_is_nowhere_ends_soon_and_names_the_nearest(dry, small_preset, runs, offline):
    preset = runs / "typo.yaml"
    preset.write_text(small_preset.read_text().replace("tiny-base", "typo/sumz"))
    began = time.monotonic()
    told = ltf("train", preset, *["--dry-run"] * dry, cwd=runs, env=offline)
    one_sentence(told, 1, "typo/sumz", "cannot be reached", "did you mean runs/sums?")
    assert TRIED not in told.stderr
    assert not dry or time.monotonic() - began < SOON


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (503, False)])
def test_the_hub_is_reached_where_it_answers(status, answers, monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.status = status
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    assert reachable() == answers
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert not reachable()
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_hub_that_is_silent_is_not_waited_for_longer_than_its_own_limit(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        began = time.monotonic()
        assert not reachable()
        assert 0.9 < time.monotonic() - began < 4

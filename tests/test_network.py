"""Proxies of the environment: this machine is never asked through one, others are as it says."""

from __future__ import annotations

import http.server
import json
import os
import threading

import pytest

from ltf_lite.core.network import is_here, no_proxy_here, proxy_for
from tests.app_server import app
from tests.conftest import ltf

NOBODY = "http://127.0.0.1:9"  # no proxy listens there
NAMES = [f"{kind}_proxy" for kind in ("http", "https", "all", "no")]


@pytest.fixture
def clean(monkeypatch):
    for name in (*NAMES, *map(str.upper, NAMES)):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.9.9.9", "127.1", "::1", "[::1]",
     "::ffff:127.0.0.1", "0.0.0.0"],
)  # fmt: skip
def test_these_names_mean_this_machine(host):
    assert is_here(host)


@pytest.mark.parametrize(
    "host", ["example.org", "10.0.0.1", "localhost.example.org", "1.2.3.4", ""]
)
def test_these_do_not(host):
    assert not is_here(host)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_only_others_are_asked_through_a_proxy(clean, name):
    clean.setenv(name, NOBODY)
    assert proxy_for("http://localhost:8000/v1") is None
    assert proxy_for("http://[::1]:8000/v1") is None
    assert proxy_for("http://example.org/v1") == NOBODY
    clean.setenv("NO_PROXY", "example.org")
    assert proxy_for("http://example.org/v1") is None


def test_the_environment_is_as_it_was_afterwards(clean):
    clean.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    before = dict(os.environ)
    with no_proxy_here(False):
        assert "ALL_PROXY" not in os.environ
    with no_proxy_here(True):
        assert os.environ["ALL_PROXY"] == before["ALL_PROXY"]
        assert "127.0.0.1" in os.environ["no_proxy"]
    assert dict(os.environ) == before


@pytest.mark.parametrize("proxy", [NOBODY, "socks5://127.0.0.1:9"])
@pytest.mark.slow
def test_the_app_starts_beside_a_proxy(clean, tmp_path, proxy):
    (tmp_path / "runs").mkdir()
    clean.setenv("NO_PROXY", "127.0.0.1")  # of this test's own questions
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        clean.setenv(name, proxy)
    clean.setenv("no_proxy", "127.0.0.1")
    with app(tmp_path / "runs") as served:
        assert served.process.poll() is None


@pytest.mark.slow
def test_a_server_on_this_machine_is_asked_beside_a_proxy(clean):
    class Told(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._say({"data": [{"id": "m"}]})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say({"choices": [{"text": "5-3=2\n", "finish_reason": "stop"}],
                       "usage": {"completion_tokens": 4, "prompt_tokens": 4}})  # fmt: skip

        def _say(self, data):
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        environment = {**os.environ, "HTTP_PROXY": NOBODY, "ALL_PROXY": "socks5://127.0.0.1:9"}
        told = ltf("solve", "countdown", "5 3 -> 2", "--dialect", "compact", "--json", "--model",
                   f"http://localhost:{server.server_port}/v1", env=environment)  # fmt: skip
    finally:
        server.shutdown()
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["verdict"]["correct"]

"""Whom the app answers: its own pages and programs, and nobody who would stop it from answering."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest
from gradio_client import Client

from tests.app_server import BROWSERS, ROOT, App, free_port

BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
MANY = 600  # streams that somebody opens
FORM = ("countdown", "7 3 -> 10", "tiny-base", "tiny-base", "tot", 8, 1, 3, 5000, 0)


def asked(served: App, path: str, body: object = None, **headers: str) -> tuple[int, str]:
    raw = None if body is None else json.dumps(body).encode()
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(served.url + path, raw, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


START = {"data": ["tiny", ""], "session_hash": "somebody"}
FOREIGN = [
    {"Origin": "http://localhost:9999"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site", "Origin": "http://127.0.0.1:9999"},
    {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    "path", ["call/start", "call/compare", "call/v2/compare", "run/start", "queue/join", "cancel",
             "upload", "component_server"],
)  # fmt: skip
@pytest.mark.slow
def test_a_page_of_another_place_can_change_nothing(served, headers, path):
    code, _ = asked(served, f"/gradio_api/{path}", START, **headers)
    assert code == 403
    assert list(served.runs.iterdir()) == []


@pytest.mark.parametrize("headers", FOREIGN[:-1])
@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/report/x", "/gguf/x/y"])
def test_a_page_of_another_place_can_read_nothing(served, headers, path):
    assert asked(served, path, **headers)[0] == 403


def test_links_from_elsewhere_lead_to_the_page_but_no_frame_holds_it(served):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert asked(served, "/", **link, Sec_Fetch_Dest="document")[0] == 200
    assert asked(served, "/", **link, Sec_Fetch_Dest="iframe")[0] == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_pages_and_programs_are_answered(served, name):
    own = served.url.replace("127.0.0.1", name)
    at = App(own, *served[1:])
    for headers in ({}, {"Origin": own}, {"Origin": own, "Sec_Fetch_Site": "same-origin"},
                    {"Sec_Fetch_Site": "none"}):  # fmt: skip
        assert asked(at, "/", **headers)[0] == 200
        assert asked(at, "/gradio_api/call/compare", {"data": list(FORM)}, **headers)[0] == 200


@pytest.mark.parametrize("path", ["upload", "upload/", "upload?upload_id=x", "upload_progress"])
def test_there_is_no_place_for_uploads(served, path):
    assert asked(served, f"/gradio_api/{path}", {})[0] == 404
    assert asked(served, f"/gradio_api/{path}")[0] == 404


@pytest.mark.parametrize("function", [9999, -1, 10**30, "x", 1.5, [], None])
@pytest.mark.parametrize("path", ["queue/join", "run/predict", "call/nothing", "call/v2/nothing"])
def test_a_function_that_is_not_there_is_no_fault_of_the_app(served, function, path):
    body = {"data": [], "fn_index": function, "session_hash": "s"}
    assert 400 <= asked(served, f"/gradio_api/{path}", body)[0] < 500


@pytest.mark.parametrize("data", [[], [1, 2, 3], [None] * 10, [{}] * 10, ["x"] * 40])
@pytest.mark.parametrize("path", ["run/compare", "api/compare"])
def test_other_inputs_than_a_function_has_are_no_fault_of_the_app(served, path, data):
    code, said = asked(served, f"/gradio_api/{path}", {"data": data})
    assert code in (200, 422)
    assert code == 200 or "not the inputs of this function" in said


def test_a_training_is_started_from_the_page_alone(served):
    assert asked(served, "/gradio_api/run/start", {"data": ["tiny"]})[0] == 404


@pytest.mark.slow
def test_a_comparison_by_the_api_returns_what_it_found(served):
    client = Client(served.url, verbose=False)
    told, verdict, before, after, search, tree = client.predict(*FORM, api_name="/compare")
    assert told == ""
    assert "solve" in verdict
    assert all("olved" in pane for pane in (before, after, search))
    assert "<svg" in tree
    event = json.loads(asked(served, "/gradio_api/call/compare", {"data": list(FORM)})[1])
    said = asked(served, f"/gradio_api/call/compare/{event['event_id']}")[1]
    last = said.rpartition("event: complete\ndata: ")[2]
    assert "solve" in json.loads(last)[1]


@pytest.mark.parametrize("path", ["heartbeat/h{}", "queue/data?session_hash=s{}"])
@pytest.mark.slow
def test_hundreds_of_open_streams_let_others_read(served, path):
    host, port = served.url.removeprefix("http://").split(":")
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_connection((host, int(port)), 60))
            for _ in range(MANY)
        ]
        for k, each in enumerate(sockets):
            asks = f"GET /gradio_api/{path.format(k)} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            each.sendall(asks.encode())
        began = time.monotonic()
        assert asked(served, "/")[0] == 200
        assert time.monotonic() - began < 10
        heads = [each.recv(12) for each in sockets]
    assert heads.count(b"HTTP/1.1 503") >= MANY // 2
    assert b"HTTP/1.1 200" in heads
    for _ in range(60):  # once they are gone there is room again
        time.sleep(0.5)
        with socket.create_connection((host, int(port)), 60) as one:
            ask = f"GET /gradio_api/heartbeat/x HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            one.sendall(ask.encode())
            if one.recv(12) == b"HTTP/1.1 200":
                return
    raise AssertionError("no stream was let in again")


PAGE = """<script>
const at = "%s", tried = [];
const said = (name, ask) => tried.push(ask.then(a => [name, a.type, a.status], () => [name, "no"]));
const body = JSON.stringify({data: ["tiny", ""], session_hash: "s", fn_index: 0});
for (const path of ["call/start", "queue/join", "upload"])
  for (const kind of ["text/plain", "application/json"])
    said(path, fetch(at + "/gradio_api/" + path,
                     {method: "POST", body, headers: {"Content-Type": kind}}));
said("config", fetch(at + "/config"));
Promise.all(tried).then(found => { document.title = JSON.stringify(found); });
</script>"""


@pytest.mark.skipif(BROWSER is None, reason=f"no browser: one of {BROWSERS} is needed")
@pytest.mark.slow
def test_in_a_browser_a_page_on_another_port_gets_nowhere(served):
    playwright = pytest.importorskip("playwright.sync_api")

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((PAGE % served.url).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            view = browser.new_page()
            view.goto(f"http://127.0.0.1:{other.server_port}")
            view.wait_for_function("document.title.startsWith('[')", timeout=60_000)
            found = json.loads(view.title())
            browser.close()
        other.shutdown()
    assert len(found) == 7
    assert all(answer[1:] in (["no"], ["cors", 403]) for answer in found)
    assert list(served.runs.iterdir()) == []


@pytest.mark.slow
def test_another_machine_needs_the_password(tmp_path):
    port = free_port()
    command = [sys.executable, str(ROOT / "app.py"), "--host", "0.0.0.0", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--runs", str(tmp_path / "runs")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LTF_APP_PASSWORD": "a secret", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        told = [process.stdout.readline() for _ in range(2)]
        assert "whoever has the password" in told[0]
        assert "User ltf, password a secret" in told[1]
        served = App(f"http://127.0.0.1:{port}", process, 0.0, tmp_path / "runs")
        right = {"Authorization": "Basic " + base64.b64encode(b"ltf:a secret").decode()}
        wrong = {"Authorization": "Basic " + base64.b64encode(b"ltf:another").decode()}
        for path in ("/", "/ja", "/config", "/report/x", "/gguf/x/y", "/gradio_api/info"):
            assert asked(served, path)[0] == 401
            assert asked(served, path, **wrong)[0] == 401
        assert asked(served, "/gradio_api/queue/join", {"data": []})[0] == 401
        assert asked(served, "/tasks/upload?name=x.csv", {})[0] == 401
        assert asked(served, "/", **right)[0] == 200
    finally:
        process.terminate()
        process.wait(30)


def test_a_program_without_the_token_starts_and_stops_nothing(served):
    config = json.loads(asked(served, "/config")[1])
    there = {each["id"]: each["props"].get("value") for each in config["components"]}
    changes = [
        (each["id"], [there[name] for name in each["inputs"][:-1]])
        for each in config["dependencies"]
        if "ltfToken" in str(each.get("js"))
    ]
    assert len(changes) >= 6  # Start and Stop of a training and of a pilot, and what leads to one
    for number, values in changes:
        body = {"fn_index": number, "data": [*values, "guessed"], "session_hash": "somebody"}
        _, said = asked(served, "/gradio_api/run/predict", body)
        assert "load it anew" in said or "読み込み直してください" in said
    assert list(served.runs.iterdir()) == []


@pytest.mark.slow
def test_a_socket_needs_the_password_too():
    from ltf_lite.app.web.password import Password

    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope["type"])

    async def send(message):
        sent.append(message["type"])

    asked = Password(app, "a secret")
    for kind in ("websocket", "lifespan"):
        asyncio.run(asked({"type": kind, "path": "/x", "headers": []}, None, send))
    assert passed == ["lifespan"]
    assert sent == ["websocket.close"]

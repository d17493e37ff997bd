"""The app as a server: what it answers, to whom, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio_client import Client

from ltf_lite.engines import TINY_BASE
from tests.app_server import App, app, free_port
from tests.conftest import ltf, one_sentence

GGUF = "small/small.q8_0.gguf"
FORM = ("countdown", "44 41 4 23 -> 66", TINY_BASE, TINY_BASE, "tot", 8, 2, 3, 5000, 0)
USERS = 16
COMPARISONS = 100
GROWTH = 30 * 2**20  # bytes that so many comparisons may add after a warm-up


@pytest.fixture(scope="module")
def served(small_run: Path):
    (small_run.parent / "secret.gguf").write_bytes(b"secret")
    link = small_run / "gguf" / "link.gguf"
    link.symlink_to(small_run.parent / "secret.gguf")
    with app(small_run.parent) as running:
        yield running
    link.unlink()


@pytest.fixture(scope="module")
def client(served: App) -> Client:
    return Client(served.url, verbose=False)


def form(**other) -> list:
    names = ("task", "problem", "single", "search", "way", "n", "beam", "iterations", "budget",
             "seed")  # fmt: skip
    return list({**dict(zip(names, FORM, strict=True)), **other}.values())


def compare(client: Client, *args) -> list:
    """The last thing on the page: (notice, verdict, before, after, search, tree)."""
    job = client.submit(*args, api_name="/compare")
    job.result(timeout=300)
    seen: list = [""] * 6
    for state in job.outputs():
        seen = [new if isinstance(new, str) else old for old, new in zip(seen, state, strict=False)]
    return seen


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow(seconds=64)
def test_a_comparison_ends_with_three_verdicts_and_what_they_come_to(client):
    told, verdict, before, after, search, tree = compare(client, *FORM)
    assert told == ""
    assert re.search("solve|missed", verdict)
    for side in (before, after, search):
        assert "Solved" in side or "Not solved" in side
        assert "engine calls" in side
        assert '<strong class="ltf-number">' in side
    assert "<svg" in tree
    assert "44" in after


@pytest.mark.parametrize(
    "way", ["rap", "self-consistency", "best-of-n", "oracle", "dfs", "bfs", "random"]
)
@pytest.mark.slow
def test_every_search_can_be_compared_with_a_gguf_file(client, way):
    told, verdict, before, after, search, _ = compare(client, *form(way=way, single=GGUF))
    assert told == ""
    neither = "ltf-bad" in after and "ltf-bad" in search
    if neither or way in ("dfs", "bfs", "random"):  # or they generate nothing
        assert " times" not in verdict
    else:
        assert "times as many" in verdict
        assert "Two engines" in verdict  # llama.cpp beside torch
    assert re.search("solve|missed", verdict)
    assert "olved" in search
    assert GGUF in after
    assert TINY_BASE in before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "1 1 1 1 -> 99"}, "no solution"),
        ({"problem": "٣ 4 -> 7"}, "whole number"),
        ({"problem": "-> 7"}, "2 to 6 numbers"),
        ({"problem": "3 4"}, "target must be a whole number"),
        ({"problem": "3 4 " * 1000}, "2,000 characters at most"),
        ({"problem": None}, "2 to 6 numbers"),
        ({"problem": "3 4 -> 7 -> 8"}, "a problem is written like"),
        ({"problem": "<script>alert(1)</script>"}, "&lt;script&gt;"),
        ({"single": "../../../etc/passwd"}, "choose one of the list"),
        ({"search": "/etc/passwd"}, "choose one of the list"),
        ({"single": "small/link.gguf"}, "choose one of the list"),
        ({"single": None}, "choose one of the list"),
        ({"task": "chess"}, "there is no such task"),
        ({"way": "magic"}, "there is no such search"),
        ({"beam": 10**9}, "Beam must be a whole number from 1 to 20"),
        ({"budget": -1}, "Most tokens must be a whole number"),
        ({"way": "best-of-n", "n": 1e308}, "Samples must be a whole number"),
        ({"seed": -3}, "Seed must be a whole number"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence_on_the_page(client, change, words):
    try:
        told = compare(client, *form(**change))[0]
    except Exception as error:  # a slider refuses what is out of its bounds before we see it
        told = str(error)
        assert {"beam", "budget", "n"} & set(change), told
        assert "Traceback" not in told
        return
    assert words in told
    assert 'role="alert"' in told


@pytest.mark.parametrize(
    "path",
    ["gguf/small/link.gguf", "gguf/small/..%2f..%2fsecret.gguf", "gguf/../secret.gguf",
     "gguf/small/%2e%2e%2f%2e%2e%2fsecret.gguf", "gguf/%2e%2e/secret.gguf", "gguf/small/",
     "gguf/%2fetc/passwd", "gguf/small/small.q8_0.gguf%00", "gradio_api/file=/etc/passwd",
     "gradio_api/file=pyproject.toml", "gradio_api/file=app.py", "file=/etc/passwd",
     "gguf/small/small.q8_0.gguf/..%2f..%2f..%2fsecret.gguf", "gguf/small/.%2e/secret.gguf",
     "gguf/small/%252e%252e%252fsecret.gguf", "gguf/small/..%5c..%5csecret.gguf",
     "gguf//small/small.q8_0.gguf", "gguf/small/SMALL.Q8_0.GGUF", "gguf/small/manifest.json",
     "gguf/small/parity.json", "gguf/~/secret.gguf", "gguf/small/small.q8_0.gguf%20",
     "gradio_api/file=runs/small/manifest.json", "gradio_api/file=../pyproject.toml",
     "gradio_api/stream/x", "static/../app.py", "assets/..%2f..%2fapp.py",
     "gradio_api/custom_component/x/client/component/..%2f..%2fx"],
)  # fmt: skip
def test_only_the_gguf_files_of_a_run_can_be_downloaded(served, path):
    assert status(f"{served.url}/{path}") in (403, 404)


def test_a_gguf_file_arrives_as_it_is(served, small_run):
    with urllib.request.urlopen(f"{served.url}/gguf/small/small.q8_0.gguf") as answer:
        assert answer.read() == (small_run / "gguf" / "small.q8_0.gguf").read_bytes()
        assert "small.q8_0.gguf" in answer.headers["content-disposition"]


def test_the_report_is_shown_and_runs_no_script(served, small_run):
    with urllib.request.urlopen(f"{served.url}/report/small") as answer:
        assert answer.read() == (small_run / "report" / "index.html").read_bytes()
        assert answer.headers["content-type"].startswith("text/html")
        assert "content-disposition" not in answer.headers
        policy = answer.headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"  # scripts, frames and whatever has no rule of its own
    assert "script-src" not in rules
    assert (rules["style-src"], rules["img-src"]) == ("'unsafe-inline'", "data:")


def test_the_numbers_of_the_report_can_be_downloaded(served, small_run):
    with urllib.request.urlopen(f"{served.url}/report/small/results.csv") as answer:
        assert answer.read() == (small_run / "report" / "results.csv").read_bytes()
        assert "results.csv" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    "path",
    ["report/", "report/..", "report/nothing", "report/small/headline.png",
     "report/small/..%2fmanifest.json", "report/small%2f..%2fsmall", "report/%2e%2e/index.html",
     "report/small/%2e%2e%2fmanifest.json", "report/%2fetc/passwd", "report/small%00"],
)  # fmt: skip
def test_nothing_but_the_report_of_a_listed_run_is_shown(served, path):
    assert status(f"{served.url}/{path}") in (403, 404)


def test_the_address_of_the_pages_own_language_leads_to_it(served):
    with urllib.request.urlopen(f"{served.url}/en?tab=runs") as page:
        assert page.url == f"{served.url}/?tab=runs"
        assert b"ltf_lite" in page.read()


def test_nothing_can_be_uploaded(served):
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
    request = urllib.request.Request(
        f"{served.url}/gradio_api/upload", body + b"x" * 100_000 + b"\r\n--b--\r\n",
        {"Content-Type": "multipart/form-data; boundary=b"},
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == 404


def test_the_server_listens_on_this_machine_alone(served):
    port = int(served.url.rsplit(":", 1)[1])
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    places = [line.split()[1] for line in listening.splitlines() if " 0A " in line]
    assert [place.split(":")[0] for place in places if int(place.split(":")[1], 16) == port] == [
        "0100007F"
    ]


@pytest.mark.parametrize(
    ("host", "code"),
    [("evil.example", 400), ("evil.example:7860", 400), ("localhost.evil.example", 400),
     ("127.0.0.1.evil.example", 400), ("localhost@evil.example", 400), ("app.localhost", 400),
     ("localhost.", 400), ("127.0.0.2", 400), ("127.1", 400), ("2130706433", 400),
     ("0.0.0.0", 400), ("[::1]", 400), ("169.254.169.254", 400), ("xn--localhost", 400),
     ("localhost", 200), ("localhost:9", 200), ("127.0.0.1", 200)],
)  # fmt: skip
def test_a_page_that_calls_this_machine_by_another_name_is_not_answered(served, host, code):
    request = urllib.request.Request(served.url, headers={"Host": host})
    if code == 200:
        assert urllib.request.urlopen(request).status == 200
        return
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == code


@pytest.mark.slow
def test_users_at_the_same_time_each_get_their_own_answer(served):
    """Each asks another problem; none is lost or mixed up with another's."""

    def user(k: int) -> tuple[int, list]:
        own = Client(served.url, verbose=False)
        return k, compare(own, *form(problem=f"{k + 2} {k + 3} -> {2 * k + 5}"))

    with ThreadPoolExecutor(USERS) as pool:
        found = list(pool.map(user, range(USERS)))
    assert len(found) == USERS
    for k, (told, verdict, _, single, _, tree) in found:
        assert told == "" or "numbers" in told
        assert "solve" in verdict
        # larger number first, as the embedded base writes it
        assert f"{k + 3} {k + 2}" in tree or f"{k + 2} {k + 3}" in tree
        assert f"{k + 3}" in single


@pytest.mark.slow(seconds=32)
def test_memory_does_not_grow_with_comparisons(served, client):
    def resident() -> int:
        pages = int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    quick = form(problem="7 3 -> 10", beam=1)
    for _ in range(COMPARISONS // 10):
        compare(client, *quick)
    before = resident()
    for _ in range(COMPARISONS):
        compare(client, *quick)
    assert resident() - before < GROWTH


def test_a_wrong_problem_takes_the_old_answers_away(client):
    told, *html = compare(client, *form(problem="1 x -> 2"))
    assert "Write the numbers, then the target" in told
    assert "ltf-number" not in "".join(html)


def test_a_problem_of_another_size_than_those_learnt_is_told_so(client):
    told = compare(client, *form(problem="7 3 -> 10", single=GGUF))[0]
    assert "learnt problems of 4 numbers and was never shown one of 2" in told
    assert 'role="alert"' not in told
    assert compare(client, *form(problem="7 3 -> 10"))[0] == ""  # tiny-base was tuned on nothing


@pytest.mark.slow
def test_a_batch_counts_what_it_asked(client):
    job = client.submit(*form(beam=1), 4, api_name="/batch")
    job.result(timeout=300)
    tables = [state[2] for state in job.outputs() if isinstance(state[2], str)]
    assert any("4" in table and "%" in table for table in tables[-1:])


def test_a_batch_of_too_many_is_refused(client):
    try:
        told = client.predict(*form(), 10**6, api_name="/batch")[0]
    except Exception as error:
        told = str(error)
    assert "200" in told


@pytest.mark.slow
def test_the_page_speaks_japanese(tmp_path):
    (tmp_path / "runs").mkdir()
    with app(tmp_path / "runs", "--language", "ja") as running:
        with urllib.request.urlopen(running.url) as answer:
            page = answer.read().decode()
        assert json.dumps("比較する")[1:-1] in page or "比較する" in page


@pytest.mark.slow
def test_a_port_that_is_taken_is_a_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one_sentence(ltf("app", "--port", port, "--runs", tmp_path), 2, str(port))


def test_a_port_that_cannot_be_is_a_sentence():
    result = ltf("app", "--port", "99999")
    assert result.returncode == 2
    assert "from 1 to 65535" in result.stderr


@pytest.mark.slow
def test_a_model_that_is_not_there_is_a_sentence(tmp_path):
    one_sentence(ltf("app", "./nothing.gguf", "--port", free_port()), 2, "./nothing.gguf")


@pytest.mark.slow
def test_the_page_of_help_needs_no_gradio():
    code = (
        "import sys; from ltf_lite.app.cli.main import parser; parser(); "
        "print('gradio' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"

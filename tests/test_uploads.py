"""Files of questions that are brought through the page: what is kept, under which name, where."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from ltf_lite.app.web import uploads
from ltf_lite.app.web.catalogue import choices, chosen
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.uploads import HALF, LARGEST, UploadError, keep, safe_name, uploaded
from ltf_lite.app.web.words import speaker
from ltf_lite.core.errors import LtfError, UsageError
from tests.app_server import App

CSV = b"question,answer\n" + b"".join(b"What is %d + 1?,%d\n" % (k, k + 1) for k in range(40))
SAY = speaker("en")


def brought(runs: Path, name: str, *chunks: bytes) -> str:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(keep(runs, name, stream()))


def everything(folder: Path) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("sums.csv", "sums.csv"), ("../../etc/passwd.csv", "passwd.csv"), ("/etc/x.json", "x.json"),
        ("C:\\dir\\a b.TSV", "a-b.tsv"), ("..\\..\\x.csv", "x.csv"), ("...csv", "questions.csv"),
        (".hidden.csv", "hidden.csv"), ("a\0b.csv", "a-b.csv"), ("a\nb.jsonl", "a-b.jsonl"),
        ("x" * 5000 + ".csv", "x" * 60 + ".csv"), ("manifest.json", "my-manifest.json"),
        ("NUL.csv", "my-NUL.csv"), ("com1.csv", "my-com1.csv"), ("a..b.csv", "a-b.csv"),
        ("con.tar.csv", "my-con.tar.csv"),
        ("質問.csv", "質問.csv"), ("x.csv.parquet", "x.csv.parquet"), ("-rf.csv", "rf.csv"),
        ("%2e%2e%2fx.csv", "2e-2e-2fx.csv"), ("~/x.csv", "x.csv"), ("\u202egpj.csv", "gpj.csv"),
        ("a;rm -rf $HOME.csv", "a-rm--rf-HOME.csv"), ("<b>.csv", "b.csv"),
    ],
)  # fmt: skip
def test_a_name_is_only_letters_digits_and_an_ending(told, kept):
    name = safe_name(told)
    assert name == kept
    assert Path(name).name == name
    assert len(name.encode()) < 255
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "told",
    ["", "x", "x.py", "x.csv.py", "x.csv/", "x.pkl", ".csv/..", "x.csv\0.py", "csv", "/dev/null"],
)
def test_another_ending_is_refused(told, tmp_path):
    with pytest.raises(UploadError, match="ending"):
        brought(tmp_path, told, CSV)
    assert not any(file.is_file() for file in tmp_path.rglob("*"))


def test_a_file_is_kept_as_it_is_and_can_be_chosen(tmp_path):
    name = brought(tmp_path, "sums.csv", CSV[:10], CSV[10:])
    assert (tmp_path / "tasks" / name).read_bytes() == CSV
    assert everything(tmp_path) == ["tasks", "tasks/sums.csv"]
    shelf = Shelf(tmp_path)
    assert ("sums.csv", "file:sums.csv") in choices(shelf, SAY)
    task = chosen(shelf, SAY, "file:sums.csv")
    assert task.sign == "sums"
    assert len(task.up_to("train", 100, 0)) > 20


def test_none_is_written_over(tmp_path):
    names = [brought(tmp_path, "sums.csv", CSV, b"Is it %d?,%d\n" % (k, k)) for k in range(3)]
    assert names == ["sums.csv", "sums-2.csv", "sums-3.csv"]
    assert len({(tmp_path / "tasks" / name).read_bytes() for name in names}) == 3
    outside = tmp_path / "outside.csv"
    outside.write_bytes(b"whole")
    (tmp_path / "tasks" / "link.csv").symlink_to(outside)
    assert brought(tmp_path, "link.csv", CSV) == "link-2.csv"
    assert outside.read_bytes() == b"whole"
    assert "link.csv" not in uploaded(tmp_path)


@pytest.mark.parametrize(
    ("name", "body", "word"),
    [
        ("x.csv", b"", "empty"),
        ("x.csv", b"PK\x03\x04" + bytes(500), "x.csv"),
        ("x.parquet", CSV, "no parquet file"),
        ("x.json", CSV, "not JSON"),
        ("x.json", b"[" * 100_000, "x.json"),
        ("x.jsonl", b"\xff\xfe{}", "x.jsonl"),
        ("x.csv", b"a,b\n1,2\n", "which column"),
        ("x.csv", b"question,answer\n", "empty"),
        ("x.csv", b"question,answer\nonly one cell\n", "cells"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_not_kept(name, body, word, tmp_path):
    with pytest.raises(LtfError) as caught:
        brought(tmp_path, name, body)
    assert word in str(caught.value)
    assert HALF not in str(caught.value)
    assert everything(tmp_path) == ["tasks"]


def test_too_large_a_file_ends_where_it_is_too_large(tmp_path):
    taken = []

    async def endless() -> AsyncIterator[bytes]:
        yield CSV
        while True:
            taken.append(1)
            yield b"Is it so?,yes\n" * 75_000

    with pytest.raises(UploadError, match="large"):
        asyncio.run(keep(tmp_path, "x.csv", endless()))
    assert len(taken) * 14 * 75_000 < LARGEST + (2 << 20)
    assert everything(tmp_path) == ["tasks"]


def test_a_parquet_file_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr(uploads, "UNPACKED", 1 << 20)
    table = pa.table({"question": ["x" * (1 << 16)] * 1000, "answer": ["1"] * 1000})
    pq.write_table(table, tmp_path / "bomb", use_dictionary=False, compression="zstd")
    with pytest.raises(UploadError, match="large"):
        brought(tmp_path, "x.parquet", (tmp_path / "bomb").read_bytes())
    assert uploaded(tmp_path) == {}


def test_there_is_room_for_so_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST", 2)
    for _ in range(2):
        brought(tmp_path, "x.csv", CSV)
    with pytest.raises(UploadError, match="many"):
        brought(tmp_path, "x.csv", CSV)
    assert len(uploaded(tmp_path)) == 2


def test_nothing_stays_of_a_file_that_breaks_off(tmp_path):
    async def broken() -> AsyncIterator[bytes]:
        yield CSV
        raise ConnectionResetError

    with pytest.raises(LtfError):
        asyncio.run(keep(tmp_path, "x.csv", broken()))
    assert everything(tmp_path) == ["tasks"]
    left = tmp_path / "tasks" / f"{HALF}0.csv"
    left.write_bytes(b"x")
    os.utime(left, (time.time() - 7200,) * 2)  # a kill left it behind
    brought(tmp_path, "x.csv", CSV)
    assert everything(tmp_path) == ["tasks", "tasks/x.csv"]


def test_a_folder_that_leads_out_or_is_a_run_takes_nothing(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "tasks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UploadError, match="unwritable"):
        brought(runs, "x.csv", CSV)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (runs / "tasks").unlink()
    (runs / "tasks").mkdir()
    (runs / "tasks" / "manifest.json").write_text("{}")
    with pytest.raises(UploadError, match="unwritable"):
        brought(runs, "x.csv", CSV)
    assert uploaded(runs) == {}


def test_links_devices_and_other_files_are_no_tasks(tmp_path):
    brought(tmp_path, "x.csv", CSV)
    folder = tmp_path / "tasks"
    (folder / "passwd.csv").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / "task.py").write_text("raise SystemExit")
    assert list(uploaded(tmp_path)) == ["x.csv"]


@pytest.mark.parametrize(
    "key",
    ["file:../x.csv", "file:nothing.csv", "../../x.py", "x.py", "/etc/passwd", "questions.csv",
     "python", "reference", "reasoning-gym", "reasoning-gym:../x", "reasoning-gym:", "run:x",
     None, [], 3],
)  # fmt: skip
def test_no_key_names_a_file_that_is_not_listed(key, tmp_path):
    (tmp_path / "x.csv").write_bytes(CSV)
    with pytest.raises(UsageError, match="no such task"):
        chosen(Shelf(tmp_path / "runs"), SAY, key)


# -- the route -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def token(served: App) -> str:
    with urllib.request.urlopen(served.url) as page:
        found = re.search(r'ltfToken = \\?"([\w-]+)', page.read().decode())
    assert found
    return found[1]


def posted(served: App, body: bytes, name: str = "x.csv", method: str = "POST", **headers: str):
    there = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    there.request(method, f"/tasks/upload?name={quote(name)}", body, named)
    answer = there.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.slow
def test_only_a_page_of_the_app_brings_a_file(served, token):
    own = {"X_Ltf_Token": token}
    for headers in ({}, {"X_Ltf_Token": ""}, {"X_Ltf_Token": "é"}, {"X_Ltf_Token": token[:-1]}):
        assert posted(served, CSV, **headers)[0] == 403
    for origin in ("http://localhost:9999", "https://evil.example", "null"):
        assert posted(served, CSV, **own, Origin=origin)[0] == 403
    assert posted(served, CSV, **own, Sec_Fetch_Site="cross-site")[0] == 403
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        assert posted(served, CSV, method=method, **own)[0] == 404
    assert list(served.runs.iterdir()) == []


def test_a_file_arrives(served, token):
    own = {"X_Ltf_Token": token, "Origin": served.url, "Sec_Fetch_Site": "same-origin"}
    code, said = posted(served, CSV, "../../../my sums.csv", **own)
    assert (code, json.loads(said)) == (200, {"name": "my-sums.csv"})
    assert (served.runs / "tasks" / "my-sums.csv").read_bytes() == CSV
    code, said = posted(served, CSV, "x.py", **own)
    assert code == 400
    assert "must end in" in json.loads(said)["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_over_the_limit_is_refused_and_not_kept(served, token, chunked):
    before = everything(served.runs)
    there = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
    line = b"Is it so?,yes\n" * 75_000
    many = LARGEST // len(line) + 2
    body = iter([CSV, *[line] * many]) if chunked else CSV + line * many
    try:
        there.request(
            "POST", "/tasks/upload?name=large.csv", body, {"X-Ltf-Token": token},
            encode_chunked=chunked,
        )  # fmt: skip
        assert there.getresponse().status == 413
    except (ConnectionError, http.client.HTTPException):
        pass  # it was answered before all was sent
    assert everything(served.runs) == before


@pytest.mark.slow
def test_who_hangs_up_leaves_nothing_behind(served, token):
    before, place = everything(served.runs), urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port)) as line:
        head = f"POST /tasks/upload?name=half.csv HTTP/1.1\r\nHost: {place.netloc}\r\n"
        line.sendall(f"{head}X-Ltf-Token: {token}\r\nContent-Length: 9000\r\n\r\n".encode() + CSV)
        time.sleep(1)
    for _ in range(50):
        if everything(served.runs) == before:
            break
        time.sleep(0.1)
    assert everything(served.runs) == before
    assert posted(served, CSV, "after.csv", X_Ltf_Token=token)[0] == 200

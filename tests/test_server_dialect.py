"""A model behind a server is asked in the dialect that it learnt, wherever that can be known."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ltf_lite
from ltf_lite.app.web.app import open_app
from ltf_lite.engines import TINY_BASE, Dialect, EngineError, Sampling, open_engine
from ltf_lite.engines.dialect import DEFAULT, tell
from ltf_lite.engines.llama.check import metadata
from tests.conftest import ltf
from tests.llama_server import free_port, serving
from tests.test_server_engine import Server

PROBLEM = "44 41 4 23 -> 66"


@pytest.fixture(scope="module")
def named_by_path(base_gguf: Path) -> Iterator[str]:
    """llama-cpp-python's server as it is started without more: its model is called by its file."""
    port = free_port()
    with serving(base_gguf, port, alias=None):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def named_otherwise(base_gguf: Path) -> Iterator[str]:
    port = free_port()
    with serving(base_gguf, port, alias="base"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose list and `/props` are as a test sets them."""
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def asked(address: str) -> str:
    with closing(open_engine(address)) as engine:
        return engine.dialect.name


def solved(*args: object):
    return ltf("solve", "countdown", PROBLEM, "--json", *args)


@pytest.mark.slow
def test_a_server_that_names_the_model_s_file_tells_what_it_learnt(named_by_path, capfd):
    port = named_by_path.rpartition(":")[2]
    for address in (named_by_path, f"http://localhost:{port}/v1", f"{named_by_path}/v1#any"):
        assert asked(address) == "compact"
    assert capfd.readouterr().err == ""
    told, said = (
        solved("--model", named_by_path),
        solved("--model", named_by_path, "--dialect", "compact"),
    )
    assert told.stderr == said.stderr == ""
    assert json.loads(told.stdout)["text"] == json.loads(said.stdout)["text"] != ""


@pytest.mark.slow
def test_where_nobody_says_it_one_line_says_how_to(named_otherwise):
    untold = solved("--model", named_otherwise)
    warning = untold.stderr.splitlines()[0]
    assert warning.startswith(f"warning: the server at {named_otherwise}/v1 does not tell")
    assert "--dialect NAME" in warning
    assert "context" in untold.stderr  # few-shot is too long for this server's
    said = solved("--model", named_otherwise, "--dialect", "compact")
    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout)["tokens"] > 0
    arguments = ("--model", named_otherwise, "--dialect", "compact", "--set", "beam=1")
    searched = ltf("search", "countdown", PROBLEM, *arguments)
    assert (searched.returncode, searched.stderr) == (0, "")
    with ltf_lite.model(named_otherwise, dialect="compact") as model:
        assert model.dialect == "compact"
        assert ltf_lite.ask(model, "countdown", PROBLEM).text == json.loads(said.stdout)["text"]


@pytest.mark.parametrize(
    "verb", [("solve", "countdown"), ("search", "countdown"), ("monitor",), ("app",)]
)
def test_a_dialect_that_there_is_not_is_wrong_usage(verb):
    result = ltf(*verb, PROBLEM, "--model", "tiny-base", "--dialect", "klingon")
    assert result.returncode == 2
    assert "compact, few_shot, zero_shot" in result.stderr


def test_the_app_asks_what_it_was_given_in_the_dialect_that_it_was_told(server, monkeypatch):
    desks = []

    def built(desk):
        desks.append(desk)
        raise KeyboardInterrupt

    monkeypatch.setattr("ltf_lite.app.web.app.build", built)
    with pytest.raises(KeyboardInterrupt):
        open_app(Path("runs"), (f"{server.url}#m",), dialect="zero_shot")
    for model, spoken in ((f"{server.url}#m", "zero_shot"), (TINY_BASE, "compact")):
        with desks[0].pool.borrow(model) as engine:
            assert engine.dialect.name == spoken
    desks[0].pool.close()


def test_the_file_that_llama_server_names_says_it(server, base_gguf, capfd):
    server.pages["/props"] = {"model_path": str(base_gguf), "model_alias": "m"}
    assert asked(server.url) == "compact"
    assert asked(f"{server.url}#another name") == "compact"  # it has one model
    server.models = {"data": [{"id": "m"}, {"id": "n"}]}
    assert asked(f"{server.url}#m") == "compact"
    assert capfd.readouterr().err == ""
    assert asked(f"{server.url}#o") == DEFAULT


def test_the_folder_that_vllm_names_says_it(server, tmp_path):
    (tmp_path / "model").mkdir()
    tell(tmp_path / "model", "zero_shot")
    server.models = {"data": [{"id": "m", "root": str(tmp_path / "model")}]}
    assert asked(server.url) == "zero_shot"
    (tmp_path / "model" / "ltf.json").write_text('{"dialect": "klingon"}')
    with pytest.raises(EngineError, match="klingon"):
        asked(server.url)


def test_a_preset_s_or_user_s_dialect_is_not_looked_for(server):
    with closing(open_engine(f"{server.url}#m", Dialect("zero_shot"))) as engine:
        assert engine.dialect.name == "zero_shot"
    assert server.asked_for == []


@pytest.mark.parametrize(
    "props",
    [[], "x", {}, {"model_path": 5}, {"model_path": "/nowhere.gguf"}, {"model_path": "/dev/zero"},
     {"model_path": "\0"}, {"model_path": "/proc/1/root/x"}, {"model_path": "x" * 5000}],
)  # fmt: skip
def test_what_a_server_tells_may_be_anything(server, props, capfd):
    server.pages["/props"] = props
    assert asked(server.url) == DEFAULT
    assert "--dialect" in capfd.readouterr().err


def test_a_server_without_a_list_of_its_models(server):
    server.pages["/v1/models"] = None
    assert asked(f"{server.url}#m") == DEFAULT
    with pytest.raises(EngineError, match="HTTP 404"):
        asked(server.url)


def test_metadata_is_read_without_loading_the_file(base_gguf, tmp_path):
    assert metadata(base_gguf, "ltf.dialect") == "compact"
    assert metadata(base_gguf, "ltf.nothing") is None
    raw = base_gguf.read_bytes()
    for k, size in enumerate((0, 3, 20, 300)):
        (tmp_path / f"{k}.gguf").write_bytes(raw[:size])
        assert metadata(tmp_path / f"{k}.gguf", "ltf.dialect") is None
    (tmp_path / "text").write_text("no GGUF, and long enough to be read as one" * 9)
    assert metadata(tmp_path / "text", "ltf.dialect") is None


def test_generate_is_asked_in_it(named_by_path):
    task = ltf_lite.task("countdown")
    with closing(open_engine(named_by_path)) as engine:
        prompt = task.prompt(task.problem(PROBLEM), engine.dialect.name)
        (done,) = engine.generate([prompt], Sampling(max_tokens=40))[0]
    assert task.parse(task.problem(PROBLEM), done.text).all_lines()

"""`ltf export RUN`: what a run did not make itself, and its way to the Hub."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants
from llama_cpp import Llama

from ltf_lite.app.cli.main import main
from ltf_lite.core.files import read_as
from ltf_lite.engines.llama.model import opened_safely
from ltf_lite.export import ExportError
from ltf_lite.export.gguf.types import Parity
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.export.push import check_reach
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.common import problems_of
from tests.conftest import ltf, one_sentence
from tests.hub_stand_in import TOKEN, hub
from tests.test_documents import BLOCK


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory):
    """A copy of a finished run whose adapter and q4_k_m file were asked for."""
    folder = shutil.copytree(small_run, tmp_path_factory.mktemp("exported") / "small")
    assert main(["export", str(folder), "--adapter", "--quantize", "q4_k_m"]) == 0
    return folder


def greedy(file: Path, prompt: str, **options) -> str:
    llama = Llama(str(file), n_ctx=256, n_threads=1, verbose=False, type_k=0, type_v=0, **options)
    try:
        return llama(prompt, max_tokens=64, temperature=0)["choices"][0]["text"]
    finally:
        llama.close()


@pytest.mark.slow
def test_the_base_with_the_adapter_answers_as_the_tuned_model(run, base_gguf, tmp_path):
    merged = write_gguf(run / "model", tmp_path / "merged.gguf", "f32")
    lora, there = str(run / "gguf" / "lora" / "small.lora.gguf"), Run.load(run)
    prompts = [there.preset.task.prompt(p, "compact") for p in problems_of(there, "test")[:10]]
    wanted = [greedy(merged, prompt) for prompt in prompts]
    found = [greedy(base_gguf, prompt, lora_path=lora) for prompt in prompts]
    assert sum(map(str.__eq__, wanted, found)) >= 9  # merged weights are rounded to 16 bits
    assert wanted != [greedy(base_gguf, prompt) for prompt in prompts]


def test_a_further_file_is_measured_and_told_of_like_the_others(run):
    parity = read_as(run / "gguf" / "parity.json", Parity)
    assert list(parity.success) == ["q8_0", "q4_k_m"]
    assert parity.divergence["q4_k_m"].mean > parity.divergence["q8_0"].mean > 0
    assert parity.files["q4_k_m"].bytes == (run / "gguf" / "small.q4_k_m.gguf").stat().st_size
    card = (run / "gguf" / "README.md").read_text()
    assert re.search(r"^\| q4_k_m through llama.cpp \| [\d.]+ %", card, re.M)
    assert "llama-server -m BASE.gguf --lora lora/small.lora.gguf" in card
    assert "q4_k_m" in (run / "report" / "index.html").read_text()


def test_the_run_has_nothing_to_do_again_for_it(run, small_preset, capsys):
    assert main(["train", str(small_preset), "--out", str(run)]) == 0
    assert capsys.readouterr().err.count("done before") == 8
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}
    assert main(["export", str(run), "--adapter", "--quantize", "q4_k_m", "q8_0"]) == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_it_says_where_everything_is(run, capsys):
    assert main(["export", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in told["gguf"]] == [
        f"small.{kind}.gguf" for kind in ("f16", "q8_0", "q4_k_m")
    ]
    assert all(Path(told[name]).exists() for name in ("adapter", "model", "card"))
    assert main(["export", str(run)]) == 0
    said = capsys.readouterr().out
    assert f"Adapter: {told['adapter']}" in said
    assert "for a GGUF file of tiny-base" in said


# -- the card ------------------------------------------------------------------------------------


def blocks(run: Path) -> dict[str, tuple[str, str]]:
    """Title of each section of the card that says how to ask → kind and body of its block."""
    parts = re.split(r"^### (.+)$", (run / "gguf" / "README.md").read_text(), flags=re.M)[1:]
    return {
        title: BLOCK.search(body).groups()
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_card_begins_with_what_the_hub_reads(run):
    _, front, text = (run / "gguf" / "README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(front)
    assert (told["license"], told["library_name"]) == ("apache-2.0", "gguf")
    assert {"gguf", "ltf-lite"} <= set(told["tags"])
    assert "base_model" not in told  # the embedded base is not on the Hub
    assert "`target:numbers in descending order`" in text


def test_the_python_blocks_of_the_card_run_and_answer_as_the_card_says(run, monkeypatch, capsys):
    monkeypatch.chdir(run / "gguf")
    card = (run / "gguf" / "README.md").read_text()
    prompt, *answer = re.search(r"what the model wrote for it.*?\n```\n(.*?)\n```", card, re.S)[
        1
    ].split("\n")
    found = {}
    for title in ("Python", "llama-cpp-python"):
        kind, body = blocks(run)[title]
        assert kind == "python"
        with opened_safely("small.q8_0.gguf"):  # which a block need not do on most machines
            exec(compile(body, title, "exec"), {})
        found[title] = capsys.readouterr().out.strip().split("\n")
    assert prompt in blocks(run)["llama-cpp-python"][1]
    assert found["Python"] == found["llama-cpp-python"]
    assert found["Python"][0] == answer[0]  # in 8 bits the end may be another


def test_the_commands_of_the_card_are_commands(run, monkeypatch, capsys):
    from ltf_lite.app.cli.main import parser

    monkeypatch.chdir(run / "gguf")
    solve, serve = blocks(run)["ltf"][1].strip().split("\n")
    assert main(shlex.split(solve)[1:]) == 0
    assert "tokens" in capsys.readouterr().out
    assert parser()[0].parse_args(shlex.split(serve)[1:]).model == "small.q8_0.gguf"


@pytest.mark.slow
def test_the_request_of_the_card_is_answered_by_a_server(run):
    pytest.importorskip("uvicorn")
    from tests.served import served

    start, curl = blocks(run)["llama.cpp's llama-server"][1].strip().split("\n")
    assert start == "llama-server -m small.q8_0.gguf --port 8080"
    words = shlex.split(curl)
    assert words[1] == "http://127.0.0.1:8080/v1/completions"
    with served(run / "gguf" / "small.q8_0.gguf") as found:
        answer = found.post("/completions", **json.loads(words[words.index("-d") + 1]))
    assert "=" in answer.json()["choices"][0]["text"]


def test_the_files_go_where_lm_studio_looks(run, tmp_path):
    _, body = blocks(run)["LM Studio"]
    env = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run(["bash", "-euc", body], cwd=run / "gguf", env=env, check=True)
    assert (tmp_path / ".lmstudio" / "models" / "ltf-lite" / "small" / "small.q8_0.gguf").is_file()


# -- the Hub -------------------------------------------------------------------------------------


def push(run: Path, url: str | None, *more: str, token: str = TOKEN, **env: str):
    """`ltf export RUN --push` in a process that asks that Hub."""
    told = {"HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **env}
    told |= {"HF_HOME": str(run.parent / "no-home"), "no_proxy": "127.0.0.1"}
    told |= {"HF_ENDPOINT": url} if url else {}
    return ltf("export", run, "--push", *more, env={**os.environ, **told})


@pytest.mark.slow
def test_a_push_brings_files_and_card_to_a_private_repository(run):
    with hub() as there:
        done = push(run, there.url, "me/small")
        assert done.returncode == 0, done.stderr
        assert f"{there.url}/me/small (private)" in done.stdout
        assert there.repos == {"me/small": True}
        assert there.tokens - {None} == {f"Bearer {TOKEN}"}
        files = there.files["me/small"]
    names = {f"small.{kind}.gguf" for kind in ("f16", "q8_0", "q4_k_m")}
    assert set(files) == {*names, "README.md", "Modelfile", "lora/small.lora.gguf"}
    assert all(content == (run / "gguf" / name).read_bytes() for name, content in files.items())


@pytest.mark.slow
def test_nothing_is_public_unasked(run):
    with hub() as there:
        there.repos["me/open"], there.files["me/open"] = False, {}
        one_sentence(push(run, there.url, "me/open"), 1, "is public already", "--public")
        assert there.files["me/open"] == {}
        done = push(run, there.url, "me/new", "--public")
        assert "(public)" in done.stdout
        assert there.repos["me/new"] is False


@pytest.mark.slow
def test_what_stops_a_push_is_one_sentence(run):
    with hub() as there:
        one_sentence(push(run, there.url, "me/small", token=""), 1, "hf auth login")
        one_sentence(push(run, there.url, "me/small", HF_HUB_OFFLINE="1"), 1, "HF_HUB_OFFLINE")
        one_sentence(push(run, there.url, "a/b/c"), 2, "USER/NAME")
        assert not there.asked
        there.refuse = 403
        one_sentence(push(run, there.url, "me/small"), 1, "refuses me/small", "hf auth login")
    one_sentence(push(run, there.url, "me/small"), 1, "does not answer at", there.url)


@pytest.mark.slow
def test_a_hub_that_is_silent_is_given_up_soon(monkeypatch):
    with socket.socket() as silent:  # it takes the connection and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ExportError, match="does not answer"):
            check_reach("me/small")
        assert time.monotonic() - began < 5


# -- refusals ------------------------------------------------------------------------------------


def test_a_run_that_is_not_done_is_one_sentence(run, tmp_path, capsys):
    folder = shutil.copytree(run, tmp_path / "run")
    there = Run.load(folder)
    there.stages["merge"].status = "failed"
    there.save()
    assert main(["export", str(folder), "--adapter"]) == 1
    said = capsys.readouterr().err
    assert "has nothing to export yet: the stage merge is not done" in said
    assert main(["export", str(tmp_path)]) == 1
    assert "is no run" in capsys.readouterr().err


def test_wishes_that_cannot_be_are_one_sentence(run, capsys):
    assert main(["export", str(run), "--public"]) == 2
    assert "--push" in capsys.readouterr().err
    assert main(["export", str(run), "--quantize", "q3_x"]) == 2
    assert "cannot quantize to 'q3_x' (known: q8_0, q6_k, q5_k_m, q4_k_m)" in (
        capsys.readouterr().err
    )

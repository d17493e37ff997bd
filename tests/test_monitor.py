"""`ltf monitor` as a scheduler runs it, on a run whose problems are drawn but nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from ltf_lite.app.cli.main import main
from ltf_lite.engines import EngineError, model_path
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.monitor import Monitored, as_text, monitor
from ltf_lite.pipeline.stages import problems
from ltf_lite.presets import parse
from tests.conftest import SMALL, ltf
from tests.test_server_engine import Server

EVALUATION = [
    {"name": "cot", "n": 1, "max_tokens": 40},
    {"name": "cot", "n": 2, "temperature": 1.0, "max_tokens": 40},
    {"name": "tot", "beam": 2, "value": "prompt", "problems": 5},
    {"name": "dfs"},
]
ABILITIES = ["single_pass", "valid_steps", "sample", "tot", "sibling", "heldout_nll"]


def drawn(folder: Path) -> Path:
    folder.mkdir()
    run = Run.prepare(folder, parse({**SMALL, "evaluation": EVALUATION}, "the test's"), False)
    problems.main(run)
    return folder


def history(folder: Path) -> list[tuple]:
    with closing(sqlite3.connect(folder / "monitor.sqlite")) as file:
        return file.execute("SELECT ability, model, at, version FROM measurements").fetchall()


def damage(model: Path, noise: float) -> None:
    """Add noise to the weights of a model directory, so many standard deviations of each."""
    import torch
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    file = model / "model.safetensors"
    weights = load_file(file)
    for weight in weights.values():
        weight += noise * weight.std() * torch.randn_like(weight)
    save_file(weights, file, {"format": "pt"})


@pytest.mark.slow(seconds=18)
def test_the_same_model_is_well_and_a_damaged_one_in_its_place_raises_the_alarm(
    tmp_path, monkeypatch
):
    folder, model = drawn(tmp_path / "run"), tmp_path / "deployed"
    shutil.copytree(model_path("tiny-base"), model)
    first = ltf("monitor", folder, "--model", model)
    assert first.returncode == 0, first.stderr
    assert "Measured for the first time" in first.stdout
    assert "fewer than 30 problems: tot (5)" in first.stderr

    monkeypatch.chdir(tmp_path)
    found = monitor(Run.load(folder), "deployed", None)
    assert [row.ability for row in found.rows] == ABILITIES
    assert {(row.p, row.difference, row.verdict) for row in found.rows} == {(1.0, 0.0, "ok")}
    assert found.level == 0.05 / len(ABILITIES)
    assert found.fallen == ()
    assert found.model == str(model)

    damage(model, 0.3)
    fallen = ltf("monitor", folder, "--model", model, "--json")
    assert fallen.returncode == 3, fallen.stdout + fallen.stderr
    found = TypeAdapter(Monitored).validate_json(fallen.stdout)
    assert {"valid_steps", "heldout_nll"} <= set(found.fallen)
    text = as_text(found)
    assert text.endswith(f"FALLEN: {', '.join(found.fallen)}")
    assert "p < 0.05 / 6 = 0.0083 (Bonferroni)" in text
    assert [row[0] for row in history(folder)] == 3 * ABILITIES


@pytest.mark.slow
def test_fewer_problems_are_another_set_and_nothing_is_concluded_from_few(tmp_path):
    folder = drawn(tmp_path / "run")
    monitor(Run.load(folder), "tiny-base", 8)
    found = monitor(Run.load(folder), "tiny-base", 7)
    verdicts = {row.ability: row.verdict for row in found.rows}
    # the text and the first 5 problems of the search are the same as before
    assert [name for name in verdicts if verdicts[name] == "ok"] == ["tot", "heldout_nll"]
    assert {row.n for row in found.rows if row.verdict == "first"} == {7}
    assert "fewer than 30 problems: single_pass (7), " in found.warnings[0]


@pytest.mark.slow
def test_killed_in_the_middle_it_leaves_no_half_measurement(tmp_path):
    folder = drawn(tmp_path / "run")
    command = [sys.executable, "-m", "ltf_lite", "monitor", folder, "--model", "tiny-base"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("measuring tiny-base on 40 test problems")
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    process.stderr.close()
    assert history(folder) == []
    monitor(Run.load(folder), "tiny-base", 3)
    assert len(history(folder)) == len(ABILITIES)


@pytest.mark.slow
def test_a_broken_history_is_said_to_be_and_the_measurement_still_made(tmp_path, capfd):
    folder = drawn(tmp_path / "run")
    (folder / "monitor.sqlite").write_text("what was a history")
    found = monitor(Run.load(folder), "tiny-base", 3)
    warning = "was broken: it is set aside as monitor.sqlite.broken"
    assert warning in found.warnings[0]
    assert warning in capfd.readouterr().err
    assert (folder / "monitor.sqlite.broken").read_text() == "what was a history"
    assert len(history(folder)) == len(ABILITIES)


def test_a_server_that_cannot_score_is_measured_without_the_text(tmp_path):
    folder, server = drawn(tmp_path / "run"), Server()
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found = monitor(Run.load(folder), f"{server.url}/", 3)
        server.shutdown()
    assert [row.ability for row in found.rows] == ABILITIES[:-1]
    assert "the held-out text is left out: the server at" in found.warnings[0]
    assert found.model == server.url
    # asked in the dialect that the run's model learnt, whatever the server tells
    assert not any("Combine all the numbers" in request["prompt"] for request in server.seen)


def test_a_model_is_measured_in_the_dialect_that_is_said(tmp_path):
    folder, server = drawn(tmp_path / "run"), Server()
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monitor(Run.load(folder), server.url, 1, "zero_shot")
        server.shutdown()
    assert any("Combine all the numbers" in request["prompt"] for request in server.seen)


def test_a_model_that_answers_nothing_is_called_broken_and_not_kept(tmp_path):
    folder, model = drawn(tmp_path / "run"), tmp_path / "deployed"
    shutil.copytree(model_path("tiny-base"), model)
    damage(model, float("nan"))
    with pytest.raises(EngineError, match=r"deployed' computes no numbers"):
        monitor(Run.load(folder), str(model), 2)
    assert history(folder) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--model", "tiny-base"], ["nowhere", "is no run"]),
        (["run", "--model", "missing.gguf"], ["missing.gguf"]),
        (["empty", "--model", "tiny-base"], ["empty", "no test problems yet", "ltf train"]),
        (["other", "--model", "tiny-base"], ["monitor.sqlite", "something else"]),
    ],
)
def test_what_cannot_be_monitored_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    for name in ("run", "empty", "other"):
        drawn(tmp_path / name)
    shutil.rmtree(tmp_path / "empty" / "problems")
    with closing(sqlite3.connect(tmp_path / "other" / "monitor.sqlite")) as other:
        other.execute("CREATE TABLE letters (text)")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["monitor", *arguments]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("ltf: ")
    assert all(word in said[-1] for word in words)


def test_no_problems_are_no_number_of_problems():
    with pytest.raises(SystemExit) as ended:
        main(["monitor", "run", "--model", "tiny-base", "--problems", "0"])
    assert ended.value.code == 2

"""A pilot as a process of its own, and the preset that is kept of what it found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from ltf_lite.core.errors import LtfError
from ltf_lite.engines import TINY_BASE
from ltf_lite.pipeline.pilot import jobs, keep_preset
from ltf_lite.pipeline.pilot.jobs import Order, folder_of, settings_of_task
from ltf_lite.pipeline.run.folder import RunError
from ltf_lite.tasks import Task, get_task
from ltf_lite.tasks.room import within

SUMS = "question,answer\n" + "".join(f"What is {k} + {k + 3}?,{2 * k + 3}\n" for k in range(30))


def order(task: Task, problems: int = 3) -> Order:
    return Order(settings_of_task(task), TINY_BASE, TINY_BASE, problems)


def ended(folder: Path) -> jobs.PilotState:
    deadline = time.monotonic() + 120
    while (state := jobs.state(folder)).working:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return state


@pytest.fixture
def sums(tmp_path) -> Task:
    (tmp_path / "sums.csv").write_text(SUMS)
    return get_task(str(tmp_path / "sums.csv"))


@pytest.mark.slow
def test_it_runs_to_its_end_and_its_preset_is_kept(sums, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "pilots"
    folder = folder_of(root, sums)
    assert jobs.state(folder) == jobs.PilotState(None, False, None, None, "")
    jobs.start(order(sums), root, folder)
    with pytest.raises(RunError, match="under way"):
        jobs.start(order(sums), root, root / "another")
    state = ended(folder)
    found = state.found
    assert found is not None, state
    assert found.asked.problems == 3
    assert found.advice.kind == "too_few"
    assert found.planned.path_tokens == 64  # tiny-base has a context of 128
    names = [keep_preset(sums, found.planned, tmp_path / "runs") for _ in range(2)]
    assert names == ["sums", "sums"]
    preset = yaml.safe_load(Path("presets/sums.yaml").read_text())
    assert preset["task"] == {"name": "reference", "file": sums.file, "path_tokens": 64}
    Path("presets/sums.yaml").write_text("another: one\n")
    (tmp_path / "runs" / "sums-2").mkdir(parents=True)
    assert keep_preset(sums, found.planned, tmp_path / "runs") == "sums-3"
    assert yaml.safe_load(Path("presets/sums-3.yaml").read_text())["name"] == "sums-3"


@pytest.mark.slow
def test_it_is_stopped_and_can_start_anew(tmp_path):
    task = get_task("countdown", numbers=(1, 50), max_intermediate=999)
    root, long = tmp_path / "pilots", order(task, 500)  # longer than any wait for the stop
    folder = folder_of(root, task)
    jobs.start(long, root, folder)
    jobs.stop(folder)
    state = jobs.state(folder)
    assert (state.working, state.found, state.ended) == (False, None, "")
    assert state.order == long
    with pytest.raises(LtfError, match="nothing is working"):
        jobs.stop(folder)


@pytest.mark.parametrize(
    ("settings", "model", "words"),
    [({"name": "reference", "file": "nothing.csv"}, TINY_BASE, "nothing.csv"),
     ({"name": "chess"}, TINY_BASE, "chess"),
     ({"name": "countdown"}, "./nothing.gguf", "nothing.gguf")],
)  # fmt: skip
@pytest.mark.slow
def test_what_cannot_be_is_a_sentence(settings, model, words, tmp_path):
    folder = tmp_path / "one"
    try:
        jobs.start(Order(settings, model, model, 3), tmp_path, folder)
        said = ended(folder).ended
    except RunError as error:
        said = str(error)
    assert words in said
    assert "Traceback" not in said


def test_files_that_are_broken_are_no_result(tmp_path):
    (tmp_path / "order.json").write_text("{")
    (tmp_path / "pilot.json").write_text('{"asked": 1}')
    (tmp_path / ".pid").write_text("1\n")
    assert jobs.state(tmp_path) == jobs.PilotState(None, False, None, None, "")


def test_another_content_is_another_pilot(sums, tmp_path):
    first = folder_of(tmp_path, sums)
    assert first == folder_of(tmp_path, get_task(sums.file))
    assert first != folder_of(tmp_path, get_task(sums.file, shots=1))
    Path(sums.file).write_text(SUMS + "What is 1 + 1?,2\n")
    assert first != folder_of(tmp_path, get_task(sums.file))


@pytest.mark.parametrize(("context", "room"), [(None, 256), (4096, 256), (128, 64), (8, 16)])
def test_an_answer_has_room_in_the_context(sums, context, room):
    assert within(sums, context).path_tokens == room
    assert within(get_task("countdown"), context) == get_task("countdown")
    short = get_task(sums.file, path_tokens=20)
    assert within(short, 4096) is short

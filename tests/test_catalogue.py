"""Which tasks may be chosen in the app: by name, of runs, of files that were brought."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web.asked import LONGEST, Form, drawn, examples, problem_of, task_of
from ltf_lite.app.web.catalogue import choices, chosen, named, offers
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import speaker
from ltf_lite.core.errors import LtfError, UsageError
from ltf_lite.engines import TINY_BASE
from ltf_lite.tasks import TaskError, get_task
from ltf_lite.tasks.own import Own
from tests.conftest import SMALL

SAY = speaker("en")
SUMS = "question,answer\n" + "".join(f"What is {k} + 1?,{k + 1}\n" for k in range(40))
OTHER = {"name": "countdown", "max_intermediate": 500}
COT = [{"name": "cot", "n": 1}]  # what every task can do
PYTHON = """def problems():
    yield {"text": "1 + 1?"}


def verify(problem, text):
    return True
"""


@pytest.fixture
def desk(tmp_path) -> Desk:
    """Runs of several tasks, and two files that were brought."""
    runs = tmp_path / "runs"
    (tmp_path / "mine.csv").write_text(SUMS)
    (tmp_path / "mine.py").write_text(PYTHON)
    tasks = {
        "plain": {"name": "countdown"},
        "other": OTHER,
        "same": OTHER,
        "sums": {"name": "reference", "file": str(tmp_path / "mine.csv")},
        "gone": {"name": "reference", "file": str(tmp_path / "gone.csv")},
        "python": {"name": "python", "python": str(tmp_path / "mine.py")},
    }
    for age, (name, task) in enumerate(tasks.items()):
        (runs / name).mkdir(parents=True)
        preset = {**SMALL, "name": name, "task": task, "search": COT, "evaluation": COT}
        manifest = {"preset": preset, "stages": {}}
        file = runs / name / "manifest.json"
        file.write_text(json.dumps(manifest))
        os.utime(file, (1e9 - age,) * 2)
    (runs / "tasks").mkdir()
    for age, name in enumerate(("old.csv", "new.csv")):
        (runs / "tasks" / name).write_text(SUMS)
        os.utime(runs / "tasks" / name, (1e9 + age,) * 2)
    return Desk(Shelf(runs), Pool(), SAY)


def form(**other) -> Form:
    fields = dict.fromkeys(Form._fields, None)
    return Form(**{**fields, "single": TINY_BASE, "search": TINY_BASE, **other})


def test_files_come_first_then_names_then_runs_each_task_once(desk):
    found = offers(desk.shelf, SAY)
    assert list(found)[: 2 + len(named())] == ["file:new.csv", "file:old.csv", *named()]
    runs = [key for key in found if key.startswith("run:")]
    assert set(runs) == {"run:other", "run:sums", "run:gone", "run:python"}
    assert found["run:sums"].title == "mine (run sums)"
    assert not {"reference", "python", "reasoning-gym"} & set(found)
    assert all(title.strip() for title, _ in choices(desk.shelf, SAY))


def test_a_task_of_a_run_has_the_settings_of_the_run(desk):
    assert task_of(desk, form(task="run:other")) == get_task(**OTHER)
    assert task_of(desk, form(task="countdown")) == get_task("countdown")
    assert task_of(desk, form(task="run:sums")).sign == "mine"
    with pytest.raises(UsageError, match="no such task"):
        task_of(desk, form(task="run:same"))  # it is run:other


def test_a_file_that_is_gone_is_a_sentence_and_the_page_opens(desk):
    with pytest.raises(TaskError, match=r"gone\.csv"):
        drawn(desk, form(task="run:gone"))
    shown = examples(desk)
    assert {key for key, _ in shown} <= {"countdown", "run:sums"}
    assert "countdown" in {key for key, _ in shown}
    for key, problem in shown:
        assert problem_of(desk, form(task=key, problem=problem.text)).id == problem.id


def test_a_python_file_runs_where_its_run_is_chosen_and_not_because_the_page_opens(
    desk, monkeypatch
):
    asked = []
    monkeypatch.setattr(Own, "_all", lambda self: asked.append(self.python) or iter(()))
    examples(desk)
    assert asked == []
    with pytest.raises(LtfError):
        drawn(desk, form(task="run:python"))
    assert len(asked) > 0
    with pytest.raises(UsageError, match="no such task"):
        drawn(desk, form(task=asked[0]))


def test_an_uploaded_file_is_read_anew_where_it_changed(desk):
    assert drawn(desk, form(task="file:new.csv")).text.startswith("What is")
    file = Path(desk.shelf.runs, "tasks", "new.csv")
    file.write_text(SUMS.replace("What is", "How much is"))
    assert drawn(desk, form(task="file:new.csv")).text.startswith("How much is")
    file.unlink()
    with pytest.raises(UsageError, match="no such task"):
        drawn(desk, form(task="file:new.csv"))


def test_a_typed_question_is_checked_where_it_is_of_the_file(desk):
    known = problem_of(desk, form(task="file:old.csv", problem=" What is 3 + 1?\n"))
    assert known.data["answer"] == "4"
    own = problem_of(desk, form(task="file:old.csv", problem="What is\n7 * 6?"))
    assert "answer" not in own.data
    assert own.text == "What is\n7 * 6?"
    for typed in ("", "   ", None, "x" * (LONGEST + 1)):
        with pytest.raises(LtfError):
            problem_of(desk, form(task="file:old.csv", problem=typed))


def test_a_question_that_fits_the_box_is_drawn(desk):
    file = Path(desk.shelf.runs, "tasks", "long.csv")
    long = "".join(f"{'long ' * 500} {k}?,1\n" for k in range(10))
    file.write_text(SUMS + long)
    assert all(len(drawn(desk, form(task="file:long.csv")).text) <= LONGEST for _ in range(20))


def test_a_generator_is_typed_by_its_name_alone(desk):
    task = chosen(desk.shelf, SAY, " reasoning-gym:gcd ")
    assert (task.name, task.sign) == ("reasoning-gym", "gcd")
    assert chosen(desk.shelf, SAY, "reasoning-gym:gcd") is task  # one process, however often

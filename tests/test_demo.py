"""The first look: a real base, a real tuned copy, and what is said of them."""

import json

import pytest

from ltf_lite import presets
from ltf_lite.app.answer.ask import answers, opened, way_of
from ltf_lite.app.answer.demo import ASKED, demo
from ltf_lite.engines import resolve
from ltf_lite.presets import PresetError
from tests.conftest import ltf


@pytest.fixture(scope="module")
def found():
    return demo()


@pytest.mark.slow
def test_base_search_and_tuned_copy_answer_the_same_problem(found):
    assert [(one.model, one.way) for one in found.shown] == [
        ("tiny-base", "single pass"),
        ("tiny-base", "tree of thoughts"),
        ("tiny-tuned", "single pass"),
    ]
    assert {one.answer.problem.id for one in found.shown} == {found.problem.id}
    base, search, tuned = found.shown
    assert not base.answer.correct
    assert base.rate.n == search.rate.n == tuned.rate.n == found.of == ASKED
    assert search.tokens > 10 * tuned.tokens
    assert base.rate.rate < min(search.rate.rate, tuned.rate.rate)
    for one in found.shown:  # the verdict is the task's, not the file's
        task = presets.load("tiny").task
        verdict = task.verify(found.problem, task.parse(found.problem, one.answer.text))
        assert verdict.correct == one.answer.correct


@pytest.mark.slow
def test_the_shipped_copy_solves_what_no_training_held():
    """Half of 200 problems, of which the base solves a fifth."""
    task, way = presets.load("tiny").task, way_of("single-pass", {"max_tokens": 40})
    asked = task.problems("test", 200, 7)
    rates = []
    for model in ("tiny-base", "tiny-tuned"):
        with opened(model, way, task) as engine:
            rates.append(sum(each.correct for each in answers(asked, task, way, engine)) / 200)
    assert rates[0] < 0.3
    assert rates[1] > 0.45


@pytest.mark.slow(seconds=23)
def test_the_command_says_what_to_do_next_and_gives_json():
    said = ltf("demo", "--seed", 3)
    assert said.returncode == 0, said.stderr
    assert "each used once" in said.stdout
    assert "ltf train tiny --quick" in said.stdout
    told = json.loads(ltf("demo", "--seed", 3, "--json").stdout)
    assert told["seed"] == 3
    assert [one["model"] for one in told["shown"]] == ["tiny-base", "tiny-base", "tiny-tuned"]
    assert all(f"{one['solved']:2} of {ASKED}" in said.stdout for one in told["shown"])
    assert told["problem"]["data"]["target"] in (
        each.data["target"] for each in presets.load("tiny").task.problems("test", ASKED, 4)
    )


def test_a_quick_run_is_the_preset_with_what_its_section_says():
    whole, short = presets.load("tiny"), presets.quick("tiny")
    assert (short.name, short.quick) == ("tiny-quick", None)
    assert short.tuning.steps < whole.tuning.steps
    assert short.task == whole.task
    assert short.budgets is None
    assert short.tuning.learning_rate == whole.tuning.learning_rate


def test_a_preset_without_a_short_form_says_so(tmp_path):
    with pytest.raises(PresetError, match="no short form"):
        presets.quick("smollm2-chat")
    told = ltf("train", "smollm2-chat", "--quick", "--out", tmp_path / "run")
    assert (told.returncode, "no short form" in told.stderr) == (2, True)
    assert not (tmp_path / "run").exists()
    file = tmp_path / "mine.yaml"
    text = presets.find("tiny").read_text()
    file.write_text(text.replace("tuning.steps: 1000", "seed.x: 1"))
    with pytest.raises(PresetError, match=r"seed\.x names no setting"):
        presets.quick(str(file))
    wrong = {
        "tuning.stepz: 1000": "steps",
        "previous: runs/x": "previous is no setting that a short form changes",
        "tuning: {steps: 100}": r"name single settings, such as tuning\.NAME",
    }
    for line, why in wrong.items():  # also where nobody asks for the short form
        file.write_text(text.replace("tuning.steps: 1000", line))
        with pytest.raises(PresetError, match=why):
            presets.load(str(file))


def test_the_copy_is_a_model_by_name():
    assert resolve("tiny-tuned").kind == "gguf"

"""Python files of the user, reasoning-gym, `ltf task check`, `ltf init` and `ltf pilot`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ltf_lite import presets
from ltf_lite.tasks import SPLITS, TaskError, get_task
from ltf_lite.tasks.check import as_text, check
from ltf_lite.tasks.example import WRITTEN, write_example
from tests.conftest import ltf, one_sentence
from tests.half_taught import make
from tests.word_problems import FILE, problems

GOOD = """
def problems():
    for k in range(100):
        yield {"question": f"double {k}", "k": k, "answer": 2 * k}

def verify(problem, text):
    return text.strip().endswith(f"Answer: {2 * problem['k']}")
"""


BREAKS = "\ndef problems():\n    yield {'question': 'a'}\n    1 / 0\n"


@pytest.fixture
def own(tmp_path):
    def made(source, **settings):
        file = tmp_path / "mine.py"
        file.write_text(source)
        return get_task(str(file), **settings)

    return made


def every(task):
    return [problem for split in SPLITS for problem in task.up_to(split, 10**6, 0)]


def verdict(task, problem, text):
    return task.verify(problem, task.parse(problem, text))


# -- Python files ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_python_file_is_a_task(own):
    task = own(GOOD)
    found = every(task)
    assert len(found) == 100
    assert len({problem.id for problem in found}) == 100
    problem = next(each for each in found if each.data["k"] == 21)
    assert problem.text == "double 21"
    assert verdict(task, problem, "21 + 21 = 42\nAnswer: 42").correct
    wrong = verdict(task, problem, "Answer: 43")
    assert (wrong.correct, wrong.kind) == (False, "wrong_answer")
    assert verdict(task, problem, "I do not know").kind == "no_answer"
    assert check(task).passed
    assert task.problem("double 21") == problem


def test_steps_fatal_kinds_and_prompt_are_the_file_s(own):
    task = own(
        GOOD
        + """
KINDS = {"bad_sum": "A sum is wrong."}

def prompt(problem):
    return f"Please double {problem['k']}!"

def steps(text):
    return [line for line in text.split("\\n") if "+" in line]

def fatal(problem, text):
    return 1

def verify(problem, text):
    return {"correct": False, "kind": "bad_sum"}
"""
    )
    problem = every(task)[0]
    assert task.prompt(problem, "zero_shot") == f"Please double {problem.data['k']}!"
    text = "first\n1 + 1\nthen\n2 + 2\nAnswer: 4"
    path = task.parse(problem, text)
    assert [line.text for line in path.lines] == ["1 + 1", "2 + 2"]
    assert [text[line.start : line.end] for line in path.lines] == ["1 + 1", "2 + 2"]
    found = task.verify(problem, path)
    assert found == (False, "bad_sum", 1, "A sum is wrong.")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def problems():\n    yield 1\n", "no function verify()"),
        ("import sys\nsys.exit(3)\n", "ends the process"),
        ("x = \n", "line 1 raises: SyntaxError"),
        ("import nothing_there\n", "line 1 raises: ModuleNotFoundError"),
        (GOOD + BREAKS, "problems(), line 11 raises"),
        (GOOD + "\ndef problems():\n    yield 1\n", "gives dicts, not int"),
        (GOOD + "\ndef problems():\n    yield {'n': 1}\n", "has a text as its `question`"),
        (GOOD + "\ndef problems():\n    return\n    yield\n", "gives none"),
        (GOOD + "\ndef problems():\n    return 5\n", "raises: TypeError"),
        ("import os\nos._exit(1)\n", "cannot be used"),
    ],
)
def test_a_broken_file_is_one_sentence(own, source, words):
    with pytest.raises(TaskError) as error:
        every(own(source))
    assert words in str(error.value), str(error.value)
    assert "mine.py" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import os; os._exit(1)",
        "raise ValueError('no')",
        "return 'yes'",
        "return None",
        "import sys; sys.exit()",
        "return {'kind': 'x'}",
        "print('x' * 10**6)",
        "return [0] * 10**8",
    ],
)
@pytest.mark.slow
def test_what_verify_cannot_say_is_undecided_and_the_next_one_is_answered(own, body):
    task = own(
        GOOD.replace(
            "    return text", f"    if problem['k'] == 1:\n        {body}\n    return text"
        ),
        seconds=1,
    )
    bad, good = (next(p for p in every(task) if p.data["k"] == k) for k in (1, 2))
    found = verdict(task, bad, "Answer: 3")
    assert not found.correct
    assert found.kind in ("undecided", "wrong_answer")
    if not body.startswith("print"):
        assert found.kind == "undecided"
        assert found.kind in task.spared
    assert verdict(task, good, "Answer: 4").correct


@pytest.mark.slow
def test_a_file_writes_nothing_and_prints_nothing(own, tmp_path, capfd):
    task = own(
        GOOD.replace(
            "    return text",
            f"    print('loud')\n    open({str(tmp_path / 'trace')!r}, 'w')\n    return text",
        )
    )
    found = verdict(task, every(task)[0], "Answer: 1")
    assert found.kind == "undecided" or not (tmp_path / "trace").exists()
    assert capfd.readouterr() == ("", "")


def test_a_new_question_is_asked_and_what_it_cannot_say_is_undecided(own):
    task = own(GOOD)
    new = task.problem("double 1000")
    assert new.data == {"question": "double 1000"}
    assert verdict(task, new, "Answer: 2000").kind == "undecided"  # it has no `k`


@pytest.mark.slow
def test_a_right_path_is_not_marked_twice(own):
    marked = GOOD.replace('"answer": 2 * k', '"answer": f"Answer: {2 * k}"')
    task = own(marked)
    assert task.prompt(every(task)[0], "few_shot").count("Answer: ") == 2
    assert "Answer: Answer" not in task.prompt(every(task)[0], "few_shot")
    assert check(task, "few_shot").passed


@pytest.mark.slow
def test_a_verifier_that_runs_what_a_model_wrote_fails_the_check(own):
    runs = """
def verify(problem, text):
    try:
        return eval(text.split("Answer:")[-1]) == 2 * problem["k"]
    except Exception:
        return False
"""
    found = check(own(GOOD + runs))
    assert any("without an answer are called right" in fault for fault in found.faults)


@pytest.mark.slow(seconds=18)
def test_a_check_gives_up_on_a_verifier_that_hangs(own):
    task = own(GOOD + "\ndef verify(problem, text):\n    while True: pass\n", seconds=1)
    began = time.monotonic()
    found = check(task)
    assert not found.passed
    assert found.golds.undecided < 20
    assert time.monotonic() - began < 90


def test_another_content_is_another_input(own, tmp_path):
    task = own(GOOD)
    before = task.content
    (tmp_path / "mine.py").write_text(GOOD + "\n# more\n")
    assert task.content != before


# -- reasoning-gym -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chain_sum", "gcd", "number_sequence", "simple_equations"])
@pytest.mark.slow(seconds=9)
def test_generators_are_tasks(name):
    pytest.importorskip("reasoning_gym")
    task = get_task(f"reasoning-gym:{name}")
    again = get_task(f"reasoning-gym:{name}")
    ids = []
    for split in SPLITS:
        found = task.problems(split, 20, 0)
        assert found == again.problems(split, 20, 0)
        ids += [problem.id for problem in found]
        for problem in found[:5]:
            assert verdict(task, problem, task.gold(problem)).correct
            assert not verdict(task, problem, "Answer: nan").correct
    assert len(ids) == len(set(ids)) == 60


@pytest.mark.slow
def test_settings_and_levels_of_a_generator():
    pytest.importorskip("reasoning_gym")
    easy = get_task("reasoning-gym:chain_sum", level=0)
    assert {p.data["metadata"]["num_terms"] for p in easy.problems("train", 10, 0)} == {2}
    told = get_task("reasoning-gym:chain_sum", config={"min_terms": 4, "max_terms": 4})
    assert {p.data["metadata"]["num_terms"] for p in told.problems("train", 10, 0)} == {4}
    for settings, words in (
        ({"config": {"terms": 4}}, "terms"),
        ({"config": {"min_terms": 9, "max_terms": 2}}, "chain_sum"),
    ):
        with pytest.raises(TaskError, match=words):
            get_task("reasoning-gym:chain_sum", **settings).problems("train", 1, 0)
    with pytest.raises(TaskError, match="did you mean chain_sum"):
        get_task("reasoning-gym:chain_sums").problems("train", 1, 0)


# -- check, init, pilot ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["countdown", "game24"])
def test_the_number_games_pass_their_check(name):
    found = check(get_task(name))
    assert found.passed
    assert found.golds.tried == found.golds.right > 0
    assert found.others.right == found.probes.right == 0


def test_a_verifier_that_rejects_its_own_answers_fails_the_check(tmp_path):
    rows = [{"question": f"{k}?", "answer": "red" if k % 2 else str(k)} for k in range(60)]
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = check(get_task(str(file), verifier={"name": "number"}))
    assert not found.passed
    assert "right answers are not called right" in found.faults[0]
    assert "30 answers cannot be compared by number" in as_text(found)
    one_sentence_of = ltf("task", "check", file, "--task-set", "verifier=number")
    assert one_sentence_of.returncode == 1
    assert "fault:" in one_sentence_of.stdout


def test_a_verifier_that_believes_everything_fails_the_check(own):
    found = check(own(GOOD + "\ndef verify(problem, text):\n    return True\n"))
    assert not found.passed
    assert any("of other problems" in fault for fault in found.faults)
    assert any("without an answer" in fault for fault in found.faults)


@pytest.mark.slow
def test_the_example_is_what_the_generator_makes_and_passes(tmp_path, monkeypatch):
    assert [json.loads(line) for line in FILE.read_text().splitlines()] == problems()
    monkeypatch.chdir(tmp_path)
    assert write_example(Path()) == list(WRITTEN.values())
    files = {path for path in Path().rglob("*") if path.is_file()}
    assert files == set(WRITTEN.values())  # a person's: without seals beside them
    for reference in ("my_task/questions.jsonl", "my_task/my_task.py"):
        found = check(get_task(reference))
        assert found.passed, found.faults
        assert found.golds.right == found.golds.tried > 200
    assert presets.load("presets/my-task.yaml").problems.train == 180
    task = get_task("my_task/questions.jsonl")
    for split, n in presets.load("presets/my-task.yaml").problems:
        assert len(task.problems(split, n, 0)) == n
    one_sentence(ltf("init", cwd=tmp_path), 2, "is there already")


@pytest.mark.slow
def test_a_pilot_says_what_training_would_bring_and_writes_the_preset(tmp_path):
    known = []
    for setting in ("numbers=[1, 50]", "max_intermediate=999", "draw=walk"):
        known += ["--task-set", setting]
    told = ltf(
        "pilot",
        "countdown",
        *known,
        "--model",
        "tiny-base",
        "--problems",
        80,
        "--json",
        cwd=tmp_path,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    rates = {way["name"]: way["rate"] for way in found["ways"]}
    assert list(rates) == [
        "single pass",
        "self-consistency@8",
        "oracle@8 (upper bound)",
        "tree search",
    ]
    assert rates["oracle@8 (upper bound)"]["rate"] > rates["single pass"]["rate"] + 0.1
    assert all(each["low"] <= each["rate"] <= each["high"] for each in rates.values())
    assert found["advice"]["kind"] == "worth_it"
    assert found["planned"]["seconds"]["tune"] > 0
    assert found["planned"]["peak"] > 0
    preset = presets.load(str(tmp_path / found["preset"]))
    assert preset.task.numbers == (1, 50)
    assert preset.problems.train == 1000
    again = ltf("pilot", "countdown", *known, "--model", "tiny-base", cwd=tmp_path)
    one_sentence(again, 2, "countdown.yaml is there already", "--out")


@pytest.mark.slow
def test_a_model_that_finds_nothing_is_too_weak(tmp_path):
    """A random base: of 400 sums it solves none."""
    write_example(tmp_path)
    make(get_task(str(tmp_path / "my_task" / "my_task.py")), tmp_path / "random", steps=1)
    asked = ("my_task/my_task.py", "--task-set", "path_tokens=16", "--model", "random")
    told = ltf("pilot", *asked, "--problems", 10, "--out", "mine.yaml", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "The model is too weak" in told.stdout
    assert "to go on: ltf train mine.yaml" in told.stdout
    assert presets.load(str(tmp_path / "mine.yaml")).task.name == "python"
    lengths = ltf("task", "check", *asked[:1], "--model", "random", cwd=tmp_path)
    assert "tokens, median" in lengths.stdout

"""The commands as a user types them: what they print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ltf_lite.reasoners import REASONERS
from ltf_lite.tasks import TASKS
from tests.conftest import ltf, one_sentence

KEYS = ["problem", "text", "verdict", "way", "reasoner", "choice", "paths", "tokens", "seconds",
        "error"]  # fmt: skip


def gguf(small_run):
    return small_run / "gguf" / "small.q8_0.gguf"


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["train", "--help"]])
@pytest.mark.slow
def test_help_and_version(command):
    result = ltf(*command)
    assert result.returncode == 0
    assert result.stdout.strip()


HEAVY = ("torch", "transformers", "llama_cpp", "matplotlib", "gradio", "scipy", "pyarrow")
VERBS = ("train", "sweep", "report", "monitor", "solve", "search", "verify", "app", "presets",
         "doctor")  # fmt: skip


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_a_help_is_there_at_once(verb):
    code = (
        "import sys; from ltf_lite.app.cli.main import main\n"
        f"try: main([*{verb.split()!r}, '--help'])\n"
        f"except SystemExit as end: assert end.code == 0\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "usage: ltf" in done.stdout


def test_the_help_names_the_tasks_and_reasoners_that_are_there():
    for verb in ("solve", "search"):
        told = ltf(verb, "--help").stdout
        for name in (*TASKS.names(), *REASONERS.names()):
            assert name in told


def test_presets_and_doctor_speak_to_people_and_machines():
    assert "tiny" in ltf("presets").stdout
    assert "tiny" in [p["name"] for p in json.loads(ltf("presets", "--json").stdout)]
    assert "cores" in ltf("doctor").stdout
    found = json.loads(ltf("doctor", "--json").stdout)
    assert found["cores"] >= 1
    assert found["packages"]["torch"]
    assert found["advice"]


@pytest.mark.parametrize("kind", ["gguf", "model", "run", "tiny-base"])
@pytest.mark.slow(seconds=8)
def test_solve_answers_with_a_verdict_and_the_time(small_run, kind):
    own = {"gguf": gguf(small_run), "model": small_run / "model", "run": small_run}
    model = own.get(kind, kind)
    result = ltf("solve", "countdown", "25 5 5 33", "--target", "27", "--model", model)
    assert result.returncode == 0, result.stderr
    assert "25 5 5 33 -> 27: " in result.stdout
    assert "solved" in result.stdout
    assert " ms)" in result.stdout


def test_a_task_that_the_embedded_base_does_not_know_wants_a_model(tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "What is 2 + 3?", "answer": "5"}\n')
    for command in (["solve", file, "What is 2 + 3?"], ["search", file, "What is 2 + 3?"]):
        one_sentence(ltf(*command), 2, "--model", "countdown and game24 alone")
    one_sentence(ltf("solve", file, "What is 2 + 3?", "--target", 5), 2, "has no target")
    told = ltf("init", tmp_path / "new").stdout.splitlines()
    assert told[told.index("to go on:") + 1] == f"  cd {tmp_path / 'new'}"


@pytest.mark.parametrize("typed", [["25 5 5 33", "--target", "27"], ["25 5 5 33 -> 27"]])
def test_a_run_answers_as_its_8_bit_file_does(small_run, typed):
    found = [
        json.loads(ltf("solve", "countdown", *typed, "--model", model, "--json").stdout)
        for model in (small_run, gguf(small_run))
    ]
    assert found[0]["text"] == found[1]["text"]
    assert found[0]["problem"]["text"] == "25 5 5 33 -> 27"


@pytest.mark.slow
def test_an_oracle_lets_the_verifier_pick(small_run):
    command = ["solve", "countdown", "7 3 2 -> 12", "--model", gguf(small_run), "--reasoner",
               "oracle", "--n", 200, "--temperature", 1, "--json"]  # fmt: skip
    answer = json.loads(ltf(*command).stdout)
    assert list(answer) == KEYS
    assert answer["verdict"]["correct"]
    assert answer["paths"] == 200
    assert answer["choice"] == {"kind": "oracle", "n": 200, "tokens": None, "picker": "verifier"}
    assert answer == {**json.loads(ltf(*command).stdout), "seconds": answer["seconds"]}
    assert "(oracle, verifier picked (upper bound) among 200" in ltf(*command[:-1]).stdout


def test_best_of_n_is_the_likeliest_and_asks_no_verifier():
    # Of these samples some are right, and the likeliest is not among them.
    command = ["solve", "countdown", "7 12 20 31 -> 46", "--n", 64, "--temperature", 1.5, "--json",
               "--reasoner"]  # fmt: skip
    best, oracle = (json.loads(ltf(*command, way).stdout) for way in ("best-of-n", "oracle"))
    assert (best["choice"]["kind"], best["choice"]["picker"]) == ("best_of_n", "likelihood")
    assert not best["verdict"]["correct"]
    assert oracle["verdict"]["correct"]
    assert best["tokens"] == oracle["tokens"]


@pytest.mark.parametrize("reasoner", ["tot", "rap"])
@pytest.mark.slow
def test_solve_can_search_with_trees(reasoner):
    command = ["solve", "countdown", "7 3 2", "--target", "12", "--reasoner", reasoner]
    result = ltf(*command, "--set", "votes=2")
    assert result.returncode == 0, result.stderr
    assert f"({reasoner}, judged best among" in result.stdout
    answer = json.loads(ltf(*command, "--json").stdout)
    assert answer["tokens"] > 50
    assert answer["paths"] > 1


def test_solve_many_answers_one_json_line_each(small_run, tmp_path):
    file = tmp_path / "problems.jsonl"
    lines = [
        {"numbers": [25, 5, 5, 33], "target": 27},
        {"problem": {"numbers": [3, 4, 5], "target": 12}},
        {"numbers": [1, 1, 1, 1], "target": 99},
        {"numbers": ["٣", 4], "target": 7},
    ]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\nnonsense\n"
    file.write_text(text, encoding="utf-8")
    result = ltf("solve", "countdown", "--problems", file, "--model", gguf(small_run), "--json")
    assert result.returncode == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(list(answer) == ["line", "id", *KEYS] for answer in answers)
    assert [answer["line"] for answer in answers] == [1, 2, 3, 4, 5]
    assert [bool(answer["error"]) for answer in answers] == [False, False, True, True, True]
    assert [answer["problem"] is None for answer in answers] == [False, False, True, True, True]
    assert answers[1]["problem"]["text"] == "3 4 5 -> 12"
    assert "no solution" in answers[2]["error"]
    assert result.stderr == f"ltf: 3 of 5 problems of {file} could not be asked\n"
    again = ltf("solve", "countdown", "--problems", "-", "--model", gguf(small_run), "--json",
                input=text)  # fmt: skip
    assert [json.loads(line)["text"] for line in again.stdout.splitlines()] == [
        answer["text"] for answer in answers
    ]
    # What was answered can be asked again, and a typed problem is a line too.
    lines = [*result.stdout.splitlines()[:1], '"25 5 5 33 -> 27"']
    again = ltf("solve", "countdown", "--problems", "-", "--model", gguf(small_run), "--json",
                input="\n".join(lines))  # fmt: skip
    assert [json.loads(line)["text"] for line in again.stdout.splitlines()] == [
        answers[0]["text"], answers[0]["text"]
    ]  # fmt: skip


@pytest.mark.parametrize("number", ["0", "-3", "1e9", "٣", "10000", "2.5", "x"])
def test_bad_numbers_are_one_sentence(number):
    one_sentence(ltf("solve", "countdown", f"5 6 {number}", "--target", "27"), 2, "whole number")
    if number != "0":
        one_sentence(ltf("solve", "countdown", "5 6", "--target", number), 2, "target")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1 1 1 1", "--target", "99"], ["no solution"]),
        (["5", "--target", "5"], ["2 to 6 numbers"]),
        (["1 2 3 4 5 6 7", "--target", "5"], ["2 to 6 numbers"]),
        (["5 6"], ["target must be a whole number", "->"]),
        (["5 6 -> 11", "--target", "11"], ["given twice"]),
        (["hello"], ["whole number", "'hello'"]),
        (["5 6 -> 11", "--n", "8"], ["--n", "self-consistency", "single-pass"]),
        (["5 6 -> 11", "--reasoner", "tot", "--temperature", "1"], ["--temperature", "tot"]),
        ([""], ["2 to 6 numbers"]),
        ([], ["--problems"]),
        (["5 6", "--target", "11", "--n", "0"], ["--n"]),
        (["5 6", "--target", "11", "--temperature", "0"], ["--temperature"]),
        (["--problems", "nowhere.jsonl"], ["nowhere.jsonl"]),
        (["5 6 -> 11", "--reasoner", "guess"], ["guess", "single-pass"]),
        (["5 6 -> 11", "--reasoner", "tott"], ["did you mean tot?"]),
        (["5", "6", "-"], ["--target", "shell"]),
        (["5 6 -> 11", "--reasoner", "tot", "--set", "beem=3"], ["beem", "beam"]),
        (["5 6 -> 11", "--task-set", "cont=2"], ["cont", "count"]),
        (["5 6 -> 11", "--task-set", "count"], ["--task-set", "NAME=VALUE"]),
    ],
)
def test_problems_that_cannot_be_asked_are_one_sentence(arguments, words):
    one_sentence(ltf("solve", "countdown", *arguments), 2, *words)


def test_models_that_cannot_be_loaded_are_one_sentence(small_run, tmp_path):
    problem = ["solve", "countdown", "5 6", "--target", "11", "--model"]
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf(small_run).read_bytes()[:100_000])
    noise = tmp_path / "noise.gguf"
    noise.write_bytes(b"no model at all" * 100)
    for file in (cut, noise, tmp_path / "missing.gguf"):
        one_sentence(ltf(*problem, file), 1, file.name)
    one_sentence(ltf(*problem, tmp_path / "nowhere"), 1, "nowhere")
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    one_sentence(ltf(*problem, run), 1, "no tuned model yet")


@pytest.mark.parametrize("reasoner", ["tot", "rap", "cot", "bfs"])
@pytest.mark.slow
def test_search_prints_the_tree_and_what_it_came_to(reasoner):
    command = ["search", "countdown", "7 3 2", "--target", "12", "--reasoner", reasoner]
    result = ltf(*command)
    assert result.returncode == 0, result.stderr
    assert "7 3 2 -> 12" in result.stdout
    assert "└── " in result.stdout
    assert "oracle: " in result.stdout
    data = json.loads(ltf(*command, "--json").stdout)
    assert data["problem"]["text"] == "7 3 2 -> 12"
    assert data["tree"][0]["state"] == [7, 3, 2]
    assert all(node["parent"] < k for k, node in enumerate(data["tree"]) if k)
    assert data["attempts"][0]["verdict"]["message"]
    kinds = [choice["kind"] for choice in data["choices"]]
    assert kinds[0] == ("single_pass" if reasoner == "cot" else "search")


@pytest.mark.slow
def test_what_is_asked_stands_before_the_options_or_after_them():
    told = [
        json.loads(ltf("solve", *words, "--json").stdout)["text"]
        for words in (
            ("countdown", "3 5 7 9", "--target", "22", "--seed", "1"),
            ("--target", "22", "--seed", "1", "countdown", "3 5 7 9"),
            ("countdown", "--target", "22", "--seed", "1", "3 5 7 9"),
            ("countdown", "3", "5", "7", "9", "--target", "22", "--seed", "1"),
            ("countdown", "3", "5", "--seed", "1", "7", "9", "--target", "22"),
        )
    ]
    assert told[0]
    assert len(set(told)) == 1


def test_a_reader_that_has_enough_is_no_failure():
    command = [sys.executable, "-m", "ltf_lite", "search", "countdown", "3 5 7 9 -> 22",
               "--reasoner", "bfs", "--set", "paths=9999", "--set", "failures=9999"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        asked.stdout.readline()
        asked.stdout.close()
        assert asked.stderr.read().decode() == ""
    assert asked.returncode == 0


@pytest.mark.slow
def test_search_takes_the_settings_of_a_preset():
    command = ["search", "game24", "3 3 8 8", "--reasoner", "dfs", "--set", "paths=2", "--json"]
    data = json.loads(ltf(*command).stdout)
    assert [a["verdict"]["correct"] for a in data["attempts"]].count(True) >= 1
    command = ["search", "countdown", "7 3 2", "--target", "12", "--json",
               "--set", "budget.tokens=30", "--set", "expand=sample"]  # fmt: skip
    assert json.loads(ltf(*command).stdout)["tokens"] <= 30
    problem = ["search", "countdown", "7 3 2", "--target", "12"]
    one_sentence(ltf(*problem, "--reasoner", "tott"), 2, "tott", "tot")
    one_sentence(ltf(*problem, "--set", "beem=3"), 2, "beem", "beam")
    one_sentence(ltf(*problem, "--set", "beam"), 2, "NAME=VALUE")
    one_sentence(ltf(*problem, "--set", "beam=0"), 2, "beam")
    one_sentence(ltf("search", "countdown", "7 3 2"), 2, "target must be a whole number")
    one_sentence(ltf(*problem, "--model", "http://127.0.0.1:9/v1"), 1, "127.0.0.1:9")


@pytest.fixture
def questions(tmp_path):
    """A file of questions, a task without steps or solver."""
    file = tmp_path / "questions.jsonl"
    rows = [{"question": f"What is {k} and {k}?", "answer": str(2 * k)} for k in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_task_of_free_text_is_solved_searched_and_verified(questions):
    asked = ["reference", "What is 3 and 3?", "--task-set", f"file={questions}", "--json",
             "--model", "tiny-base"]  # fmt: skip
    answer = json.loads(ltf("solve", *asked, "--set", "max_tokens=8").stdout)
    assert list(answer) == KEYS
    assert answer["problem"]["text"].startswith("What is 3 and 3?")
    assert answer["verdict"]["kind"] in ("no_answer", "wrong_answer", "cut_off", None)
    # A tree search asks with longer prompts than the embedded base has room for.
    one_sentence(ltf("search", *asked), 1, "does not fit", "128")
    result = ltf("search", *asked, "--reasoner", "cot", "--set", "max_tokens=8")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["tree"]
    line = json.dumps({"problem": "What is 3 and 3?", "text": "Answer: 6"})
    told = ltf("verify", *asked[:1], *asked[2:4], input=line)
    assert json.loads(told.stdout)["correct"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("verifier={name: exct}", ["verifier.name", "no 'exct'", "did you mean 'exact'?"]),
        ("verifier={name: exact, cse: true}", ["verifier.cse", "did you mean 'case'?"]),
        ("verifier=exct", ["verifier.name", "no 'exct'", "did you mean 'exact'?"]),
        ("verifier=[1]", ["verifier"]),
        ("fil=3", ["'fil'", "did you mean 'file'?"]),
    ],
)
def test_wrong_settings_of_a_task_are_one_sentence(questions, setting, words):
    told = ltf("solve", "reference", "2+2?", "--task-set", f"file={questions}", "--task-set",
               setting)  # fmt: skip
    one_sentence(told, 2, "reference", *words)


def test_what_is_missing_and_what_does_not_fit_is_told_with_the_way_out(questions):
    one_sentence(ltf("solve", "reference", "2+2?"), 2, "reference", "'file' is missing",
                 "--task-set NAME=VALUE")  # fmt: skip
    long = ltf("solve", "reference", "What is 3 and 3?", "--task-set", f"file={questions}",
               "--model", "tiny-base")  # fmt: skip
    one_sentence(long, 1, "does not fit", "set a smaller max_tokens")
    one_sentence(ltf("solve", "countdown", "5 6 -> 11", "--model", "tiny-bse"), 1, "tiny-base?")


@pytest.mark.parametrize("verb", ["solve", "search"])
@pytest.mark.parametrize("reasoner", ["dfs", "bfs", "random"])
def test_a_reasoner_that_needs_more_than_a_task_has_is_refused_by_name(questions, verb, reasoner):
    told = ltf(verb, "reference", "What is 3 and 3?", "--task-set", f"file={questions}",
               "--reasoner", reasoner, "--model", "nowhere.gguf")  # fmt: skip
    one_sentence(told, 2, f"{reasoner} needs an exact solver, which reference has none of", "tot")


def test_train_refuses_bad_presets_before_anything_is_written(tmp_path):
    one_sentence(ltf("train", "tinny", cwd=tmp_path), 2, "tinny", "tiny")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\ntunning: {}\n")
    one_sentence(ltf("train", bad, cwd=tmp_path), 2, "tunning", "tuning")
    assert not (tmp_path / "runs").exists()


def test_a_base_that_cannot_be_exported_is_refused_before_the_search(tmp_path, small_preset):
    preset = tmp_path / "gone.yaml"
    preset.write_text(small_preset.read_text().replace("tiny-base", "no-such-model"))
    result = ltf("train", preset, "--out", tmp_path / "run")
    one_sentence(result, 2, "model.base", "no-such-model")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_paths_may_begin_in_the_home_folder(small_run, tmp_path):
    home = {**os.environ, "HOME": str(small_run.parent), "USERPROFILE": str(small_run.parent)}
    assert "Single pass:" in ltf("report", "~/small", env=home).stdout
    one_sentence(ltf("solve", "countdown", "--problems", "~/no.jsonl", env=home), 2,
                 f"{small_run.parent}/no.jsonl")  # fmt: skip
    one_sentence(ltf("train", "tiny", "--out=~/small", env=home, cwd=tmp_path), 1, "another")
    assert not list(tmp_path.iterdir())


def test_a_line_of_problems_is_what_verify_reads(tmp_path, questions):
    """A byte order mark, and line ends of Unicode within a string."""
    file = tmp_path / "p.jsonl"
    rows = ['"5 6 -> 11"', json.dumps({"numbers": [5, 6], "target": 11, "by": "a\u2028\x85b"},
                                      ensure_ascii=False)]  # fmt: skip
    file.write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    asked = ["solve", "countdown", "--problems", file, "--reasoner", "dfs", "--json"]
    told = [json.loads(line) for line in ltf(*asked).stdout.splitlines()]
    assert [each["verdict"]["correct"] for each in told] == [True, True]
    text = json.dumps({"question": "Who\u2028 is\x85 it?", "answer": "I"}, ensure_ascii=False)
    questions.write_text(f"\ufeff{text}\n" + questions.read_text(), encoding="utf-8")
    line = json.dumps({"problem": "Who\u2028 is\x85 it?", "text": "Answer: I"})
    verdict = ltf("verify", "reference", "--task-set", f"file={questions}", input=line)
    assert json.loads(verdict.stdout)["correct"]
    questions.write_text('{"question": "a", "question": "b", "answer": "c"}\n')
    told = ltf(
        "verify",
        "reference",
        "--task-set",
        f"file={questions}",
        input='{"problem": "b", "text": ""}',
    )
    assert "line 1 is not JSON: the key 'question' is given twice" in told.stdout


@pytest.mark.slow
def test_report_of_a_run_and_of_none(small_run, tmp_path):
    assert "Single pass:" in ltf("report", small_run).stdout
    assert json.loads(ltf("report", small_run, "--json").stdout)["headline"]
    one_sentence(ltf("report", tmp_path), 1, "no run")


def test_verify_is_a_filter():
    line = {"problem": {"numbers": [25, 5, 5, 33], "target": 27},
            "text": "25 + 5 = 30 (left: 5 33 30)\n30 / 5 = 6 (left: 33 6)\n33 - 6 = 27 (left: 27)\n"
                    "Answer: 33 - ((25 + 5) / 5) = 27"}  # fmt: skip
    result = ltf("verify", "countdown", input=json.dumps(line) + "\nnonsense\n")
    assert result.returncode == 0
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["correct"]
    assert first["kind"] is None
    assert first["fatal_step"] is None
    assert not second["correct"]


def test_a_file_of_which_nothing_can_be_asked_is_a_failure(tmp_path):
    file = tmp_path / "problems.jsonl"
    file.write_bytes(b"\x00\xff\n{}\n")
    told = ltf("solve", "countdown", "--problems", file)
    one_sentence(told, 1, "no line of", "problems.jsonl")
    assert told.stdout.count("not asked: line") == 2
    file.write_text("\n  \n")
    one_sentence(ltf("solve", "countdown", "--problems", file), 1, "no problem in", file.name)
    nothing = ltf("solve", "countdown", "--problems", "-", "--json", input="")
    one_sentence(nothing, 1, "no problem in standard input")
    assert nothing.stdout == ""


def test_an_unknown_command_is_usage():
    one_sentence(ltf("trian", "tiny"), 2, "there is no command 'trian'", "did you mean train?")
    one_sentence(ltf("solve", "chess", "1 2"), 2, "there is no task 'chess'", "countdown")

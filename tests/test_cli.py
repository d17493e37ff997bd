"""The commands as a user types them: what they print, and how they end."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ltf, one_sentence


def gguf(small_run):
    return small_run / "gguf" / "small.q8_0.gguf"


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["train", "--help"]])
def test_help_and_version(command):
    result = ltf(*command)
    assert result.returncode == 0
    assert result.stdout.strip()


def test_presets_and_doctor_speak_to_people_and_machines():
    assert "tiny" in ltf("presets").stdout
    assert "tiny" in [p["name"] for p in json.loads(ltf("presets", "--json").stdout)]
    assert "cores" in ltf("doctor").stdout
    found = json.loads(ltf("doctor", "--json").stdout)
    assert found["cores"] >= 1
    assert found["packages"]["torch"]
    assert found["advice"]


@pytest.mark.parametrize("kind", ["gguf", "model", "tiny-base"])
def test_solve_answers_with_a_verdict_and_the_time(small_run, kind):
    model = {"gguf": gguf(small_run), "model": small_run / "model"}.get(kind, kind)
    result = ltf("solve", "countdown", "25 5 5 33", "--target", "27", "--model", model)
    assert result.returncode == 0, result.stderr
    assert "25 5 5 33 -> 27: " in result.stdout
    assert "solved" in result.stdout
    assert " ms)" in result.stdout


def test_best_of_n_lets_the_verifier_pick(small_run):
    command = ["solve", "countdown", "7 3 2", "--target", "12", "--model", gguf(small_run),
               "--reasoner", "best-of-n", "--n", 200, "--temperature", 1, "--json"]  # fmt: skip
    answer = json.loads(ltf(*command).stdout)
    assert answer["verdict"]["correct"]
    assert answer["paths"] == 200
    assert answer == {**json.loads(ltf(*command).stdout), "seconds": answer["seconds"]}


@pytest.mark.parametrize("reasoner", ["tot", "rap"])
def test_solve_can_search_with_trees(reasoner):
    command = ["solve", "countdown", "7 3 2", "--target", "12", "--reasoner", reasoner]
    result = ltf(*command)
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
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [("error" in answer) for answer in answers] == [False, False, True, True, True]
    for key in ("problem", "text", "verdict", "tokens", "seconds"):
        assert key in answers[0]
    assert "no solution" in answers[2]["error"]
    again = ltf("solve", "countdown", "--problems", "-", "--model", gguf(small_run), "--json",
                input=text)  # fmt: skip
    assert [json.loads(line).get("text") for line in again.stdout.splitlines()] == [
        answer.get("text") for answer in answers
    ]


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
        (["5 6"], ["--target"]),
        ([], ["--problems"]),
        (["5 6", "--target", "11", "--n", "0"], ["--n"]),
        (["5 6", "--target", "11", "--temperature", "0"], ["--temperature"]),
        (["--problems", "nowhere.jsonl"], ["nowhere.jsonl"]),
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


@pytest.mark.parametrize("reasoner", ["tot", "rap", "cot", "bfs"])
def test_search_prints_the_tree_and_what_it_came_to(reasoner):
    command = ["search", "countdown", "7 3 2", "--target", "12", "--reasoner", reasoner]
    result = ltf(*command)
    assert result.returncode == 0, result.stderr
    assert "7 3 2 -> 12" in result.stdout
    assert "└── " in result.stdout
    assert "oracle: " in result.stdout
    data = json.loads(ltf(*command, "--json").stdout)
    assert data["tree"][0]["state"] == [7, 3, 2]
    assert all(node["parent"] < k for k, node in enumerate(data["tree"]) if k)
    assert data["attempts"][0]["verdict"]["message"]
    assert set(data["choices"]) & {"tot", "rap", "greedy", "bfs"}


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
    one_sentence(ltf("search", "countdown", "7 3 2"), 2, "--target")
    one_sentence(ltf(*problem, "--model", "http://127.0.0.1:9/v1"), 1, "127.0.0.1:9")


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
    one_sentence(result, 1, "no-such-model")
    assert all(path.name in (".lock", ".work") for path in (tmp_path / "run").iterdir())


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


def test_an_unknown_command_is_usage():
    assert ltf("trian", "tiny").returncode == 2
    assert ltf("solve", "chess", "1 2").returncode == 2

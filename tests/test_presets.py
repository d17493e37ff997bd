"""Every preset on disk is good; what is not good is refused by name, in one sentence."""

from __future__ import annotations

import copy
import json
import re
import socket
import time
from dataclasses import fields
from itertools import pairwise

import pytest

from ltf_lite import doctor, presets
from ltf_lite.cli import main
from ltf_lite.pipeline import RunError
from ltf_lite.pipeline.fit import needs, preview
from ltf_lite.pipeline.train import check
from ltf_lite.reasoners import REASONERS, get_reasoner
from ltf_lite.tasks import TaskError
from tests.conftest import SMALL

FILES = {name: file.resolve() for name, file in presets.available().items()}


@pytest.mark.parametrize("name", FILES)
def test_every_preset_on_disk_loads_and_its_task_has_problems(name):
    preset = presets.load(name)
    assert preset.name == name
    assert preset.about
    check(preset)


@pytest.mark.parametrize("name", FILES)
def test_every_preset_on_disk_dry_runs(name, capsys, monkeypatch, tmp_path):
    """And fits the card in its name, with a tenth of it to spare, as its first lines say."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    assert main(["train", name, "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["preset"] == name
    assert list(tmp_path.iterdir()) == []
    card = re.search(r"-(\d+)gb$", name)
    if card:
        assert said["card"]["whole"]["total"] <= 0.9 * int(card[1]) * 2**30
        assert main(["train", name, "--dry-run", "--card", card[1]]) == 0
        header = FILES[name].read_text().partition("\nname:")[0].replace("\n# ", " ")
        for size in said["card"].values():
            assert f"{size['total'] / 2**30:.1f} GiB" in header
        assert "estimated, not measured" in header


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", FILES)
def test_what_a_preset_needs_is_said_at_once_without_the_network(name, no_network):
    preset, began = presets.load(name), time.monotonic()
    said = needs(preset)
    assert time.monotonic() - began < 2
    assert preview(preset, None, "Some Card", None, online=False)["card"] == said["card"]
    assert said["has"] == said["sentence"].startswith("This machine can train it: ")
    assert said["disk"]["needed"] > 1e6
    assert said["disk"]["free"] > 0


@pytest.mark.parametrize(
    ("name", "found", "has", "words"),
    [
        ("tiny", (None, 8), True, "8.0 GiB of memory are free"),
        ("tiny", (None, 1), False, "about 1.5 GiB of memory, and 1.0 GiB are free"),
        ("qwen2.5-math-7b-12gb", (None, 900), False, "there is no NVIDIA card here"),
        ("qwen2.5-math-7b-12gb", ("Some Card", 12), True, "12.0 GiB are free on the Some Card"),
        ("qwen2.5-math-7b-12gb", ("Some Card", 9), True, "2 successes and 2 failures at once"),
        ("qwen2.5-math-7b-12gb", ("Some Card", 7), False, "fits is qwen3-4b-12gb"),
    ],
)
def test_whether_this_machine_has_it_is_a_sentence(name, found, has, words, monkeypatch):
    facts = {"disk_free": 10**12, "cards": [], "packages": {"unsloth": None}}
    monkeypatch.setattr(doctor, "free_memory", lambda: (found[0], found[1] * 2**30))
    monkeypatch.setattr(doctor, "facts", lambda: facts)
    said = needs(presets.load(name))
    assert (said["has"], said["cuda"], said["unsloth"]) == (has, found[0] is not None, None)
    assert words in said["sentence"]
    if has:
        facts["disk_free"] = 10**6
        said = needs(presets.load(name))
        assert not said["has"]
        assert "on disk" in said["sentence"]


def test_what_a_base_unknown_here_needs_is_not_asked_of_the_network(no_network):
    preset = presets.parse(changed("model.base", "no/such-model"), "here")
    with pytest.raises(RunError, match="small needs can't be told here"):
        needs(preset)


@pytest.mark.parametrize("name", FILES)
def test_every_setting_of_a_preset_on_disk_is_explained(name):
    """By a comment beside it, or one on the line above a list's item."""
    lines = FILES[name].read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"\s*[a-z_0-9]+: \S", line) and not line.startswith("about:"):
            assert "# " in line or before.lstrip().startswith("#"), line


def changed(path: str, value) -> dict:
    data = copy.deepcopy(SMALL)
    *way, last = path.split(".")
    at = data
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at[part]
    at[int(last) if isinstance(at, list) else last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("tuning.alhpa", 0.1, ["tuning.alhpa", "alpha"]),
        ("serach", [], ["serach", "search"]),
        ("task.tagrets", [1, 2], ["task.tagrets", "targets"]),
        ("search.0.temprature", 1, ["search.0.temprature", "temperature"]),
        ("tuning.alpha", 1.0, ["tuning.alpha", "less than 1"]),
        ("tuning.alpha", -0.1, ["tuning.alpha"]),
        ("problems.test", 0, ["problems.test", "greater than 0"]),
        ("tuning.credit", "everything", ["tuning.credit", "fatal_step"]),
        ("tuning.learning_rate", "fast", ["tuning.learning_rate", "fast"]),
        ("search.0.paths", 3, ["cot", "paths"]),
        ("search.1.temperature", 0, ["temperature"]),
        ("name", "../evil", ["name"]),
        ("evaluation", [{"name": "dfs"}], ["evaluation", "single pass"]),
        ("seed", -1, ["seed"]),
        ("search.0.name", "cto", ["search.0", "cto", "cot"]),
        ("search.0", {"n": 1}, ["search.0.name", "missing"]),
        ("search.0", {"name": "tot", "beem": 3}, ["search.0.beem", "tot", "beam"]),
        ("search.0", {"name": "rap", "beam": 3}, ["search.0.beam", "rap"]),
        ("search.0", {"name": "tot", "beam": 0}, ["search.0.beam", "greater than 0"]),
        ("search.0", {"name": "tot", "value": "logprbs"}, ["search.0.value", "logprob"]),
        ("search.0", {"name": "tot", "budget": {"tokns": 1}}, ["search.0.budget.tokns", "tokens"]),
        ("engine", {"name": "sever", "url": "x"}, ["engine", "sever", "server"]),
        ("engine", {"name": "server", "ulr": "x"}, ["engine.ulr", "url"]),
        ("engine", {"name": "server"}, ["engine.url", "missing"]),
        ("engine", {"name": "llamacpp", "url": "x"}, ["engine.url", "llamacpp"]),
    ],
)
def test_a_bad_setting_is_refused_by_name(path, value, words):
    with pytest.raises(presets.PresetError) as caught:
        presets.parse(changed(path, value), "here")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("task.numbers", [1, 1], "found only 0"),
        ("task.targets", [900, 901], "max_intermediate"),
        ("task.numbers", [9, 3], "smaller end first"),
        ("task.count", 9, "count"),
        ("task.ranked", "x.csv", "ranked"),
        ("task.name", "coutdown", "countdown"),
    ],
)
def test_an_impossible_task_is_refused_before_anything_is_written(path, value, word):
    data = changed(path, value)
    if path == "task.numbers" and value == [1, 1]:
        data["task"]["targets"] = [50, 60]
    if path == "task.targets":
        data["task"]["max_intermediate"] = 500
    with pytest.raises(TaskError, match=word):
        check(presets.parse(data, "here"))


@pytest.mark.parametrize("name", REASONERS)
def test_a_preset_knows_every_setting_of_every_reasoner(name):
    known = {field.name for field in fields(REASONERS[name])}
    section = presets.reasoner({"name": name}, "here")
    asked = set(type(section).model_fields) - {"name", "problems"}
    assert known - asked <= {"style"}  # the engine's
    assert asked <= known


def test_a_budget_is_given_in_tokens():
    section = presets.reasoner({"name": "tot", "beam": 3, "budget": {"tokens": 500}}, "here")
    assert section.settings() == {"beam": 3, "budget": 500}
    assert get_reasoner("tot", **section.settings()).budget == 500


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(presets.PresetError, match="tiny"):
        presets.load("tinny")


def test_a_broken_file_is_one_sentence(tmp_path):
    for content in (b"a: [1", b"\xff\xfe", b"- 1\n", b""):
        file = tmp_path / "p.yaml"
        file.write_bytes(content)
        with pytest.raises(presets.PresetError) as caught:
            presets.load(str(file))
        assert "\n" not in str(caught.value)

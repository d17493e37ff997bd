"""YAML of settings: what is ambiguous, endless or too large is refused at once, in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import yaml

from ltf_lite import presets
from ltf_lite.app.cli.main import main
from ltf_lite.core import yaml_text
from ltf_lite.core.yaml_text import SyntaxFault, YamlError, load_yaml, read_yaml
from ltf_lite.pipeline.sweep.grid import grid, grids
from tests.clock import own_seconds
from tests.conftest import SMALL

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
TOO_MUCH = {
    "aliases": (LAUGHS, "values"),
    "aliases of mappings": ("a: &a {b: 1}\n" + "c: &c [" + "*a," * 9000 + "]\n", "values"),
    "merges": ("a: &a {b: 1}\nc: {<<: [" + "*a," * 9000 + "]}\n", "values"),
    "itself": ("a: &a [*a]\n", "part of itself"),
    "itself in a mapping": ("a: &a\n  b:\n    - {c: *a}\n", "part of itself"),
    "deep lists": ("a: " + "[" * 500 + "]" * 500, "deep"),
    "deep mappings": ("{a: " * 500 + "1" + "}" * 500, "deep"),
    "deep blocks": ("\n".join(" " * k + "a:" for k in range(200)), "deep"),
    "deep dashes": ("- " * 2000, "deep"),
    "many": ("a: [" + "1," * 20_000 + "]", "values"),
    "digits": ("a: " + "9" * 5000, "5000 digits"),
    "hexadecimal": ("a: 0x" + "f" * 5000, "digits"),
    "of sixty": ("a: 1" + ":59" * 3000, "digits"),
    "behind the point": ("a: 1." + "1" * 5000, "digits"),
    "told to be a number": ("a: !!int '" + "9" * 5000 + "'", "digits"),
    "large": ("# " + "x" * 70_000, "larger than"),
}
TWICE = {
    "tuning: {rank: 128}\nname: x\ntuning: {rank: 32}\n": ("tuning is given twice", "1 and 3"),
    "tuning:\n  rank: 128\n\n  rank: 32\n": ("tuning.rank is given twice", "2 and 4"),
    "search:\n- {name: tot,\n   beam: 3,\n   'beam': 4}\n": (
        "search.beam is given twice",
        "3 and 4",
    ),
    "? a\n: 1\n? a\n: 2\n": ("a is given twice", "1 and 3"),
    "{a: 1, a: 1}": ("a is given twice", "line 1"),
    "a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n": ("c.<< is given twice", "3 and 4"),
}


@pytest.fixture(params=["C", "Python"])
def parser(request, monkeypatch):
    """Both parsers that PyYAML may have."""
    if request.param == "Python":
        monkeypatch.setattr(yaml_text, "_Parser", yaml.SafeLoader)


@pytest.mark.parametrize("text", TWICE)
def test_a_key_that_is_given_twice_is_refused_with_both_lines(text, parser):
    with pytest.raises(YamlError) as refusal:
        load_yaml(text, "p.yaml")
    for words in ("p.yaml: ", *TWICE[text]):
        assert words in str(refusal.value)


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_no_settings_are_is_refused_at_once(name, parser):
    text, words = TOO_MUCH[name]

    def load():
        with pytest.raises(YamlError, match=words) as refusal:
            load_yaml(text, "p.yaml")
        return refusal

    refusal = load()
    assert own_seconds(load, 1) < 1
    assert len(str(refusal.value)) < 300
    assert not isinstance(refusal.value, SyntaxFault)


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: b: c", "--- 1\n--- 2", "a: *b", "a: !x 1", "a: !!python/name:os.system",
     "a: !!binary xx", "a: !!timestamp x", "a: !!bool x", "a: !!int x", "? [1]\n: 2", "1: 2",
     "yes: 2", "&a a: 1\n*a : 2", "a: \x00", "<<: 1", "a: 'x", "!!set {a, b}"],
)  # fmt: skip
def test_what_is_no_yaml_of_settings_is_a_sentence(text, parser):
    with pytest.raises(YamlError) as refusal:
        load_yaml(text, "p.yaml")
    assert str(refusal.value).startswith("p.yaml: ")
    assert "\n" not in str(refusal.value)


def test_what_settings_need_is_read(parser):
    assert load_yaml("a: &x {k: 1}\nb: {<<: *x, k: 2}\nc: *x", "") == {
        "a": {"k": 1}, "b": {"k": 2}, "c": {"k": 1}
    }  # fmt: skip
    assert load_yaml("[1, 1.5, .5, yes, ~, 2024-13-01, 'a\u2028b', 0x1f, '5']", "") == [
        1, 1.5, 0.5, True, None, "2024-13-01", "a\u2028b", 31, "5"
    ]  # fmt: skip
    assert load_yaml("", "") is None


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "large", "link", "missing"])
def test_what_is_no_file_of_settings_is_refused_at_once(tmp_path, kind):
    file = tmp_path / "p.yaml"
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind in ("device", "link"):
        file.symlink_to("/dev/zero" if kind == "device" else "p.yaml")
    elif kind == "large":
        with open(file, "wb") as stream:
            stream.truncate(100 << 20)
    began = time.monotonic()
    with pytest.raises(YamlError, match=r"p\.yaml"):
        read_yaml(file)
    with pytest.raises(presets.PresetError, match=r"p\.yaml"):
        presets.load(str(file))
    assert main(["train", str(file)]) == 2
    assert time.monotonic() - began < 10  # not for ever


def test_a_preset_that_explodes_fills_no_memory(tmp_path):
    (tmp_path / "p.yaml").write_text(LAUGHS)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31));"
        "from ltf_lite.app.cli.main import main; sys.exit(main(['train', 'p.yaml']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ltf: p.yaml: more than 10000 values are no settings\n"


SOLVE = ["solve", "countdown", "5 6 -> 11", "--reasoner", "tot"]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["beam=2", "beam=3"], "--set beam is given twice"),
        (["budget.tokens=2", "budget.tokens=3"], "--set budget.tokens is given twice"),
        (["budget={tokens: 2}", "budget.tokens=3"], "--set budget.tokens is given twice"),
        (["budget.tokens=3", "budget={tokens: 2}"], "--set budget is given twice"),
        (["budget={tokens: 2, tokens: 3}"], "tokens is given twice"),
        (["beam=" + "[" * 500 + "]" * 500], "deep"),
        (["beam=" + "9" * 5000], "5000 digits"),
        (["beam=&a [*a]"], "part of itself"),
        (["beam=" + "x" * 70_000], "larger than"),
        (["beam=" + "x" * 7000], "…"),
        (["x" * 7000 + "=1"], "…"),
    ],
)
@pytest.mark.parametrize("option", ["--set", "--task-set"])
def test_a_value_on_the_command_line_is_read_within_the_same_bounds(option, pairs, words, capsys):
    asked = [each for pair in pairs for each in (option, pair)]
    assert main([*SOLVE, *asked]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ltf: ")
    if option == "--set":
        assert words in said
    assert len(said) < 500
    assert said.count("\n") == 1


def test_so_is_a_value_of_a_sweep():
    preset = presets.parse(SMALL, "here")
    for text in ("[" * 500 + "]" * 500, "9" * 5000, "{a: 1, a: 2}", "&a [*a]"):
        with pytest.raises(presets.PresetError, match="--set alpha"):
            grid(preset, [f"alpha={text}"])
    with pytest.raises(presets.PresetError, match="given twice"):
        grid(preset, ["alpha=1e-5", "tuning.alpha=1e-4"])
    with pytest.raises(presets.PresetError, match="combinations"):
        grid(preset, [f"{name}={','.join(map(str, range(1, 200)))}" for name in ("batch", "rank")])
    twice = {"seeds": 1, "grids": {"g": {"alpha": [1e-5], "tuning.alpha": [1e-4]}}}
    with pytest.raises(presets.PresetError, match=r"sweep\.grids\.g: alpha is given twice"):
        grids(presets.parse({**SMALL, "sweep": twice}, "here"))


def test_a_long_value_is_cut_in_its_sentence():
    for value in ("x" * 10_000, -(10**10_000), ["x"] * 10_000):
        with pytest.raises(presets.PresetError) as refusal:
            presets.parse({**SMALL, "seed": value}, "here")
        assert len(str(refusal.value)) < 300

"""The commands in a real terminal: narrow ones, without colours, stopped by hand, completed."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref

import pytest

from ltf_lite import presets
from ltf_lite.app.cli.ending import Terminated, heeding_signals
from ltf_lite.app.cli.main import main, parser
from ltf_lite.core.manifest import StageEntry
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.graph import STAGES
from tests.conftest import ltf, one_sentence
from tests.terminal import CTRL_C, in_terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")  # of a letter; bold and dim are none
HEAVY = ("torch", "transformers", "llama_cpp", "numpy", "ltf_lite.presets")


def said_by(capsys, *args: object) -> tuple[int, str, str]:
    """How a command in this process ends, and what it says."""
    try:
        code = main(list(map(str, args)))
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


# ---- the first words


def test_ltf_alone_says_three_commands_and_where_the_help_is(capsys):
    code, told, wrong = said_by(capsys)
    assert (code, wrong) == (0, "")
    commands = re.findall(r"^  ltf (.+)$", told, re.M)
    assert [each.split()[0] for each in commands] == ["demo", "train", "solve"]
    for each in commands:  # each of them is one
        parser()[0].parse_args(each.split())
    assert "`ltf --help`" in told
    assert main(commands[2].split()) == 0
    assert "-> 46: solved" in capsys.readouterr().out


FIRST_WORD = """
import sys
class Watched:
    def __init__(self, stream): self.stream = stream
    def __getattr__(self, name): return getattr(self.stream, name)
    def write(self, text):
        if sys.stderr is self:
            sys.stderr = self.stream
            print(text.strip(), [name for name in {heavy!r} if name in sys.modules])
        return self.stream.write(text)
sys.stderr = Watched(sys.stderr)
from ltf_lite.app.cli.main import main
main({args!r})
"""


@pytest.mark.parametrize(
    "args", [["solve", "countdown", "5 6 -> 11", "--json"], ["search", "countdown", "5 6 -> 11"]]
)
@pytest.mark.slow
def test_a_line_is_there_before_anything_heavy_is_loaded(args):
    code = FIRST_WORD.format(heavy=HEAVY, args=args)
    seen = in_terminal(command=(sys.executable, "-c", code)).text
    assert seen.splitlines()[:2] == ["loading, a few seconds []", "loading, a few seconds"]
    # who reads a pipe does not wait
    piped = ltf(*args)
    assert "loading" not in piped.stderr + piped.stdout


# ---- names that are nearly right


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("trian tiny", ["'trian'", "did you mean train?"]),
        ("train tiney", ["'tiney'", "did you mean tiny?"]),
        ("train tiny --quik", ["--quik", "did you mean --quick?", "`ltf train --help`"]),
        ("solve countdown 5 6 --target 11 --sed 3", ["--sed", "did you mean --seed?"]),
        ("solve countdown 5 6 --target 11 --sed=3", ["--sed", "did you mean --seed?"]),
        ("solve countdwn 5 6 --target 11", ["'countdwn'", "did you mean countdown?"]),
        ("solve countdown 5 6 --target 11 --model tinybase", ["did you mean tiny-base?"]),
        ("search countdown 5 6 --target 11 --reasoner rapp", ["'rapp'", "did you mean rap?"]),
        ("solve countdown 5 6 --target 11 --dialect compct", ["'compct'", "did you mean compact?"]),
        ("app --language jp", ["--language 'jp'", "en, ja"]),
        ("completion basch", ["'basch'", "did you mean bash?"]),
        ("presets all", ["too many words: all"]),
        ("train", ["preset", "`ltf train --help`"]),
    ],
)
def test_what_is_nearly_a_name_is_told_the_nearest(capsys, typed, words):
    code, told, wrong = said_by(capsys, *typed.split())
    assert code in (1, 2)
    assert told == ""
    for word in words:
        assert word in wrong.splitlines()[-1]
    assert "usage:" not in wrong


def test_a_base_that_is_no_model_is_an_error_of_the_preset(capsys, tmp_path, small_preset):
    text = small_preset.read_text()
    file = tmp_path / "p.yaml"
    for base in ("nowhere/at/all", "./nowhere", "nosuch"):
        for preset, quick in (
            (text.replace("tiny-base", base), []),
            (f"{text}quick: {{model.base: {base}}}\n", ["--quick"]),
        ):
            file.write_text(preset)
            out = tmp_path / "run"
            code, _, wrong = said_by(capsys, "train", file, *quick, "--out", out)
            assert (code, base in wrong) == (2, True), wrong
            assert not out.exists()


# ---- what is listed, and what is done again


def test_presets_say_how_long_they_take_and_which_have_a_short_form(capsys):
    told = said_by(capsys, "presets")[1]
    (tiny,) = (line for line in told.splitlines() if line.startswith("tiny "))
    assert "14 minutes" in tiny
    assert "with --quick four minutes" in tiny
    (chat,) = (line for line in told.splitlines() if line.startswith("smollm2-chat"))
    assert "--quick" not in chat
    narrow = in_terminal("presets", columns=60)
    assert max(map(len, narrow.text.splitlines())) < 75  # but for a name and its first word
    assert "with --quick four minutes" in " ".join(narrow.text.split())


def test_who_goes_on_with_other_settings_is_told_what_is_done_again(small_preset, tmp_path, capsys):
    preset = presets.load(str(small_preset))
    run = Run.prepare(tmp_path, preset, False)
    run.stages.update({stage.name: StageEntry(status="done") for stage in STAGES})
    run.save()
    Run.prepare(tmp_path, preset, False)
    assert capsys.readouterr().err == ""
    followed = preset.tuning.model_copy(update={"report_to": ("tensorboard",)})
    Run.prepare(tmp_path, preset.model_copy(update={"tuning": followed}), False)
    assert capsys.readouterr().err == ""  # a tracker changes nothing that is tuned
    tuning = preset.tuning.model_copy(update={"steps": 31, "batch": 8})
    Run.prepare(tmp_path, preset.model_copy(update={"tuning": tuning, "about": "mine"}), False)
    told = capsys.readouterr().err
    assert "(tuning.steps, tuning.batch, about)" in told
    assert "done again, in place of what is there, are tune, merge, evaluate" in told
    assert "search and harvest" not in told
    assert "--out" in told


# ---- narrow terminals, no colours, no terminal

BARS = """
import time
from ltf_lite.core.progress import bar
with bar("search 12/12, tree of thoughts with the tuned model: problems", 128000) as advance:
    for _ in range(3):
        advance(40000, "tot beam=3: 20 of 500 problems and so on, at some length")
        time.sleep(0.7)
    advance(8000)
"""


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.slow
def test_a_bar_keeps_its_count_and_the_time_left(columns):
    command = sys.executable, "-c", BARS
    seen = in_terminal(columns=columns, command=command)
    drawn = [line for line in re.split(r"[\r\n]+", seen.text) if line.strip()]
    assert all(len(line) <= columns for line in drawn)
    assert any(re.search(r" 80000/128000 [\d.]+ s left ", line) for line in drawn), drawn
    assert re.search(r" 128000/128000 in [\d.]+ s", drawn[-1])
    assert COLOUR.search(seen.raw)
    assert not COLOUR.search(in_terminal(columns=60, command=command, env={"NO_COLOR": "1"}).raw)


ASKED = ("search", "countdown", 44, 41, 4, 23, "--target", 66, "--reasoner", "dfs")


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.slow
def test_the_steps_of_the_answer_are_the_last_of_a_search(columns):
    plain = ltf(*ASKED).stdout.splitlines()
    at = plain.index("the answer, right:")
    assert any(line.startswith("oracle: ") for line in plain[:at])
    assert plain[-1].endswith("=66")
    answer = json.loads(ltf("solve", *ASKED[1:], "--json").stdout)
    assert [line.strip() for line in plain[at + 1 :]] == answer["text"].split()
    seen = in_terminal(*ASKED, columns=columns, env={"NO_COLOR": "1"})
    assert seen.code == 0
    assert seen.text.splitlines()[-len(plain[at:]) :] == plain[at:]
    assert not COLOUR.search(seen.raw)
    assert COLOUR.search(in_terminal(*ASKED, columns=columns).raw)


@pytest.mark.slow
def test_a_search_without_a_right_path_says_so_last():
    told = ltf("search", "countdown", 25, 5, 5, 33, "--target", 27, "--reasoner", "cot").stdout
    assert "the answer, not right:" in told.splitlines()[-4:]


def test_an_arrow_in_quotes_of_its_own_is_part_of_the_problem(capsys):
    words = ["solve", "countdown", "25", "5", "5", "33", "->", "27", "--reasoner", "dfs"]
    code, told, wrong = said_by(capsys, *words)
    assert (code, wrong) == (0, "")
    assert told.startswith("25 5 5 33 -> 27: solved")


# ---- ended from outside


@pytest.mark.parametrize(
    ("args", "sign"),
    [
        (["solve", "countdown", 5, 6, "--target", 11, "--problems", "-"], "loading"),
        (["solve", "countdown", 5, 6, "--target", 11], "loading"),
        (["search", "countdown", 3, 5, 7, 9, "--target", 22, "--set", "beam=9"], "── "),
        (["demo"], "asking tiny-base, tree"),
    ],
)
@pytest.mark.slow
def test_ctrl_c_ends_with_one_sentence_and_130(args, sign):
    args = [*args] if "--problems" not in args else ["solve", "countdown", "--problems", "-"]
    seen = in_terminal(*args, press=CTRL_C, when=lambda text: sign in text)
    assert seen.code == 130, seen.text
    assert seen.text.rstrip().endswith("ltf: stopped")  # nothing to go on with
    assert "Traceback" not in seen.text
    assert "resource_tracker" not in seen.text


class Gone:
    pass


def in_c_code(number):
    ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))()
    time.sleep(30)


def in_a_weak_reference(number):
    gone = Gone()
    watch = weakref.ref(gone, lambda _: signal.raise_signal(number))
    del gone
    assert watch() is None
    time.sleep(30)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
@pytest.mark.parametrize("lost", [in_c_code, in_a_weak_reference])
def test_an_interrupt_that_can_be_raised_nowhere_comes_again(lost, number, raised, capsys):
    """Python only prints what is raised in such a callback, and goes on."""
    with pytest.raises(raised), heeding_signals():
        lost(number)
    assert capsys.readouterr() == ("", "")


def test_what_else_can_be_raised_nowhere_is_told_as_ever(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with heeding_signals():
        ctypes.CFUNCTYPE(None)(lambda: 1 // 0)()
    assert [each.exc_type for each in told] == [ZeroDivisionError]


# ---- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_a_verb_and_a_name(shell, tmp_path):
    told = ltf("completion", shell)
    assert told.returncode == 0, told.stderr
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "completion"
    script.write_text(told.stdout)
    mark = {
        "bash": f"PS1='ready> '; eval \"$(cat '{script}')\"; ltf() {{ echo \"got: $*\"; }}\n",
        "zsh": "PS1='ready> '; autoload -Uz compinit; compinit -u -d .dump; "
        f'eval "$(cat \'{script}\')"; ltf() {{ echo "got: $*" }}\n',
        "fish": f"source '{script}'; function ltf; echo got: $argv; end; "
        "function fish_prompt; echo 'ready> '; end\n",
    }[shell]
    for name in (".bashrc", ".zshrc"):
        (tmp_path / name).write_text(mark)
    command = {
        "bash": ("bash", "--noprofile", "--rcfile", str(tmp_path / ".bashrc"), "-i"),
        "zsh": ("zsh", "-d", "-i"),
        "fish": ("fish", "--no-config", "-i", "-C", mark),
    }[shell]
    typed = b"ltf tra\ttin\t --qui\t\rltf solve cou\t 3 5 --model tiny-t\t --rea\tsingle\t\rexit\r"
    home = {"ZDOTDIR": str(tmp_path), "HOME": str(tmp_path)}
    seen = in_terminal(command=command, press=typed, when=lambda text: "ready> " in text, env=home,
                       cwd=tmp_path, columns=200, timeout=60)  # fmt: skip
    got = [" ".join(words.split()) for words in re.findall(r"got: ([^$\n]*)$", seen.text, re.M)]
    assert got == [
        "train tiny --quick",
        "solve countdown 3 5 --model tiny-tuned --reasoner single-pass",
    ], seen.text


def test_nothing_heavy_is_loaded_to_complete():
    code = (
        "import sys; from ltf_lite.app.cli.main import main; main(['completion', 'bash']); "
        "print([m for m in ('torch', 'transformers', 'llama_cpp') if m in sys.modules], "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_run_that_is_not_there_is_told_with_what_makes_it(tmp_path):
    told = ltf("solve", "countdown", 5, 6, "--target", 11, "--model", "runs/tiny", cwd=tmp_path)
    one_sentence(told, 1, "`ltf train tiny`", "tiny-tuned")

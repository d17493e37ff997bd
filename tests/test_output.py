"""Any text can be printed, whatever the output's encoding, and `--json` is always JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys

import pytest

from ltf_lite import presets
from ltf_lite.app.answer.ask import way_of
from ltf_lite.app.cli.main import main
from ltf_lite.app.web import cards
from ltf_lite.app.web.words import speaker
from ltf_lite.core.files import write_json, write_jsonl
from ltf_lite.core.json_text import as_json, json_lines
from ltf_lite.core.progress import bar, say
from ltf_lite.core.text import escape, printable, signs
from ltf_lite.reasoners import solve
from ltf_lite.report import page as report_page
from ltf_lite.report.tables.base import Table, as_markdown, cell, csv_text
from ltf_lite.report.told import Section
from ltf_lite.report.tree.svg import tree_svg
from ltf_lite.report.tree.text import show
from ltf_lite.tasks import get_task
from tests.fake_engine import FakeEngine

ENCODINGS = {
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}
QUESTION = "日本 é \u202e\x1b[31m [/red] \ud800?"
ASKED = ("reference", "--model", "tiny-base", "--reasoner", "cot", "--set", "max_tokens=4",
         "--task-set")  # fmt: skip


@pytest.fixture
def questions(tmp_path):
    """A file whose only question has letters of every kind, and half a character."""
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"question": QUESTION, "answer": "é\ud800"}))
    return file


def spoken(raw: bytes, env: dict[str, str]) -> str:
    """What a command printed, read in the encoding it was told to print."""
    return raw.decode(env.get("PYTHONIOENCODING", "ascii").partition(":")[0])


def run(env: dict[str, str], *args: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ltf_lite", *map(str, args)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **env}, timeout=300)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.slow(seconds=7)
def test_every_encoding_can_print_an_answer_and_an_error(questions, name):
    env, told = ENCODINGS[name], f"file={questions}"
    (questions.parent / "p.jsonl").write_bytes(questions.read_bytes())
    asked = run(env, "solve", *ASKED, told, "--problems", questions.parent / "p.jsonl")
    assert asked.returncode == 0, asked.stderr
    text = spoken(asked.stdout, env)
    assert "solved" in text
    assert not set(text) & {"\x1b", "\u202e", "\ud800"}
    assert ("日本" in text) == (name == "utf-8")
    missing = f"file={questions.parent / 'none'}/日本\u202e.jsonl"
    wrong = run(env, "search", "reference", "1 + 1?", "--task-set", missing)
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr
    assert spoken(wrong.stderr, env).startswith("ltf: cannot read ")


@pytest.mark.parametrize("name", ["strict", "utf-8"])
@pytest.mark.slow
def test_json_is_json_in_every_encoding(questions, name):
    env, told = ENCODINGS[name], f"file={questions}"
    (questions.parent / "p.jsonl").write_bytes(questions.read_bytes())
    asked = run(env, "solve", *ASKED, told, "--json", "--problems", questions.parent / "p.jsonl")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["problem"]["text"] == QUESTION.replace("\ud800", "\ufffd")


def test_what_is_not_utf_8_on_the_command_line_is_a_sentence():
    command = [sys.executable, "-m", "ltf_lite", "solve", "countdown", b"5 6\xff -> 11"]
    done = subprocess.run(command, capture_output=True, timeout=100)
    assert done.returncode == 2
    assert done.stderr.startswith(b"ltf: ")
    assert b"Traceback" not in done.stderr
    done.stderr.decode()


def test_what_is_no_number_is_null_and_half_a_character_is_replaced():
    data = {"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c\ud800": ("\ud83d\ude00", "é\udfff")}
    told = as_json(data)
    assert told.isascii()
    assert json.loads(told) == {"a": None, "b": [None, None, 1.5], "c\ufffd": ["😀", "é\ufffd"]}


def test_no_file_of_ours_holds_what_is_no_number(tmp_path):
    file = tmp_path / "x.json"
    for write in (write_json, write_jsonl):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write(file, [math.nan])
    assert list(tmp_path.iterdir()) == []


def test_what_others_write_for_no_number_is_null():
    """So a line is read for the rest of it, and no number of ours is ever one of these."""
    for name in (b"NaN", b"Infinity", b"-Infinity"):
        assert lines(b'{"a": ' + name + b', "b": 1}')[0].data == {"a": None, "b": 1}


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "infinity", "1e999", "NaN"])
@pytest.mark.parametrize(
    "option",
    [
        ["solve", "countdown", "5 6 -> 11", "--temperature"],
        ["report", "nowhere", "--per-hour"],
        ["report", "nowhere", "--per-kwh"],
        ["report", "nowhere", "--per-kwh", "1", "--watts"],
    ],
)
def test_a_number_on_the_command_line_is_finite(option, number, capsys):
    *rest, last = option
    assert main([*rest, f"{last}={number}"]) == 2
    assert capsys.readouterr().err.startswith("ltf: ")


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "nan", "1e999", "1.0e+999", "9" * 400])
@pytest.mark.parametrize("way", ["cot", "self-consistency", "tot", "rap"])
def test_a_number_of_a_setting_is_finite(way, number, capsys):
    asked = ["solve", "countdown", "5 6 -> 11", "--reasoner", way]
    assert main([*asked, "--set", f"temperature={number}"]) == 2
    assert "temperature: " in capsys.readouterr().err


def test_text_is_shown_by_signs():
    assert signs("a\x1b[31mb\x00\x7f\r\n\tc") == "a␛[31mb␀␡ \n\tc"
    assert signs("\u202e\u2066\u200b\ufeff\ud800\x85\u2028é😀") == "\ufffd" * 5 + "  é😀"
    assert printable("a\tb\nc\x1b\u202e" + "x" * 500).startswith("a b c␛\ufffdxxx")
    assert len(printable("x" * 500)) == 401
    assert escape("<\x1b&'\u202e") == "&lt;␛&amp;&#x27;\ufffd"


def test_notes_of_progress_are_text(capsys):
    with bar("work [/x]", 1) as advance:
        advance(note="[/bold] \x1b[31m\u202e")
    say("read \x07")
    said = capsys.readouterr().err
    assert "[/bold] ␛[31m\ufffd" in said
    assert "read ␇" in said


def lines(raw: bytes) -> list:
    return list(json_lines(io.BytesIO(raw)))


def test_a_line_ends_with_a_line_feed_alone():
    raw = '\ufeff{"a": "1\u2028\u2029\x852\x0b"}\r\n\n{"b": 3}'.replace("\x0b", "").encode()
    first, blank, last = lines(raw)
    assert first.data == {"a": "1\u2028\u2029\x852"}
    assert (blank.wrong, last.number, last.data) == ("is blank", 3, {"b": 3})
    assert "twice" in lines(b'{"a": 1, "a": 2}')[0].wrong
    assert lines(b'{"a": "\\ud800", "\\ud83d\\ude00": ["\\udc00"]}')[0].data == {
        "a": "\ufffd",
        "😀": ["\ufffd"],
    }
    deep = b"[" * 900 + b'"\\ud800"' + b"]" * 900
    assert lines(deep)[0].number == 1


# -- what a model wrote ------------------------------------------------------------------------

WRITTEN = "\x1b[2J\u202e\u2066 [/bold] :smile: \x00\nAnswer: [/x]\x1b]0;t\x07 \ud800\u200b\n"
ACTS = {"\x00", "\x07", "\x1b", "\u202e", "\u2066", "\u200b", "\ud800"}


@pytest.fixture
def solution(questions):
    """A question that was answered with everything that acts on a terminal or a page."""
    task = get_task("reference", file=str(questions))
    way = way_of("cot")
    engine = FakeEngine(lambda prompt, rng: WRITTEN)
    (found,) = solve(way.reasoner, [next(task.rows())[1]], task, engine)
    assert found.attempts[0].text
    return found, way.reasoner, task


def test_a_search_shows_what_a_model_wrote_as_text(solution, capsys):
    found, reasoner, _ = solution
    show(lambda watch: found, reasoner, found.problem.text)
    said = capsys.readouterr().out
    assert not ACTS & set(said)
    for words in ("[/bold] :smile:", "[/x]", "␛[2J", "[/red]"):
        assert words in said


def test_a_page_shows_it_as_text(solution):
    found, _, task = solution
    verdict, lines = found.attempts[0].verdict, WRITTEN.split("\n")
    reason = cards.reason(verdict, lines, task, speaker("en"))
    pages = [
        cards.grid(["a"], [[WRITTEN]]),
        cards.step_line(WRITTEN, "fatal", speaker("en")),
        cards.notice(WRITTEN + reason),
        tree_svg(found.tree, None, title=WRITTEN),
        as_markdown(Table("t", "t", ("a",), [(cell(WRITTEN),)])),
        report_page.page(presets.load("tiny"), "", [Section("s", WRITTEN, WRITTEN, WRITTEN, tables=[
            Table("t", WRITTEN, (WRITTEN,), [(cell(WRITTEN),)], WRITTEN)])]),
    ]  # fmt: skip
    for page in pages:
        assert not ACTS & set(page)
        assert "␛[2J" in page or "␛]0;t␇" in page
        page.encode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        (" =1", "' =1"),
        ("+1-cmd|' /C calc'!A0", "'+1-cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "' =1"),
        ("a\x00b\x1b", "a␀b␛"),
        ("+1.5 [-0.3, +2.7]", "+1.5 [-0.3, +2.7]"),
        ("-12.5 %", "-12.5 %"),
        ("– ", "– "),
        (-1.5, "-1.5"),
        (None, ""),
        ("plain = text", "plain = text"),
    ],
)
def test_a_cell_of_a_csv_is_no_formula(value, shown):
    assert next(csv.reader(io.StringIO(csv_text([[value, "x"]]), newline=""))) == [shown, "x"]


def test_what_was_typed_wrongly_is_shown_by_signs(capsys):
    for arguments in (["train", "a", "\x1b[31m"], ["solve", "countdown", "--seed=\x1b[31m"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert "[31m" in said
        assert "\x1b" not in said

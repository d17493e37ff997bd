"""A file of problems in, answers out: how its lines are read, and what comes back to the page."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import time

import pytest

from ltf_lite.app.answer.ask import posed
from ltf_lite.app.answer.lines import lines_of, problem_of
from ltf_lite.app.answer.live import Side
from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web.answers import Asked, Row, files_of, shown
from ltf_lite.app.web.asked import LONGEST
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.file import LARGEST, MOST, TIRED, run_file
from ltf_lite.app.web.question import in_words
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import LANGUAGES, speaker
from ltf_lite.core.errors import UsageError
from ltf_lite.core.json_text import Line
from ltf_lite.engines import TINY_BASE, TINY_TUNED
from ltf_lite.tasks import Problem, TaskError, get_task
from tests.app_server import App, Page
from tests.conftest import ltf, one_sentence

FORM = ("countdown", "", TINY_TUNED, TINY_BASE, "tot", 8, 2, 3, 5000, 0)
TYPED = '44 41 4 23 -> 66\n\n1 1 1 1 -> 99\nnonsense\n{"numbers": [3, 4, 5], "target": 12}\n'
TABLE = 'target,numbers\n66,44 41 4 23\n12,"[3, 4, 5]"\n12,"3,4,5"\n'


def read(text: str | bytes, name: str, task: str = "countdown") -> list[Problem | str]:
    raw = text if isinstance(text, bytes) else text.encode()
    own = get_task(task)
    return [problem_of(own, line) for line in lines_of(io.BytesIO(raw), name, own)]


def told(found: list[Problem | str]) -> list[str]:
    return [each if isinstance(each, str) else each.text for each in found]


def test_a_line_of_text_is_a_problem_as_it_is_typed_or_json():
    first, second, third, last = told(read("\ufeff" + TYPED, "x.TXT"))
    assert (first, last) == ("44 41 4 23 -> 66", "3 4 5 -> 12")
    assert "line 3: the problem 1 1 1 1 -> 99 has no solution" in second
    assert third.startswith("line 4: ")
    assert told(read('"5 6 -> 11"\r\n{broken\n', "x.txt"))[0] == "5 6 -> 11"
    assert told(read(b"5 6 -> 11\n\xff\n", "x.txt"))[1] == "line 2 is not UTF-8"


def test_a_row_of_a_table_is_a_problem_or_has_its_parts():
    assert told(read(TABLE, "x.csv")) == ["44 41 4 23 -> 66", "3 4 5 -> 12", "3 4 5 -> 12"]
    assert told(read("id,Problem\n7,5 6 -> 11\n8,x\n", "x.csv"))[0] == "5 6 -> 11"
    assert told(read("numbers;target\n5 6;11\n", "x.csv")) == ["5 6 -> 11"]
    (lost,) = told(read("numbers,target\n1 1 1 1,99\n", "x.csv"))
    assert "line 2: the problem 1 1 1 1 -> 99 has no solution" in lost


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("one,two\n1,2\n", "'one', 'two'"),
        ("44 41 4 23,66\n3 4 5,12\n", "'44 41 4 23', '66'"),
        ("44 41 4 23 -> 66\n3 4 5 -> 12\n", "'44 41 4 23 -> 66'"),
        ("numbers\n44 41 4 23\n", "'numbers'"),
    ],
)
def test_a_table_without_the_columns_of_a_problem_is_told_in_words_of_tables(text, there):
    with pytest.raises(TaskError) as caught:
        read(text, "x.csv")
    wanted = "a column `problem` or `numbers` and `target`; it names "
    assert str(caught.value) == f"the first line of x.csv has to name its columns, {wanted}{there}"


def test_a_bad_cell_is_told_as_it_stands():
    assert told(read("numbers,target\nseven,12\n", "x.csv")) == [
        "line 2: the numbers of a problem are several, like 25 5 5 33, not 'seven'"
    ]
    assert told(read("Numbers, TARGET\n3 4 5,12\n", "x.csv")) == ["3 4 5 -> 12"]


def test_the_questions_of_the_app_are_problems_that_can_be_typed():
    """As it prints them, in each language; without the sentence behind it, and with a blank."""
    for name, typed in (("countdown", "7 12 5 3 -> 46"), ("game24", "4 7 8 8")):
        task = get_task(name)
        problem = task.problem(typed)
        for language in LANGUAGES:
            asked = in_words(problem, speaker(language))
            assert asked != problem.text
            for said in (asked, asked.split(". ")[0], f"  {asked}  "):
                assert task.problem(said) == problem, said
    (found,) = told(read("make 46 from 7, 12,5,3\n", "x.txt"))
    assert found == "7 12 5 3 -> 46"
    with pytest.raises(TaskError, match="whole number"):
        get_task("countdown").problem("Make something from 7, 12")


@pytest.mark.parametrize(
    "typed",
    [
        "Make 46 from 7, 12, 20 and 31; use every number once",
        "make 46 from 7,12,20, and 31",
        "Make 46 with 7 12 20 31.",
    ],
)
def test_a_question_may_be_typed_as_people_write_lists(typed):
    found = get_task("countdown").problem(typed)
    assert (sorted(found.data["numbers"]), found.data["target"]) == ([7, 12, 20, 31], 46)


def test_what_a_solution_is_held_to_is_said_where_there_is_none():
    held = "every number is used once, and only whole numbers from 0 to 999 may come up on the way"
    with pytest.raises(TaskError, match=f"1 1 1 1 -> 99 has no solution: {held}"):
        posed(get_task("countdown", max_intermediate=999, numbers=[1, 50]), "1 1 1 1 -> 99")
    with pytest.raises(TaskError, match=r"no solution: .* fractions may come up"):
        posed(get_task("game24"), "1 1 1 1")


def test_a_question_of_numbers_stays_a_text(tmp_path):
    """Only where a task can't take a row as it is are its cells read as lists."""
    (tmp_path / "q.csv").write_text("question,answer\n" + "".join(f"{k} 2 3,6\n" for k in range(9)))
    assert told(read("question\n1 2 3\n", "x.csv", str(tmp_path / "q.csv"))) == ["1 2 3"]
    assert told(read("id,question\n7,1 2 3\n", "x.csv", str(tmp_path / "q.csv"))) == ["1 2 3"]


def test_a_cell_of_a_megabyte_takes_no_time():
    began = time.process_time()
    for cell in (" " * 1_000_000 + "x", "1" + " " * 1_000_000 + "x", "1 " * 500_000 + "x"):
        assert isinstance(
            problem_of(get_task("countdown"), Line(1, {"numbers": cell, "target": 27})), str
        )
    assert time.process_time() - began < 10


def test_the_command_reads_the_same_tables(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text(TABLE + "99,1 1 1 1\n")
    asked = ["solve", "countdown", "--problems", file, "--reasoner", "dfs", "--json"]
    answers = [json.loads(line) for line in ltf(*asked).stdout.splitlines()]
    assert [bool(answer["error"]) for answer in answers] == [False, False, False, True]
    assert answers[0]["problem"]["text"] == "44 41 4 23 -> 66"
    assert [(answer["line"], answer["id"]) for answer in answers[1:]] == [
        (3, None), (4, None), (5, None)
    ]  # fmt: skip
    file.write_text("Problem,Target\n5 6,11\n7 8 -> 15,\n")
    answers = [json.loads(line) for line in ltf(*asked).stdout.splitlines()]
    assert [answer["problem"]["text"] for answer in answers] == ["5 6 -> 11", "7 8 -> 15"]
    file.write_text("problem,x\n5 6 -> 11\n")
    one_sentence(ltf(*asked), 2, "line 2 has 1 cells, not 2")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "x;=1+1", "\t=1", "\tx"]
)
def test_no_cell_of_the_table_is_a_formula(cell):
    row = Row(2, cell, cell, "model", "way", cell, False, "kind", cell, 3, 0.5, cell)
    made = files_of([row])
    (back,) = csv.DictReader(io.StringIO(made["answers.csv"]))
    assert {back[name] for name in ("id", "problem", "answer", "verdict", "error")} == {f"'{cell}"}
    assert json.loads(made["answers.jsonl"])["answer"] == cell


def test_letters_of_other_lands_are_told_to_a_spreadsheet():
    assert files_of([Row(problem="5 6 -> 11")])["answers.csv"].startswith("line,id,problem,")
    told = files_of([Row(problem="何?")])["answers.csv"].encode()
    assert told.startswith(b"\xef\xbb\xbfline,id,problem,")


# -- without a page ------------------------------------------------------------------------------


def run(desk: Desk, text: str, *form: str) -> tuple:
    """What stands on the page at the end: (notice, progress, answers, buttons)."""
    sent = base64.b64encode(text.encode()).decode()
    values = [*(form or FORM), ["single"], "x.txt", sent, str(len(text.encode())), desk.token]
    return list(run_file(desk)(None, *values))[-1]


def test_a_model_that_cannot_answer_ends_the_file_after_some_problems(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    desk = Desk(Shelf(tmp_path, (str(broken),)), Pool(), speaker("en"))
    notice, _, html, *_ = run(desk, "5 6 -> 11\n" * 9, FORM[0], "", str(broken), *FORM[3:])
    assert 'role="alert"' in notice
    assert "broken.gguf" in notice
    assert f"It ended after {TIRED} of 9 lines" in notice
    rows, _ = files(html)
    assert len(rows) == TIRED
    assert all("broken.gguf" in row["error"] and row["solved"] is None for row in rows)


def test_a_file_that_is_stopped_at_once_has_no_answers(desk, tmp_path):
    desk.tickets.begin(None)
    desk.tickets.stop(None)
    with pytest.raises(UsageError, match="Stopped before the first"):
        run(desk, "5 6 -> 11\n")
    assert not desk.tickets.runs(None)


def test_a_question_of_a_file_that_was_brought_is_asked_and_one_too_long_is_told(desk, tmp_path):
    (tmp_path / "tasks").mkdir()
    known = "".join(f"What is {k} + 1?,{k + 1}\n" for k in range(30))
    (tmp_path / "tasks" / "sums.csv").write_text(f"question,answer\n{known}")
    text = f"Who is it?\n{'x' * (LONGEST + 1)}\n"
    notice, _, html, *_ = run(
        desk, text, "file:sums.csv", "", TINY_TUNED, TINY_BASE, "tot", *FORM[5:]
    )
    assert notice == ""
    (first, second), _ = files(html)
    assert first["problem"] == "Who is it?"
    assert first["error"] == ""
    assert "line 2: a problem may have 2,000 characters" in second["error"]
    desk = Desk(Shelf(tmp_path), Pool(), speaker("ja"))
    _, _, html, *_ = run(desk, text, "file:sums.csv", "", TINY_TUNED, TINY_BASE, "tot", *FORM[5:])
    (_, second), _ = files(html)
    assert second["error"].startswith("2 行目: ")
    assert "line" not in second["error"]


def test_what_could_not_be_checked_is_no_failure(desk, tmp_path):
    row = Row(
        1, None, "Who?", "m", "single-pass", "Answer: I", None, "unchecked", "It is open.", 3, 0.1
    )
    html = shown(desk, [Asked("One answer", "m", Side("m", "single-pass"))], [row])
    assert "One answer: 1 answered; who is right could not be checked." in html
    assert "? It is open." in html


# -- the page ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(served: App) -> Page:
    return Page(served, "file")


def asked(page: Page, text: str | bytes, name: str = "x.txt", sides=("single",), **other) -> list:
    """(notice, progress, answers) of a file that the page sends."""
    raw = text if isinstance(text, bytes) else text.encode()
    sent = {"data": base64.b64encode(raw).decode(), "size": str(len(raw)), "form": FORM, **other}
    values = [*sent["form"], list(sides), name, sent["data"], sent["size"]]
    return page.pressed("file-start", *values)[:3]


def files(html: str) -> tuple[list[dict], list[dict]]:
    """The rows of both files that the page links."""
    found = dict(re.findall(r'href="data:[^"]*?base64,([^"]*)" download="([^"]*)"', html))
    text = {name: base64.b64decode(data).decode("utf-8-sig") for data, name in found.items()}
    lines = [json.loads(line) for line in text["answers.jsonl"].splitlines()]
    return lines, list(csv.DictReader(io.StringIO(text["answers.csv"])))


@pytest.mark.slow
def test_answers_come_back_as_two_files_and_the_first_rows(page):
    notice, progress, html = asked(page, TYPED, sides=("single", "search"))
    assert (notice, progress) == ("", "")
    rows, table = files(html)
    assert list(rows[0]) == list(Row._fields) == list(table[0])
    assert [row["way"] for row in rows] == ["single-pass", "tot", "", "", "single-pass", "tot"]
    assert [row["model"] for row in rows[:2]] == [TINY_TUNED, TINY_BASE]
    assert [bool(row["error"]) for row in rows] == [False, False, True, True, False, False]
    for row in (row for row in rows if not row["error"]):
        assert row["solved"] in (True, False)
        assert row["tokens"] > 0
        assert row["seconds"] > 0
        assert row["verdict"]
        assert row["answer"]
    words = {True: "true", False: "false", None: ""}
    assert [row["solved"] for row in table] == [words[row["solved"]] for row in rows]
    solved = sum(bool(row["solved"]) for row in rows if row["way"] == "tot")
    assert f"Before training: search: {solved} of 2 solved." in html
    assert "2 could not be asked" in html
    assert html.count("<tr>") == 1 + len(rows)


def test_each_answer_has_its_line_and_the_name_that_the_file_gives_it(page):
    text = "ID,problem\nfirst,5 6 -> 11\n\n0042,1 1 1 1 -> 99\n"
    rows, table = files(asked(page, text, "x.csv", sides=("single", "search"))[2])
    for found in (rows, table):
        told = [(str(row["line"]), row["id"]) for row in found]
        assert told == [("2", "first"), ("2", "first"), ("4", "0042")]
    rows, _ = files(asked(page, '{"id": 7, "problem": "5 6 -> 11"}\n"5 6 -> 11"\n', "x.jsonl")[2])
    assert [(row["line"], row["id"]) for row in rows] == [(1, 7), (2, None)]


def test_what_was_answered_can_be_asked_again(page):
    rows, _ = files(asked(page, TYPED)[2])
    again = "".join(json.dumps(row) + "\n" for row in rows if not row["error"])
    other, _ = files(asked(page, again, "answers.jsonl")[2])
    assert [row["answer"] for row in other] == [r["answer"] for r in rows if not r["error"]]


def test_a_table_is_answered_and_only_its_first_rows_are_shown(page):
    text = "problem\n" + "".join(f"{k} {k + 1} -> {2 * k + 1}\n" for k in range(2, 16))
    html = asked(page, text, "x.csv")[2]
    assert len(files(html)[0]) == 14
    assert "The first 10 of 14 rows" in html
    assert html.count("<tr>") == 11


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.py", TYPED, "must end in one of .jsonl, .csv, .txt"),
        ("", "", "Choose a file first"),
        ("x.txt", "", "no problem in the file"),
        ("x.txt", "\n \n", "no problem in the file"),
        ("x.txt", "nonsense\n1 2 3\n", "is a problem of this task; the first: line 1"),
        ("x.csv", "problem\n1,2\n", "line 2 has 2 cells, not 1"),
        ("x.csv", "a,a\n1,2\n", "two columns"),
        ("<b>.csv", "a,a\n1,2\n", "&lt;b&gt;"),
        ("x.txt", "1 2 -> 3\n" * (MOST + 1), "1,000 lines at most"),
        ("x.txt", ("x" * 1000 + "\n") * MOST, "is a problem of this task"),  # nearly 1 MB
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_a_sentence_and_the_old_result_is_gone(page, name, text, words):
    notice, progress, html = asked(page, text, name)
    assert words in notice
    assert 'role="alert"' in notice
    assert (progress, html) == ("", "")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"data": ""}, "did not arrive whole"),
        ({"data": "!!!"}, "did not arrive whole"),
        ({"data": None, "size": None}, "no problem in the file"),
        ({"data": "", "size": str(LARGEST + 1)}, "1 MB at most"),
        ({"data": "A" * (2 * LARGEST), "size": "4"}, "1 MB at most"),
        ({"sides": ()}, "at least one way"),
        ({"sides": ("magic",)}, "at least one way"),
        ({"form": ("chess", *FORM[1:])}, "no such task"),
        ({"form": (*FORM[:2], "../x", *FORM[3:])}, "choose one of the list"),
    ],
)  # fmt: skip
def test_what_no_page_sends_is_a_sentence_too(page, other, words):
    assert words in asked(page, TYPED, **other)[0]


def test_who_has_no_token_is_not_answered(served):
    notice, _, html = asked(Page(served, "stranger", token="guessed"), TYPED)
    assert "load it anew" in notice
    assert html == ""
    assert list(served.runs.iterdir()) == []

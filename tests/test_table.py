"""Files of questions as people hold them: formats, columns, splits, and what is refused."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltf_lite.tasks import SPLITS, TaskError, get_task, settings_of
from ltf_lite.tasks.columns import columns_of, read
from tests.conftest import ltf, one_sentence

ROW = b'{"question": "a", "answer": "b"}\n'
ROWS = [{"question": f"What is {k} + {k}?", "answer": str(2 * k)} for k in range(200)]


def jsonl(file, rows, end="\n", start=""):
    file.write_bytes((start + "".join(json.dumps(row) + end for row in rows)).encode())
    return file


def solved():
    """Rows whose answer has the way to it, as GSM8K's."""
    ways = [f"{k} + 1 = {k + 1}\n#### {k + 1}" for k in range(60)]
    return [{"question": f"{k} + 1?", "answer": way} for k, way in enumerate(ways)]


def every(task):
    return {split: task.up_to(split, 10**6, 0) for split in SPLITS}


@pytest.fixture
def written(tmp_path):
    """The same rows in every format."""
    jsonl(tmp_path / "q.jsonl", ROWS)
    (tmp_path / "q.json").write_text(json.dumps(ROWS))
    (tmp_path / "data.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    columns = {key: [row[key] for row in ROWS] for key in ROWS[0]}
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    for name, by in (("q.csv", ","), ("q.tsv", "\t")):
        with open(tmp_path / name, "w", newline="") as stream:
            table = csv.DictWriter(stream, ROWS[0], delimiter=by)
            table.writeheader()
            table.writerows(ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "q.parquet")
    return tmp_path


def test_every_format_gives_the_same_problems(written):
    files = ("q.jsonl", "q.json", "data.json", "columns.json", "q.csv", "q.tsv", "q.parquet")
    found = [every(get_task(str(written / name))) for name in files]
    assert all(each == found[0] for each in found)
    assert sum(map(len, found[0].values())) == 200


def test_windows_line_ends_a_byte_order_mark_and_blank_lines_are_read(tmp_path):
    plain = every(get_task(str(jsonl(tmp_path / "a.jsonl", ROWS))))
    odd = every(get_task(str(jsonl(tmp_path / "b.jsonl", ROWS, "\r\n\r\n", "\ufeff"))))
    assert odd == plain
    text = "\ufeffquestion,answer\r\n\r\n" + "".join(f'"a, {k}",{k}\r\n' for k in range(9))
    (tmp_path / "c.csv").write_bytes(text.encode())
    assert sum(map(len, every(get_task(str(tmp_path / "c.csv"))).values())) == 9


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", ROW + b'{"question": \n', "line 2 is not JSON"),
        ("a.jsonl", ROW + b"\xff\n", "line 2 is not UTF-8"),
        ("a.jsonl", ROW + b"[1]\n", "line 2 is no object"),
        (
            "a.jsonl",
            ROW + b'{"question": "c"}\n',
            "line 2: there is no",
        ),
        ("a.jsonl", b'{"question": "a", "answer": ""}\n', "line 1: the column 'answer' is empty"),
        ("a.jsonl", b'{"x": "a", "y": "b"}\n', "there are 'x', 'y'"),
        ("a.jsonl", b"", "it is empty"),
        ("a.json", b'{"a": 1}', "rows are a list of objects"),
        ("a.json", b"[1, 2", "is not JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.csv", b"question,answer\n1,2\n1,2,3\n", "line 3 has 3 cells, not 2"),
        ("a.csv", b"question,answer\n\xff,2\n", "is not UTF-8"),
        ("a.csv", b'question,answer\n"1,2\n', "line"),
        ("a.csv", b"question,question\n1,2\n", "two columns 'question'"),
        ("a.parquet", b"PAR1 nothing", "no parquet file"),
        ("a.txt", b"?", "none of .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskError) as error:
        every(get_task("reference", file=str(tmp_path / name)))
    assert words in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"prompt": "a", "completion": "b"}, "a", "b"),
        ({"input": "a", "target": "b"}, "a", "b"),
        ({"problem": "a", "solution": r"so \boxed{\frac{1}{2}}."}, "a", r"\frac{1}{2}"),
        ({"question": "a", "answer": "1 + 1 = 2\n#### 2"}, "a", "2"),
        ({"instruction": "add", "input": "1 2", "output": "3"}, "add\n1 2", "3"),
        ({"instruction": "add", "input": "", "output": "3"}, "add", "3"),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            "a",
            "b",
        ),
        (
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                ]
            },
            "a",
            "b",
        ),
        ({"Question": "a", "Answer": 3}, "a", "3"),
        ({"question": "a", "answer": 3.0}, "a", "3"),
        ({"question": "a", "answer": True}, "a", "true"),
        ({"question": "q", "choices": ["red", "blue"], "answer": 1}, "q\nA) red\nB) blue", "B"),
        (
            {"question": "q", "choices": ["red", "blue"], "answer": "blue"},
            "q\nA) red\nB) blue",
            "B",
        ),
        (
            {
                "question": "q",
                "choices": {"text": ["red", "blue"], "label": ["A", "B"]},
                "answerKey": "A",
            },
            "q\nA) red\nB) blue",
            "A",
        ),
        ({"question": "q", "A": "red", "B": "blue", "answer": "b"}, "q\nA) red\nB) blue", "B"),
    ],
)
def test_columns_are_guessed(row, question, answer):
    found = read(row, columns_of(list(row), None, None, None))
    assert (found.question, found.answer) == (question, answer)


def test_a_named_column_that_is_missing_is_told_with_those_there(tmp_path):
    file = jsonl(tmp_path / "q.jsonl", [{"frage": "1?", "antwort": "1"}])
    with pytest.raises(
        TaskError, match="there is no column 'antwrt'; there are 'frage', 'antwort'"
    ):
        every(get_task(str(file), question_column="frage", answer_column="antwrt"))
    task = get_task(str(file), question_column="frage", answer_column="antwort")
    assert sum(map(len, every(task).values())) == 1


def test_doubles_never_cross_splits(tmp_path):
    rows = [{**row, "split": ("train", "test", "dev")[k % 3]} for k, row in enumerate(ROWS)]
    twice = [{**row, "split": "test"} for row in rows]
    task = get_task(str(jsonl(tmp_path / "q.jsonl", [*rows, *twice])))
    found = every(task)
    ids = [problem.id for problems in found.values() for problem in problems]
    assert len(ids) == len(set(ids)) == 200
    assert [len(found[split]) for split in SPLITS] == [67, 66, 67]
    told = " ".join(task.remarks())
    assert "200 questions stand there twice" in told
    assert "in another split" in told
    unsplit = every(get_task(str(jsonl(tmp_path / "p.jsonl", [*ROWS, *ROWS]))))
    assert sum(map(len, unsplit.values())) == 200


def test_a_draw_depends_on_the_seed_and_not_on_the_order(tmp_path):
    task = get_task(str(jsonl(tmp_path / "a.jsonl", ROWS)))
    back = get_task(str(jsonl(tmp_path / "b.jsonl", ROWS[::-1])))
    first = task.problems("train", 20, 0)
    assert first == back.problems("train", 20, 0)
    assert first != task.problems("train", 20, 1)
    assert len({problem.id for problem in first}) == 20
    with pytest.raises(TaskError, match="train problems, not 1000"):
        task.problems("train", 1000, 0)


@pytest.mark.slow
def test_a_million_problems_are_streamed(tmp_path):
    """A hundred thousand here: memory must not grow with what is not drawn."""
    import tracemalloc

    file = tmp_path / "many.jsonl"
    with open(file, "w") as stream:
        for k in range(100_000):
            asked = f"What is {k} plus 1? {'x' * 100}"
            stream.write(json.dumps({"question": asked, "answer": str(k + 1)}) + "\n")
    task = get_task(str(file))
    tracemalloc.start()
    found = task.problems("train", 50, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 50
    assert peak < 20e6  # 12 MB of ids; the rows themselves would be 50 MB


@pytest.mark.parametrize(
    ("answers", "verifier"),
    [(["1", "2.5"], "number"), (["1/2", "3 apples"], "number"), (["red", "1"], "exact")],
)
def test_the_verifier_is_told_by_the_answers(tmp_path, answers, verifier):
    rows = [{"question": f"{k}?", "answer": answer} for k, answer in enumerate(answers)]
    task = get_task(str(jsonl(tmp_path / "q.jsonl", rows)))
    assert task.comparing.name == verifier


def test_choices_are_compared_by_letter_and_by_text(tmp_path):
    rows = [{"question": f"q{k}", "choices": ["red", "blue"], "answer": "B"} for k in range(5)]
    task = get_task(str(jsonl(tmp_path / "q.jsonl", rows)))
    assert task.comparing.name == "choice"
    problem = next(problem for problems in every(task).values() for problem in problems)
    for text in ("B", "blue", "(b)", "red", "A or B"):
        right = text not in ("red", "A or B")
        verdict = task.verify(problem, task.parse(problem, f"It is so.\nAnswer: {text}"))
        assert verdict.correct is right, text


def test_a_question_that_is_not_in_the_file_goes_unchecked(tmp_path):
    task = get_task(str(jsonl(tmp_path / "q.jsonl", ROWS)))
    known = task.problem("What is 4 + 4?")
    assert known.data["answer"] == "8"
    new = task.problem("What is 4 + 5?")
    verdict = task.verify(new, task.parse(new, "Answer: 9"))
    assert (verdict.correct, verdict.kind) == (False, "unchecked")
    assert verdict.kind in task.spared


def test_references_name_tasks(tmp_path):
    assert settings_of("countdown") == {"name": "countdown"}
    assert settings_of("a/b.csv") == {"name": "reference", "file": "a/b.csv"}
    assert settings_of("my.py") == {"name": "python", "python": "my.py"}
    gcd = {"name": "reasoning-gym", "generator": "gcd"}
    assert settings_of("reasoning-gym:gcd") == gcd
    assert settings_of({"generator": "gcd", "level": 1}) == {**gcd, "level": 1}
    assert settings_of({"file": "q.csv"}) == {"name": "reference", "file": "q.csv"}
    assert settings_of({"python": "t.py"}) == {"name": "python", "python": "t.py"}
    with pytest.raises(TaskError, match="a file of questions"):
        get_task("contdown2")


def test_the_few_shot_prompt_shows_how_and_never_the_problem_itself(tmp_path):
    rows = solved()
    task = get_task(str(jsonl(tmp_path / "q.jsonl", rows)))
    for problem in task.up_to("train", 40, 0)[:5]:
        prompt = task.prompt(problem, "few_shot")
        assert prompt.count("Answer: ") == 2
        assert prompt.count("Question: ") == 3
        assert prompt.count(problem.text) == 1
        assert prompt.endswith(f"Question: {problem.text}\n")
        assert task.prompt(problem, "zero_shot") == f"Question: {problem.text}\n"


def test_the_gold_of_every_row_is_right(tmp_path):
    rows = solved()
    task = get_task(str(jsonl(tmp_path / "q.jsonl", rows)))
    for problem in (problem for problems in every(task).values() for problem in problems):
        gold = task.gold(problem)
        path = task.parse(problem, gold)
        assert task.verify(problem, path).correct
        assert [line.text for line in path.lines] == [gold.split("\n")[0]]


def test_semicolons_part_the_cells_where_there_are_more_of_them(tmp_path):
    (tmp_path / "q.csv").write_text('question;answer\n"1,5 + 1,5?";3\n')
    (problem,) = (problem for found in every(get_task(str(tmp_path / "q.csv"))).values()
                  for problem in found)  # fmt: skip
    assert (problem.text, problem.data["answer"]) == ("1,5 + 1,5?", "3")


def test_a_row_of_the_file_is_a_problem_as_the_file_has_it(tmp_path):
    """What `ltf verify` and `ltf solve --problems` are given may be lines of the file itself."""
    rows = [*solved()[:5], {"question": "what?", "answer": "so\nAnswer: 7"}]
    task = get_task(str(jsonl(tmp_path / "q.jsonl", rows)))
    for row in rows:
        problem = task.problem(row)
        assert problem == task.problem(problem.data)
        assert problem in [each for found in every(task).values() for each in found]
        answer = problem.data["answer"]
        assert task.verify(problem, task.parse(problem, f"Answer: {answer}")).correct
    assert task.problem(rows[-1]).data["answer"] == "7"


def test_a_question_of_choices_is_found_without_them(tmp_path):
    row = {"question": "which?", "choices": ["red", "blue"], "answer": 1}
    task = get_task(str(jsonl(tmp_path / "q.jsonl", [row])))
    assert task.problem("which?") == task.problem(row)
    assert task.problem("which?").text == "which?\nA) red\nB) blue"


@pytest.mark.slow
def test_a_missing_file_is_refused_by_every_command(tmp_path):
    for command in (("verify",), ("solve", "1?"), ("task", "check"), ("pilot", "--model", "m")):
        verb, *more = command
        where = ("none.jsonl",) if verb != "task" else ("check", "none.jsonl")
        told = ltf(verb, *where, *(each for each in more if each != "check"), cwd=tmp_path)
        one_sentence(told, 2, "none.jsonl")
    (tmp_path / "q.txt").write_text("a question\n")
    one_sentence(ltf("task", "check", "q.txt", cwd=tmp_path), 2, "q.txt", ".jsonl")

"""The harvest: nothing twice, nothing half written, and credit on exactly the right characters."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import pytest

from ltf_lite import harvest
from ltf_lite.core.files import BrokenFile
from ltf_lite.harvest import Limits, Row, read, rows_of, shard, write_shard
from ltf_lite.harvest.sampling import quotas
from ltf_lite.reasoners import Solution, attempt_of, get_reasoner
from ltf_lite.tasks import get_task

TASK = get_task("countdown")
PROBLEM = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
RIGHT = "25+5=30,33,5\n30/5=6,33\n33-6=27\n"
DEAD = "25+5=30,33,5\n30+5=35,33\n35+33=68\n"
COT = get_reasoner("cot", n=3, temperature=1.0)
WRONG = "25+5=30,33,5\n30/5=7,33\n33-7=26\n"


def examples(found: Iterable[Row], *told):
    """What is drawn of these rows, in a list."""
    problems = defaultdict(list)
    for row in found:
        problems[row.problem.id].append(row)
    drawn, report = harvest.examples([problems[id] for id in sorted(problems)], *told)
    return list(drawn), report


def rows(*texts: str):
    attempts = [attempt_of(TASK, PROBLEM, t, tokens=24, logprob=-3.0) for t in texts]
    solution = Solution(PROBLEM, attempts, {})
    return rows_of(solution, TASK, "compact", COT, "tiny", 7)


def test_rows_carry_their_verdict_and_where_they_came_from():
    right, dead, wrong = rows(RIGHT, DEAD, WRONG, RIGHT)
    assert right.correct
    assert (dead.kind, dead.fatal_step) == ("dead_end", 1)
    assert (wrong.kind, wrong.fatal_step) == ("arithmetic", 1)
    assert right.answer == TASK.answer(TASK.parse(PROBLEM, RIGHT))
    assert right.problem == PROBLEM
    assert (right.reasoner, right.label) == ("cot", "cot n=3 temperature=1.0")
    assert json.loads(right.settings) == {"n": 3, "temperature": 1.0}
    assert right.prompt == "27:33,25,5,5\n"
    assert right.seed == 7


def test_a_path_found_twice_is_read_once(tmp_path):
    write_shard(tmp_path, 0, rows(RIGHT, DEAD))
    write_shard(tmp_path, 1, rows(DEAD, WRONG))
    assert [row.text for row in read(tmp_path)] == [RIGHT, DEAD, WRONG]
    assert next(iter(read(tmp_path))).logprob == -3.0


def test_a_half_written_shard_is_not_read(tmp_path):
    write_shard(tmp_path, 0, rows(RIGHT))
    shard(tmp_path, 1).with_suffix(".tmp").write_bytes(b"PAR1 half")
    assert len(list(read(tmp_path))) == 1


@pytest.mark.parametrize(
    ("credit", "forgotten"),
    [
        ("whole", DEAD),
        ("fatal_step", "30+5=35,33\n35+33=68\n"),
        ("decision", "30+5"),
        ("pivot", "+"),
    ],
)
def test_credit_is_on_these_characters(credit, forgotten):
    (bad,), report = examples(rows(DEAD), TASK, credit, Limits(4, 4), 0, "compact")
    assert not bad.good
    assert bad.completion[bad.start : bad.end] == forgotten
    assert report.taken == {COT.label: {"dead_end": 1}}


@pytest.mark.parametrize(
    ("credit", "forgotten"),
    [
        ("whole", "+5=35,33\n35+33=68\n"),
        ("fatal_step", "+5=35,33\n35+33=68\n"),
        ("decision", "+5"),
        ("pivot", "+"),
    ],
)
def test_what_a_success_begins_with_is_not_forgotten(credit, forgotten):
    found, report = examples(rows(RIGHT, DEAD), TASK, credit, Limits(4, 4), 0, "compact")
    good, bad = found
    assert good.completion[good.start : good.end] == RIGHT
    assert bad.completion[bad.start : bad.end] == forgotten
    assert report.taken == {COT.label: {"success": 1, "dead_end": 1}}
    short, _ = examples(rows(RIGHT, RIGHT[:13]), TASK, "whole", Limits(4, 4), 0, "compact")
    assert [each.good for each in short] == [True]  # it only stopped too early


@pytest.mark.parametrize(
    ("text", "before", "pivot"),
    [
        (WRONG, "25+5=30,33,5\n30/5=", "7"),  # a wrong result
        ("25-5=20,33,5\n33-20=13,5\n13+5=18\n", "25", "-"),  # + would still do
        ("5+33=38,25,5\n38-5=33,25\n33-25=8\n", "5+", "33"),  # + 25 would
        ("25+5=30,33,5\n33-30=3,5\n3*5=15\n", "25+5=30,33,5\n3", "3"),  # 30/5 begins alike
        ("7+5=12\n", "", "7"),
    ],
)
def test_the_pivot_is_where_nothing_right_is_left(text, before, pivot):
    """By the solver: no success of the problem is in the harvest."""
    for credit in ("pivot", "fatal_step"):
        (bad,), _ = examples(rows(text), TASK, credit, Limits(4, 4), 0, "compact")
        if credit == "pivot":
            assert bad.completion[: bad.start] == before
            assert pivot.startswith(bad.completion[bad.start : bad.end])
            assert bad.end == bad.start + 1
        else:
            assert bad.start <= len(before)


def test_without_a_solver_the_pivot_is_where_a_success_is_left(tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "2 + 3 + 4?", "answer": "9"}\n')
    task = get_task("reference", file=str(file))
    (problem,) = task.up_to("train", 1, 0) or task.up_to("test", 1, 0)
    texts = ["2 + 3 = 5\n5 + 4 = 9\nAnswer: 9", "2 + 3 = 5\n5 + 4 = 8\nAnswer: 8"]
    attempts = [attempt_of(task, problem, text, tokens=20) for text in texts]
    found = rows_of(Solution(problem, attempts, {}), task, "zero_shot", COT, "tiny", 7)
    found = [row if row.correct else replace(row, fatal_step=1) for row in found]
    _, bad = examples(found, task, "pivot", Limits(4, 4), 0, "zero_shot")[0]
    assert bad.completion[: bad.start] == "2 + 3 = 5\n5 + 4 = "
    assert bad.completion[bad.start : bad.end] == "8"


def test_a_failure_with_nothing_to_forget_is_left_out():
    found, report = examples(rows("25+5=30,33,5\n"), TASK, "decision", Limits(4, 4), 0, "compact")
    assert found == []
    assert report.nothing_to_forget == 1
    assert report.taken == {}


@pytest.mark.parametrize("credit", ["whole", "fatal_step", "decision", "pivot"])
@pytest.mark.parametrize(
    "text",
    [
        "33 - (25+5)/5\n",
        "25 + 5 = 30 (left: 5 33 30)\nAnswer: 33 - (25+5)/5 = 27",
        RIGHT + "Answer: 33 - (25+5)/5 = 27, I think",
    ],
)
def test_what_may_be_right_is_not_forgotten(text, credit):
    (row,) = rows(text)
    assert not row.correct
    assert row.kind in TASK.spared
    found, report = examples([row], TASK, credit, Limits(4, 4), 0, "compact")
    assert found == []
    assert report.taken == {}


def test_so_many_a_problem_and_the_same_for_the_same_seed():
    texts = [DEAD, WRONG, "1\n", "2\n", "3\n", RIGHT]
    first, _ = examples(rows(*texts), TASK, "whole", Limits(1, 2), 3, "compact")
    again, _ = examples(rows(*texts), TASK, "whole", Limits(1, 2), 3, "compact")
    assert first == again
    assert [e.good for e in first] == [True, False, False]


def other(row: Row, problem: int, label: str) -> Row:
    """The same path as one of another problem, found by another reasoner."""
    own = {"numbers": [25, 5, 5, 33], "target": problem}
    return replace(row, problem=replace(PROBLEM, id=f"p{problem}", data=own), label=label)


def test_failures_that_come_to_the_same_are_forgotten_once():
    ends = [DEAD, "25+5=30,33,5\n30+5=35,33\n35-33=2\n"]  # lost by the same decision
    found, report = examples(rows(*ends), TASK, "decision", Limits(1, 4), 0, "compact")
    assert len(found) == 1
    assert report.doubles == 1
    assert len(examples(rows(*ends), TASK, "fatal_step", Limits(1, 4), 0, "compact")[0]) == 2


def test_failures_are_balanced_over_kinds_and_reasoners():
    right, dead, wrong = rows(RIGHT, DEAD, WRONG)
    found = [other(right, n, "dfs") for n in range(12)]
    found += [other(dead, n, "dfs") for n in range(40)]
    found += [other(dead, n, "tot beam=3") for n in range(40, 60)]
    found += [other(wrong, n, "cot n=4") for n in range(60, 63)]

    def taken(balance: str, per_success: float | None) -> dict:
        limits = Limits(1, 1, None, balance, per_success)
        return examples(found, TASK, "whole", limits, 0, "compact")[1].taken

    assert taken("none", None)["dfs"] == {"success": 12, "dead_end": 40}
    # 12 failures in all: 3 wrong ones are there, so 9 are dead ends
    by_kind = taken("kind", 1.0)
    assert by_kind["cot n=4"] == {"arithmetic": 3}
    assert by_kind["dfs"]["dead_end"] + by_kind["tot beam=3"]["dead_end"] == 9
    by_reasoner = taken("reasoner", 1.0)
    assert by_reasoner["cot n=4"] == {"arithmetic": 3}
    assert by_reasoner["tot beam=3"] == {"dead_end": 4}
    assert by_reasoner["dfs"] == {"success": 12, "dead_end": 5}
    assert taken("kind_and_reasoner", 0.5)["dfs"] == {"success": 12, "dead_end": 2}
    there = examples(found, TASK, "whole", Limits(1, 1), 0, "compact")[1].found
    assert there["tot beam=3"] == {"dead_end": 20}


def test_what_a_small_group_leaves_the_others_share():
    assert quotas({"a": 1, "b": 10, "c": 10}, 9) == {"a": 1, "b": 4, "c": 4}
    assert quotas({"a": 2, "b": 3}, 9) == {"a": 2, "b": 3}
    assert quotas({}, 3) == {}


def test_so_many_successes_in_all_the_same_for_the_same_seed():
    found = [other(rows(RIGHT)[0], n, "dfs") for n in range(30)]
    first, again, another = (
        examples(found, TASK, "whole", Limits(1, 0, 10), seed, "compact")[0] for seed in (1, 1, 2)
    )
    assert len(first) == 10
    assert first == again != another


def test_paths_of_some_reasoners_alone_are_theirs_whoever_found_them_first(tmp_path):
    right, dead = rows(RIGHT, DEAD)
    write_shard(tmp_path, 0, [replace(right, reasoner="dfs", label="dfs paths=2"), dead])
    write_shard(tmp_path, 1, [replace(right, reasoner="tot", label="tot beam=3")])
    assert [row.reasoner for row in read(tmp_path, ["tot", "rap"])] == ["tot"]
    assert [row.reasoner for row in read(tmp_path)] == ["dfs", "cot"]


def test_a_path_is_learnt_in_another_dialect_than_it_was_asked_in():
    words = "25 + 5 = 30 (left: 33 30 5)\n30 / 5 = 6 (left: 33 6)\n33 - 6 = 27 (left: 27)\n"
    words += "Answer: 33 - ((25 + 5) / 5) = 27\n"
    attempts = [attempt_of(TASK, PROBLEM, t) for t in (words, "no step at all\n")]
    found = rows_of(Solution(PROBLEM, attempts, {}), TASK, "few_shot", COT, "tiny", 7)
    assert found[0].prompt == TASK.prompt(PROBLEM, "few_shot")
    (zero, _), _ = examples(found, TASK, "whole", Limits(4, 4), 0, "zero_shot")
    assert zero.prompt == TASK.prompt(PROBLEM, "zero_shot")
    assert zero.completion == words
    (short,), told = examples(found, TASK, "whole", Limits(4, 4), 0, "compact")
    assert (short.prompt, short.completion) == ("27:33,25,5,5\n", RIGHT)
    assert told.unwritable == 1  # a line that is no step has no compact form
    # What was answered to the learnt prompt is forgotten as it stands, whatever it says.
    asked = [replace(row, prompt=TASK.prompt(PROBLEM, "compact")) for row in found]
    written, told = examples(asked, TASK, "whole", Limits(4, 4), 0, "compact")
    assert [example.completion for example in written] == [words, "no step at all\n"]
    assert told.unwritable == 0


def test_a_shard_of_another_kind_is_broken(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for table in ({"text": ["x"]}, {"problem": ["no json"], "task": ["t"], "problem_id": ["p"]}):
        pq.write_table(pa.table(table), shard(tmp_path, 0))
        with pytest.raises(BrokenFile):
            list(read(tmp_path))

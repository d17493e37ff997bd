"""The harvest: nothing twice, nothing half written, and credit on exactly the right characters."""

from __future__ import annotations

import pytest

from ltf_lite.harvest import examples, read, rows_of, shard, write_shard
from ltf_lite.reasoners import Solution, attempt_of
from ltf_lite.tasks import get_task

TASK = get_task("countdown")
PROBLEM = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
RIGHT = "25+5=30,33,5\n30/5=6,33\n33-6=27\n"
DEAD = "25+5=30,33,5\n30+5=35,33\n35+33=68\n"
WRONG = "25+5=30,33,5\n30/5=7,33\n33-7=26\n"


def rows(*texts: str):
    attempts = [attempt_of(TASK, PROBLEM, t, tokens=24, logprob=-3.0) for t in texts]
    solution = Solution(PROBLEM, attempts, {})
    return rows_of(solution, TASK, "compact", "cot n=3", "tiny", 7)


def test_rows_carry_their_verdict_and_where_they_came_from():
    right, dead, wrong = rows(RIGHT, DEAD, WRONG, RIGHT)
    assert right["correct"]
    assert (dead["kind"], dead["fatal_step"]) == ("dead_end", 1)
    assert (wrong["kind"], wrong["fatal_step"]) == ("arithmetic", 1)
    assert right["steps"] == RIGHT.split()
    assert right["prompt"] == "27:33,25,5,5\n"
    assert right["seed"] == 7


def test_a_path_found_twice_is_read_once(tmp_path):
    write_shard(tmp_path, 0, rows(RIGHT, DEAD))
    write_shard(tmp_path, 1, rows(DEAD, WRONG))
    assert [row["text"] for row in read(tmp_path)] == [RIGHT, DEAD, WRONG]
    assert next(iter(read(tmp_path)))["logprob"] == -3.0


def test_a_half_written_shard_is_not_read(tmp_path):
    write_shard(tmp_path, 0, rows(RIGHT))
    shard(tmp_path, 1).with_suffix(".tmp").write_bytes(b"PAR1 half")
    assert len(list(read(tmp_path))) == 1


@pytest.mark.parametrize(
    ("credit", "forgotten"),
    [("whole", DEAD), ("fatal_step", "30+5=35,33\n35+33=68\n"), ("decision", "30+5")],
)
def test_credit_is_on_these_characters(credit, forgotten):
    found, counts = examples(rows(RIGHT, DEAD), TASK, credit, 4, 4, 0)
    good, bad = found
    assert good.completion[good.start : good.end] == RIGHT
    assert not bad.good
    assert bad.completion[bad.start : bad.end] == forgotten
    assert counts == {"cot n=3": {"success": 1, "dead_end": 1}}


def test_a_failure_with_nothing_to_forget_is_left_out():
    found, _ = examples(rows("25+5=30,33,5\n"), TASK, "decision", 4, 4, 0)
    assert found == []


def test_so_many_a_problem_and_the_same_for_the_same_seed():
    texts = [DEAD, WRONG, "1\n", "2\n", "3\n", RIGHT]
    first, _ = examples(rows(*texts), TASK, "whole", 1, 2, 3)
    again, _ = examples(rows(*texts), TASK, "whole", 1, 2, 3)
    assert first == again
    assert [e.good for e in first] == [True, False, False]

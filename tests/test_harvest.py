"""The harvest: nothing twice, nothing half written, and credit on exactly the right characters."""

from __future__ import annotations

import pytest

from ltf_lite.harvest import Limits, examples, read, rows_of, shard, write_shard
from ltf_lite.harvest.sampling import quotas
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
    found, report = examples(rows(RIGHT, DEAD), TASK, credit, Limits(4, 4), 0)
    good, bad = found
    assert good.completion[good.start : good.end] == RIGHT
    assert not bad.good
    assert bad.completion[bad.start : bad.end] == forgotten
    assert report["taken"] == {"cot n=3": {"success": 1, "dead_end": 1}}


def test_a_failure_with_nothing_to_forget_is_left_out():
    found, report = examples(rows("25+5=30,33,5\n"), TASK, "decision", Limits(4, 4), 0)
    assert found == []
    assert report["nothing_to_forget"] == 1
    assert report["taken"] == {}


def test_so_many_a_problem_and_the_same_for_the_same_seed():
    texts = [DEAD, WRONG, "1\n", "2\n", "3\n", RIGHT]
    first, _ = examples(rows(*texts), TASK, "whole", Limits(1, 2), 3)
    again, _ = examples(rows(*texts), TASK, "whole", Limits(1, 2), 3)
    assert first == again
    assert [e.good for e in first] == [True, False, False]


def other(row: dict, problem: int, reasoner: str) -> dict:
    """The same path as one of another problem, found by another reasoner."""
    return {**row, "problem_id": f"p{problem}", "prompt": f"{problem}\n", "reasoner": reasoner}


def test_failures_that_come_to_the_same_are_forgotten_once():
    ends = [DEAD, "25+5=30,33,5\n30+5=35,33\n35-33=2\n"]  # lost by the same decision
    found, report = examples(rows(*ends), TASK, "decision", Limits(1, 4), 0)
    assert len(found) == 1
    assert report["doubles"] == 1
    assert len(examples(rows(*ends), TASK, "fatal_step", Limits(1, 4), 0)[0]) == 2


def test_failures_are_balanced_over_kinds_and_reasoners():
    right, dead, wrong = rows(RIGHT, DEAD, WRONG)
    harvest = [other(right, n, "dfs") for n in range(12)]
    harvest += [other(dead, n, "dfs") for n in range(40)]
    harvest += [other(dead, n, "tot beam=3") for n in range(40, 60)]
    harvest += [other(wrong, n, "cot n=4") for n in range(60, 63)]

    def taken(balance: str, per_success: float | None) -> dict:
        limits = Limits(1, 1, None, balance, per_success)
        return examples(harvest, TASK, "whole", limits, 0)[1]["taken"]

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
    found = examples(harvest, TASK, "whole", Limits(1, 1), 0)[1]["found"]
    assert found["tot beam=3"] == {"dead_end": 20}


def test_what_a_small_group_leaves_the_others_share():
    assert quotas({"a": 1, "b": 10, "c": 10}, 9) == {"a": 1, "b": 4, "c": 4}
    assert quotas({"a": 2, "b": 3}, 9) == {"a": 2, "b": 3}
    assert quotas({}, 3) == {}


def test_so_many_successes_in_all_the_same_for_the_same_seed():
    harvest = [other(rows(RIGHT)[0], n, "dfs") for n in range(30)]
    first, again, another = (
        examples(harvest, TASK, "whole", Limits(1, 0, 10), seed)[0] for seed in (1, 1, 2)
    )
    assert len(first) == 10
    assert first == again != another


def test_paths_of_some_reasoners_alone_are_theirs_whoever_found_them_first(tmp_path):
    right, dead = rows(RIGHT, DEAD)
    write_shard(tmp_path, 0, [{**right, "reasoner": "dfs paths=1"}, dead])
    write_shard(tmp_path, 1, [{**right, "reasoner": "tot beam=3"}])
    assert [row["reasoner"] for row in read(tmp_path, ["tot", "rap"])] == ["tot beam=3"]
    assert [row["reasoner"] for row in read(tmp_path)] == ["dfs paths=1", "cot n=3"]

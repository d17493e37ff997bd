"""The failures of a harvest: counted, turned page by page, and shown where they broke."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltf_lite.harvest import (
    counts,
    failures,
    marked,
    read,
    rows_of,
    saving_step,
    shard,
    solved,
    write_shard,
)
from ltf_lite.reasoners import Solution, attempt_of, get_reasoner
from ltf_lite.tasks import get_task

TASK = get_task("countdown")
PROBLEM = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
RIGHT = "25+5=30,33,5\n30/5=6,33\n33-6=27\n"
DEAD = "25+5=30,33,5\n30+5=35,33\n35+33=68\n"
WRONG = "25+5=30,33,5\n30/5=7,33\n33-7=26\n"
FIRST = "33+25=58,5,5\n58+5=63,5\n63+5=68\n"
SHORT = "25+5=30,33,5\n"


def rows(*texts: str, reasoner: str = "cot", dialect: str = "compact"):
    attempts = [attempt_of(TASK, PROBLEM, t, tokens=24, logprob=-3.0) for t in texts]
    return rows_of(
        Solution(PROBLEM, attempts, {}), TASK, dialect, get_reasoner(reasoner), "tiny", 7
    )


@pytest.fixture
def harvest(tmp_path):
    write_shard(tmp_path, 0, rows(RIGHT, DEAD, SHORT))
    write_shard(tmp_path, 1, rows(DEAD, WRONG, FIRST, reasoner="tot"))
    return tmp_path


def test_failures_are_counted_as_tuning_reads_them(harvest):
    found = {(c.label, c.kind, c.fatal_step): c.n for c in counts(harvest)}
    assert found == {
        ("cot", "dead_end", 1): 1,
        ("cot", "incomplete", 1): 1,
        ("tot", "arithmetic", 1): 1,
        ("tot", "dead_end", 0): 1,
    }
    assert sum(found.values()) == sum(not row.correct for row in read(harvest))


def test_what_each_reasoner_solved_is_of_problems_and_counts_doubles_for_both(harvest):
    assert solved(harvest) == {"cot": 1}
    again = RIGHT.replace("25+5=30,33,5", "5+25=30,33,5")
    write_shard(harvest, 2, rows(RIGHT, again, reasoner="tot"))
    (harvest / "part-00003.parquet").write_bytes(b"PAR1")
    assert solved(harvest) == {"cot": 1, "tot": 1}
    assert solved(harvest / "none") == {}


def test_the_most_frequent_comes_first(harvest):
    texts = [f"25+5={n},33,5\n" for n in range(31, 36)]
    write_shard(harvest, 2, rows(*texts))
    first = counts(harvest)[0]
    assert (first.kind, first.fatal_step, first.n) == ("arithmetic", 0, 5)


def test_pages_are_in_the_harvests_order_and_leave_nothing_out(harvest):
    wanted = [row for row in read(harvest) if not row.correct]
    pages = [failures(harvest, offset=at, limit=1) for at in range(5)]
    assert [row for page, _, _ in pages for row in page] == wanted
    assert {total for _, total, _ in pages} == {len(wanted)} == {4}
    assert failures(harvest, offset=-5, limit=-1) == ([], 4, [])


@pytest.mark.parametrize(
    ("filters", "texts"),
    [
        ({"kind": "dead_end"}, [DEAD, FIRST]),
        ({"kind": "dead_end", "label": "tot"}, [FIRST]),
        ({"fatal_step": 1, "label": "cot"}, [DEAD, SHORT]),
        ({"fatal_step": 0}, [FIRST]),
        ({"kind": "no such kind"}, []),
    ],
)
def test_filters_choose(harvest, filters, texts):
    page, total, _ = failures(harvest, **filters)
    assert [row.text for row in page] == texts
    assert total == len(texts)


def test_a_shard_that_comes_later_is_seen(harvest):
    assert failures(harvest)[1] == 4
    write_shard(harvest, 2, rows("1\n"))
    assert failures(harvest)[1] == 5


def test_a_harvest_that_is_not_there_has_no_failures(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert counts(folder) == []
        assert failures(folder) == ([], 0, [])


def test_unreadable_shards_are_left_out_and_named(harvest):
    whole = shard(harvest, 1).read_bytes()
    shard(harvest, 2).write_bytes(whole[: len(whole) // 2])
    shard(harvest, 3).write_bytes(b"")
    pq.write_table(pa.table({"text": ["other"]}), shard(harvest, 4))
    page, total, unreadable = failures(harvest)
    assert (len(page), total) == (4, 4)
    assert unreadable == [shard(harvest, n).name for n in (2, 3, 4)]
    assert sum(c.n for c in counts(harvest)) == 4
    assert failures(harvest)[2] == unreadable


def states(text: str, **options):
    (row,) = rows(text, **options)
    lines, reason = marked(row, TASK)
    return [(line.text, line.state) for line in lines], reason


def test_the_line_that_killed_a_path_is_marked_and_the_reason_given():
    lines, reason = states(WRONG)
    assert [state for _, state in lines] == ["right", "fatal", "after"]
    assert [text for text, _ in lines] == WRONG.split()
    assert "30 / 5 is 6, not 7" in reason
    assert states(DEAD)[1] == "27 can't be reached from 35 33"
    assert [state for _, state in states(RIGHT)[0]] == ["right"] * 3


def test_what_is_missing_is_an_entry_of_its_own():
    lines, reason = states(SHORT)
    assert lines == [("25+5=30,33,5", "right"), ("", "missing")]
    assert reason == "step 2 is missing"
    steps = "25 + 5 = 30 (left: 33 30 5)\n30 / 5 = 6 (left: 33 6)\n33 - 6 = 27 (left: 27)\n"
    assert [s for _, s in states(steps)[0]] == ["right"] * 3 + ["missing"]
    assert [s for _, s in states(steps + "Answer: 33 - 6")[0]] == ["right"] * 3 + ["fatal"]
    assert states("\n")[0] == [("", "missing")]


def test_the_verdict_is_that_of_the_runs_own_settings():
    (row,) = rows(RIGHT)
    capped = get_task("countdown", targets=(10, 20), max_intermediate=25)
    lines, reason = marked(row, capped)
    assert [line.state for line in lines] == ["fatal", "after", "after"]
    assert "no intermediate result 30" in reason


@pytest.mark.parametrize("text", ["<b>x</b>\n", "1/0=1\n", "9" * 5000, "\x00\ufffd", "=\n=\n=\n"])
def test_nothing_that_a_model_wrote_raises(text):
    (row,) = rows(text)
    lines, reason = marked(row, TASK)
    assert lines
    assert reason
    saving_step(row, TASK)


@pytest.mark.parametrize("text", [DEAD, WRONG, FIRST, SHORT, "nonsense\n"])
@pytest.mark.parametrize("dialect", ["compact", "few_shot"])
def test_the_saving_step_would_have_saved_the_path(text, dialect):
    steps = TASK.rewritten(PROBLEM, text, dialect) or text  # what is no step stays what it is
    (row,) = rows(steps, dialect=dialect)
    line = saving_step(row, TASK)
    before = steps.split("\n")[: row.fatal_step]
    path = TASK.parse(PROBLEM, "\n".join([*before, line]))
    verdict = TASK.verify(PROBLEM, path)
    assert (verdict.kind, verdict.fatal_step) == ("incomplete", row.fatal_step + 1)
    assert ("left:" in line) == (TASK.parse(PROBLEM, steps).form == "standard")


def test_where_nothing_could_save_it_there_is_no_step():
    steps = "25 + 5 = 30 (left: 33 30 5)\n30 / 5 = 6 (left: 33 6)\n33 - 6 = 27 (left: 27)\n"
    (answer,) = rows(steps + "Answer: 5")
    assert answer.kind == "wrong_answer"
    assert saving_step(answer, TASK) is None
    (right,) = rows(RIGHT)
    assert saving_step(right, TASK) is None
    hopeless = TASK.problem({"numbers": [1, 1], "target": 99})
    attempt = attempt_of(TASK, hopeless, "1+1=2\n", tokens=1, logprob=0.0)
    (row,) = rows_of(
        Solution(hopeless, [attempt], {}), TASK, "compact", get_reasoner("cot"), "tiny", 7
    )
    assert saving_step(row, TASK) is None

"""Whether a difference is real: the tests by hand, what records tell, what the report says."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltf_lite.core.files import BrokenFile, ForeignFile, read_json, write_json
from ltf_lite.core.folder import RunFolder
from ltf_lite.engines import open_engine
from ltf_lite.evaluation.compare import compared
from ltf_lite.evaluation.significance import mcnemar, paired_interval, pass_at_k
from ltf_lite.evaluation.success import record
from ltf_lite.evaluation.types import read_record, write_record
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.reasoners.choice import ORACLE
from ltf_lite.report.results import records
from ltf_lite.report.tables.base import as_markdown
from ltf_lite.report.tables.differences import difference_table, differences
from ltf_lite.report.tables.success import pass_table
from ltf_lite.tasks import Problem, get_task
from tests.records import HELPED, SEARCH, SINGLE_PASS, SOLVER, best_of, oracle, problem, voted
from tests.records import record as made

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
FEW = "too few problems to conclude anything"


def pairs(both: int, first: int, second: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Outcomes of two ways of answering with these counts."""
    return (
        [True] * (both + first) + [False] * (second + neither),
        [True] * both + [False] * first + [True] * second + [False] * neither,
    )


def test_mcnemar_by_hand():
    # 9 against 2 of 11: both tails of the binomial of 11 fair coins, C(11, 0..2) = 1 + 11 + 55
    assert mcnemar(*pairs(5, 9, 2, 4)) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert mcnemar(*pairs(0, 5, 0, 0)) == pytest.approx(2 / 2**5)
    assert mcnemar(*pairs(3, 1, 0, 3)) == 1.0  # one coin tells nothing
    assert mcnemar(*pairs(3, 4, 4, 3)) == 1.0
    assert mcnemar(*pairs(7, 0, 0, 9)) == 1.0
    assert mcnemar([], []) == 1.0
    with pytest.raises(ValueError, match="zip"):
        mcnemar([True], [True, False])


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_is_the_binomial_of_what_differs(b, c, both, neither):
    low = sum(comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    p = mcnemar(*pairs(both, b, c, neither))
    assert p == pytest.approx(min(1.0, 2 * low))
    assert p == mcnemar(*pairs(neither, c, b, both))


@given(st.data(), st.integers(1, 9))
def test_pass_at_k_is_the_share_of_all_draws_with_a_right_sample(data, n):
    right = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    k = data.draw(st.integers(1, n))
    draws = [any(draw) for draw in combinations(right, k)]
    assert pass_at_k(n, sum(right), k) == pytest.approx(sum(draws) / len(draws), abs=1e-15)


def test_pass_at_k_of_many_samples_loses_nothing():
    assert pass_at_k(100_000, 1, 1) == 1 / 100_000
    assert pass_at_k(20_000, 1, 5_000) == 0.25
    assert pass_at_k(20_000, 15_001, 5_000) == 1.0
    for n, c, k in ((4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)):
        with pytest.raises(ValueError, match=rf"pass@{k} of {c} right samples in {n} needs"):
            pass_at_k(n, c, k)


@pytest.mark.slow
def test_the_interval_covers_a_known_difference_as_often_as_it_says():
    """Problems that are easy (3 of 10) are solved by both, others by luck: 0.5 against 0.2."""
    draw, covered, runs, apart = np.random.default_rng(7), 0, 300, 0.7 * (0.5 - 0.2)
    for seed in range(runs):
        easy, luck = draw.random(120) < 0.3, draw.random((2, 120))
        low, high = paired_interval(easy | (luck[0] < 0.5), easy | (luck[1] < 0.2), seed)
        covered += low <= apart <= high
    assert 0.91 <= covered / runs <= 0.99


def test_pairs_make_the_interval_narrow():
    first, second = pairs(200, 20, 0, 180)
    shuffled = random.Random(0).sample(second, len(second))
    low, high = paired_interval(first, second, 1)
    far = paired_interval(first, shuffled, 1)
    assert 0.02 < low < 0.05 < high < 0.08
    assert far[0] < 0 < far[1]
    assert far[1] - far[0] > 2 * (high - low)
    assert paired_interval(first, second, 1) == (low, high)
    shares = [random.Random(k).random() for k in range(30)], [0.4] * 30
    assert paired_interval(*shares, 1) == paired_interval(*shares, 1) != paired_interval(*shares, 2)


def test_an_interval_of_equal_differences_is_that_point():
    assert paired_interval([True, False, True], [True, False, True], 0) == (0.0, 0.0)
    assert paired_interval([True] * 4, [False] * 4, 0) == (1.0, 1.0)
    assert paired_interval([0.75, 1.0], [0.25, 0.5], 0) == (0.5, 0.5)
    assert paired_interval([0.25], [1.0], 0) == (-0.75, -0.75)
    low, high = paired_interval([0.75, 1.0, 0.5], [0.25, 0.75, 0.75], 0)  # fractions of samples
    assert -0.25 <= low < 1 / 6 < high <= 0.5
    with pytest.raises(ValueError, match="at least one pair"):
        paired_interval([], [], 0)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Asks the embedded model test problems; gives the solutions and their record off the disk."""
    engine = open_engine("tiny-base")
    file = tmp_path_factory.mktemp("records") / "one.test.json"

    def asked(name: str, problems: int, *more: Problem, **settings):
        reasoner, drawn = get_reasoner(name, **settings), TASK.problems("test", problems, 3)
        solutions = list(solve(reasoner, [*drawn, *more], TASK, engine, 11))
        facts = {"model": "base", "reasoner": reasoner, "split": "test", "seed": 11}
        write_record(file, record(solutions, TASK, **facts, seconds=1.0, calls=1))
        return solutions, read_record(file, "countdown")

    yield asked
    engine.close()


@pytest.mark.parametrize(
    ("name", "settings"), [("cot", {}), ("cot", {"n": 8, "temperature": 1.0}), ("tot", {"beam": 2})]
)
@pytest.mark.slow
def test_a_record_tells_which_problems_every_choice_solved(ask, name, settings):
    solutions, found = ask(name, 40, **settings)
    assert found.problems == tuple(s.problem for s in solutions)
    assert [each.choice for each in found.scored] == list(solutions[0].choices)
    for each in found.scored:
        if each.choice.kind == "sample":
            assert each.solved is None
            continue
        for solution, mark in zip(solutions, each.solved, strict=True):
            right = [a.verdict.correct for a in solution.attempts]
            pick = solution.choices[each.choice]
            bound = each.choice.kind == "oracle"
            solved = any(right) if bound else pick is not None and right[pick]
            assert mark == "01"[solved]
        assert each.solved.count("1") / len(each.solved) == each.rate.rate


def test_a_record_off_the_disk_is_the_one_that_was_written(ask, tmp_path):
    _, found = ask("cot", 5, n=3, temperature=1.0)
    write_record(tmp_path / "again.json", found)
    assert read_record(tmp_path / "again.json") == found
    assert found.paths[0].verdict.message  # a verdict with its names, not a bare list
    assert found.of("self_consistency").choice == voted(3)


def test_a_record_of_another_task_or_schema_is_refused(ask, tmp_path):
    _, found = ask("cot", 3)
    file = tmp_path / "one.test.json"
    write_record(file, found)
    with pytest.raises(ForeignFile, match="of the task countdown, not game24"):
        read_record(file, "game24")
    write_json(file, {**read_json(file), "schema": 2})
    with pytest.raises(ForeignFile, match="schema 2, this one reads 3"):
        read_record(file)
    file.write_text(file.read_text()[:200])
    with pytest.raises(BrokenFile):
        read_record(file)


def test_samples_give_pass_at_k(ask):
    solutions, found = ask("cot", 20, n=6, temperature=1.0)
    assert list(found.pass_at) == [1, 2, 4, 6]
    assert found.pass_at[1].rate == pytest.approx(found.of("sample").rate.rate)
    assert found.pass_at[6].rate == pytest.approx(found.of("oracle").rate.rate)
    draws = [
        any(a.verdict.correct for a in two)
        for s in solutions
        for two in combinations(s.attempts, 2)
    ]
    two = found.pass_at[2]
    assert two.rate == pytest.approx(sum(draws) / len(draws))
    assert 0 <= two.low < two.rate < two.high < 1
    for settings in ({}, {"temperature": 1.0}):  # one path a problem: nothing to draw from
        assert not ask("cot", 3, **settings)[1].pass_at
    assert not ask("tot", 3, beam=2)[1].pass_at


def test_pass_at_k_stops_at_the_fewest_samples_of_a_problem(ask):
    short = TASK.problem({"numbers": [3, 4, 5], "target": 12})  # more of its paths fit the budget
    solutions, found = ask("cot", 20, short, n=8, temperature=1.0, budget={"tokens": 90})
    counts = {len(s.attempts) for s in solutions}
    assert 1 < min(counts) < max(counts)
    assert list(found.pass_at)[-1] == min(counts)


def test_the_tuned_single_pass_is_compared_with_everything_the_base_answers():
    right, wrong = "1" * 40, "0" * 40
    records = [
        made("none", "dfs", {SOLVER: right}),
        made("base", "cot", {voted(9): wrong, best_of(9): right, oracle(9): right}, many=9),
        made("base", "cot", {SINGLE_PASS: "1100" * 10}),
        made("base", "cot", {SINGLE_PASS: wrong}, max_tokens=9),
        made("base", "rap", {HELPED: right}, oracle=True),
        made("base", "tot", {SEARCH: wrong, ORACLE: right}, beam=2),
        made("tuned", "cot", {SINGLE_PASS: "0111" * 10}),
        made("tuned", "tot", {SEARCH: wrong}, beam=2),
        made("tuned q8-0", "cot", {SINGLE_PASS: wrong}),
    ]
    found = compared(records)
    assert all(row.first.choice == SINGLE_PASS for row in found)
    assert {row.first.model for row in found} == {"tuned"}
    assert [(row.second.choice, row.second.label) for row in found] == [
        (SINGLE_PASS, "cot"),
        (voted(9), "cot many=9"),
        (best_of(9), "cot many=9"),
        (SEARCH, "tot beam=2"),
    ]
    single, consistent, best, _ = found
    assert (single.n, single.b, single.c) == (40, 20, 10)
    assert (single.first.rate, single.second.rate) == (0.75, 0.5)
    assert single.points == 25
    assert -5 < single.low < 5 < 45 < single.high < 55
    assert single.p == pytest.approx(2 * sum(comb(30, k) for k in range(11)) / 2**30)
    assert (consistent.b, consistent.c, consistent.points) == (30, 0, 75)
    assert (best.b, best.c, best.points) == (0, 10, -25)
    assert compared(records) == found
    assert compared(records[:6]) == compared([]) == []


def test_only_problems_that_both_answered_are_compared_whatever_their_order():
    tuned = made("tuned", "cot", {SINGLE_PASS: "1" * 20 + "0" * 20})
    base = made("base", "rap", {SEARCH: "1" * 10 + "0" * 20})
    base = replace(base, problems=base.problems[::-1])  # its marks are of problems 29 … 0
    (row,) = compared([tuned, base])
    assert (row.n, row.b, row.c) == (30, 20, 10)
    assert (row.first.rate, row.second.rate) == (20 / 30, 10 / 30)
    base = replace(base, problems=(problem("another"),) * 30)
    assert compared([tuned, base]) == []


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_report_says_which_differences_are_real(small_run):
    part = as_markdown(difference_table(differences(RunFolder(small_run)).single))
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][2:]
    assert rows == [
        "single pass",
        "self-consistency@4",
        "best of 4 by likelihood",
        "tree of thoughts (beam 2)",
    ]
    folder, single = RunFolder(small_run), "cot-max-tokens-40.test.json"
    files = ((folder.evaluation(m) / f"{m}-{single}") for m in ("base", "tuned"))
    base, tuned = ([path.verdict.correct for path in read_record(f).paths] for f in files)
    b = sum(x and not y for x, y in zip(tuned, base, strict=True))
    c = sum(y and not x for x, y in zip(tuned, base, strict=True))
    row = cells(part, "single pass")
    assert row[1:4] == ["40", f"{100 * sum(tuned) / 40:.1f} %", f"{100 * sum(base) / 40:.1f} %"]
    assert row[4].startswith(f"{100 * (b - c) / 40:+.1f} [")
    p = min(1.0, 2 * sum(comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c))
    shown = f"{p:.2g}" if p >= 1e-4 else "< 0.0001"
    assert row[5:] == [str(b), str(c), shown, "yes" if p < 0.05 else "can't tell"]
    assert "can't tell the two apart" in part


def test_the_report_has_a_table_of_pass_at_k(small_run):
    found = records(RunFolder(small_run))
    part = as_markdown(pass_table(found))
    assert "| model | reasoner | pass@1 [95 %] | pass@2 [95 %] | pass@4 [95 %] |" in part
    for model in ("base", "tuned"):
        (own,) = [one for one in found if one.model == model and one.pass_at]
        row = cells(part, model)
        assert [cell.split(" %")[0] for cell in row[2:]] == [
            f"{100 * own.pass_at[k].rate:.1f}" for k in (1, 2, 4)
        ]


def test_few_problems_conclude_nothing(tmp_path):
    folder = RunFolder(tmp_path)
    for n, verdict in ((29, FEW), (30, "yes")):
        for model, mark in (("base", "0"), ("tuned", "1")):
            file = folder.evaluation(model) / "one.test.json"
            write_record(file, made(model, "cot", {SINGLE_PASS: mark * n}))
        table = difference_table(differences(folder).single)
        assert cells(as_markdown(table), "single pass")[-1] == verdict
    assert difference_table(differences(RunFolder(tmp_path / "nothing")).single) is None

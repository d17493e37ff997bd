"""What a record tells of success and its cost, and answers compared at equal token budgets."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltf_lite.core.manifest import Manifest
from ltf_lite.evaluation.budget import BudgetPoint, curve
from ltf_lite.evaluation.compare import same_reasoner
from ltf_lite.evaluation.naming import name_of, title_of
from ltf_lite.evaluation.success import mean_interval, record, too_few, wilson
from ltf_lite.evaluation.types import Alone, AskedPath, Cost, Rate, Record, read_record
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.asking import one_by_one
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.stages import baseline, problems
from ltf_lite.presets import parse
from ltf_lite.reasoners import Attempt, Node, Solution, attempt_of, get_reasoner
from ltf_lite.reasoners.choice import ORACLE, SAMPLE, SINGLE_PASS
from ltf_lite.report import results
from ltf_lite.tasks import Problem, Verdict, get_task
from ltf_lite.tasks.steps import valid_steps
from tests.conftest import SMALL
from tests.fake_engine import FakeEngine, player
from tests.records import CHANCE, HELPED, SEARCH, SOLVER, best_of, oracle, voted
from tests.records import record as made

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
BUDGETS = {"tokens": [40, 100_000], "problems": 5}


@settings(deadline=None)  # the first call may import
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_of_a_mean_of_right_and_wrong_is_wilsons(right, wrong):
    values = [1.0] * right + [0.0] * wrong
    if values:
        assert mean_interval(values) == pytest.approx(wilson(right, len(values)), abs=1e-12)


def test_a_mean_over_samples_is_surer_than_one_sample_but_never_certain():
    # a spread of 1/16, a quarter of what 0 and 1 would have: each tells as much as four of those
    half = mean_interval([0.25, 0.75] * 8)
    assert half == pytest.approx(wilson(32, 64), abs=1e-12)
    assert mean_interval([0.0] * 20) == pytest.approx(wilson(0, 20), abs=1e-12)
    assert mean_interval([1.0] * 20) == pytest.approx(wilson(20, 20), abs=1e-12)


def test_few_problems_are_warned_of():
    assert too_few(30) is None
    assert "29 test problems" in (too_few(29) or "")
    assert "nothing can be concluded" in (too_few(29) or "")


def single(model: str, marks: str, tokens: int = 10) -> Record:
    return made(model, "cot", {SINGLE_PASS: marks}, spent=[tokens] * len(marks))


def search(model: str, name: str, marks: str, tokens: int, **settings) -> Record:
    spent = [tokens] * len(marks)
    choice = HELPED if settings.get("oracle") else SEARCH
    return made(model, name, {choice: marks, ORACLE: marks}, spent=spent, **settings)


def samples(model: str, told: list[str]) -> Record:
    """Of each problem its samples, as answers; "R" is right, "-" no path; the first is likeliest.

    Each has 10 tokens.
    """
    n = len(told[0])
    paths = [
        AskedPath(
            problem=str(k),
            text=answer,
            tokens=10,
            logprob=-1.0 - i,
            answer=None if answer == "-" else answer,
            verdict=Verdict(answer == "R", None if answer == "R" else "format", None, ""),
        )
        for k, row in enumerate(told)
        for i, answer in enumerate(row)
    ]
    spent, pass_at = [10 * n] * len(told), {1: Rate(0.5, 0.0, 1.0, len(told))}
    return made(
        model, "cot", {SAMPLE: None}, spent=spent, pass_at=pass_at, paths=paths, n=len(told)
    )


def points(found: list[BudgetPoint], answer: str, model: str = "base") -> list[tuple]:
    return [
        (p.samples, p.budget, p.tokens, p.rate.rate)
        for p in found
        if (p.answer, p.model) == (answer, model)
    ]


BEST = "best of n by likelihood"


def test_the_curve_of_samples_by_hand():
    found = curve([samples("base", ["RaaR", "-RRb"])], [], [25, 40, 60])
    # k = 1: halves. k = 2, blocks Ra, aR and -R, Rb: a tie of votes goes to the likelier, and what
    # is no path has no vote. k = 3, one block: Raa is voted a, -RR is voted R. k = 4: a tie, R.
    assert points(found, "self-consistency") == [
        (1, None, 10, 0.5),
        (2, 25, 20, 0.75),
        (4, 40, 40, 1.0),
    ]
    # the likeliest of a block is its first: R, a; -, R; of all four R and -
    assert points(found, BEST) == [(1, None, 10, 0.5), (2, 25, 20, 0.5), (4, 40, 40, 0.5)]
    # nobody drew six samples: a budget of 60 tokens has no point
    found = curve([samples("base", ["RaaR", "-RRb"])], [], [35])
    assert points(found, "self-consistency")[2:] == [(3, 35, 30, 0.5), (4, None, 40, 1.0)]
    assert {p.rate.n for p in found} == {2}
    voted = next(p for p in found if p.samples == 2)
    assert (voted.rate.low, voted.rate.high) == mean_interval([0.5, 1.0])


def test_the_curve_puts_all_answers_on_the_same_problems():
    records = [
        single("base", "100100", 12),
        single("tuned", "111000"),
        search("base", "tot", "111111", 500),
        search("tuned", "tot", "011000", 400),
        search("base", "rap", "000000", 300, oracle=True, budget=99),
        search("base", "rap", "0", 300, oracle=True),
        samples("base", ["RR", "aa", "bb", "RR", "RR", "RR"]),
        made("none", "dfs", {SOLVER: "111111"}),
    ]
    budgets = [
        search("base", "tot", "100", 40, budget=50),
        search("base", "tot", "110", 90, budget=100),
        search("tuned", "tot", "010", 45, budget=50),
        search("tuned", "tot", "1", 7, budget=7),
    ]
    found = curve(records, budgets, [100, 50])
    assert {p.rate.n for p in found} == {3}
    assert points(found, "single pass") == [(None, None, 12, 1 / 3)]
    assert points(found, "single pass", "tuned") == [(None, None, 10, 1.0)]
    tree = title_of("tot")
    assert points(found, tree) == [
        (None, 50, 40, 1 / 3),
        (None, 100, 90, 2 / 3),
        (None, None, 500, 1.0),
    ]
    assert points(found, tree, "tuned") == [(None, 50, 45, 1 / 3), (None, None, 400, 2 / 3)]
    assert points(found, BEST) == [(1, None, 10, 1 / 3), (2, None, 20, 1 / 3)]
    first = next(p for p in found if p.answer == "single pass")
    assert (first.rate.low, first.rate.high) == wilson(1, 3)
    assert {p.answer for p in found} == {"single pass", "self-consistency", BEST, tree}
    assert curve([], [], [9]) == curve(records[-1:], [], [9]) == []


def test_two_reasoners_of_a_kind_are_told_apart_by_their_settings():
    budgets = [search("base", "tot", "10", 40, beam=b, budget=50) for b in (2, 5)]
    found = curve([single("base", "10")], budgets, [50])
    tree = title_of("tot")
    assert [p.answer for p in found] == ["single pass", f"{tree} (beam 2)", f"{tree} (beam 5)"]


def test_every_reasoner_is_compared_with_itself():
    right, wrong = "1" * 40, "0" * 40
    both = {voted(4): right, best_of(4): wrong, oracle(4): right}
    records = [
        single("base", wrong),
        single("tuned", right),
        single("tuned q8_0", right),
        search("base", "tot", right, 9),
        search("tuned", "tot", "0011" * 10, 9),
        search("tuned", "rap", right, 9),
        made("base", "cot", both, many=4),
        made("tuned", "cot", both, many=4),
    ]
    found = same_reasoner(records)
    told = [(row.first.choice, row.points, row.b, row.c) for row in found]
    assert told == [
        (SINGLE_PASS, 100, 40, 0),
        (SEARCH, -50, 0, 20),
        (voted(4), 0, 0, 0),
        (best_of(4), 0, 0, 0),
    ]
    for row in found:
        assert (row.first.model, row.second.model) == ("tuned", "base")
        assert row.first.label == row.second.label
    assert found[1].p == pytest.approx(2 / 2**20)


@pytest.mark.parametrize(
    ("choice", "reasoner", "settings", "words"),
    [
        (SINGLE_PASS, "cot", {"max_tokens": 9}, "single pass"),
        (SAMPLE, "cot", {"n": 4}, "one sample (mean)"),
        (voted(32), "cot", {"n": 32}, "self-consistency@32"),
        (best_of(32), "cot", {"n": 32}, "best of 32 by likelihood"),
        (oracle(32), "cot", {"n": 32}, "oracle@32 (the verifier picks: upper bound)"),
        (SEARCH, "tot", {}, "{tot}"),
        (SEARCH, "tot", {"beam": 2}, "{tot} (beam 2)"),
        (
            HELPED,
            "tot",
            {"oracle": True},
            "{tot} (oracle True), the verifier picks and stops it (upper bound)",
        ),
        (ORACLE, "tot", {}, "{tot}: oracle over its paths (the verifier picks: upper bound)"),
        (SOLVER, "dfs", {"paths": 4}, "{dfs}"),
        (CHANCE, "random", {}, "{random} (floor)"),
        (SEARCH, "of_another_package", {}, "of_another_package"),
    ],
)
def test_a_way_of_answering_has_its_words_and_a_bound_is_named_as_one(
    choice, reasoner, settings, words
):
    titles = {name: title_of(name) for name in ("tot", "dfs", "random")}
    assert name_of(choice, title_of(reasoner), settings) == words.format(**titles)


def attempt(problem: Problem, text: str) -> Attempt:
    return attempt_of(TASK, problem, text, tokens=5, logprob=-1.0)


def test_samples_of_one_call_share_the_reading_of_the_prompt_and_of_many_calls_do_not():
    drawn = TASK.problems("test", 2, 1)
    reasoner = get_reasoner("cot", n=4, temperature=1.0)
    choices = {SAMPLE: None, voted(4): 0}
    solutions = [
        Solution(p, [attempt(p, "1+1=2")] * 4, choices, [Node(None, tokens=20)]) for p in drawn
    ]
    facts = {"model": "base", "reasoner": reasoner, "split": "test", "seed": 0, "seconds": 8.0}
    alone = Alone(2, 0.5, 0.4, 0.6)
    for calls, read in ((1, 300.0), (2, 75.0)):
        found = record(solutions, TASK, **facts, calls=calls, tokens_in=600, alone=alone)
        sample, vote = found.of("sample"), found.of("self_consistency")
        assert sample.cost == Cost(tokens=5.0, tokens_in=read, seconds=1.0, alone=None)
        # what votes has read and written all there was
        assert vote.cost == Cost(tokens=20.0, tokens_in=300.0, seconds=4.0, alone=0.5)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("3+4=7,5,6\n5+7=12,6\n12*6=72\n", (3, 3)),
        ("3+4=7,5,6\n5+7=12,6\n12+6=17\n", (2, 3)),
        ("3+4=7,5,6\n5+8=13,6\n13+6=19\n", (1, 2)),
        ("3+4=8,5,6\n", (0, 1)),
        ("3+4=7,5,6\n", (1, 3)),  # two steps are missing
        ("", (0, 3)),
    ],
)
def test_valid_steps_are_counted_up_to_the_first_bad_one(text, steps):
    problem = TASK.problem({"numbers": [3, 4, 5, 6], "target": 72})
    assert valid_steps(TASK, problem, TASK.parse(problem, text)) == steps


class Forgetful(FakeEngine):
    """Writes down how many calls there were whenever it is cleared."""

    def clear(self) -> None:
        self.cleared = [*getattr(self, "cleared", []), self.usage.calls]


def test_a_problem_asked_alone_profits_from_no_other():
    engine = Forgetful(player(TASK))
    drawn = TASK.problems("test", 3, 1)
    found = one_by_one(get_reasoner("cot"), drawn, TASK, engine, 0)
    assert engine.cleared == [0, 1, 2]
    assert engine.usage.calls == found.n == 3
    assert 0 < found.low <= found.seconds <= found.high


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose base was asked, searches at two budgets as well."""
    folder = tmp_path_factory.mktemp("budgets") / "run"
    folder.mkdir()
    run = Run.prepare(folder, preset(budgets=BUDGETS), False)
    problems.main(run)
    baseline.main(run)
    return run


def preset(**parts):
    sections = [
        {"name": "cot", "n": 1, "max_tokens": 40},
        {"name": "random"},
        {"name": "cot", "n": 3, "temperature": 1.0, "max_tokens": 40},
        {"name": "tot", "beam": 1, "samples": 1, "votes": 1, "problems": 6},
        {"name": "rap", "iterations": 1, "votes": 1, "problems": 4},
        {"name": "tot", "beam": 1, "samples": 1, "votes": 1, "oracle": True, "problems": 2},
    ]
    data = copy.deepcopy(SMALL) | {"evaluation": sections} | parts
    data["problems"] = {"train": 10, "validation": 4, "test": 9}
    return parse(data, "test")


def told(run: Run, folder: Path | None = None) -> dict[str, Record]:
    files = sorted((folder or run.at.evaluation("base")).glob("*.test.json"))
    return {one.label: one for one in map(read_record, files)}


@pytest.mark.slow
def test_a_record_tells_task_tokens_and_the_time_of_a_problem_alone(run):
    records = told(run)
    assert len(records) == 6
    for label, found in records.items():
        assert (found.schema, found.task) == (3, "countdown")
        assert found.tokens_out == sum(found.spent)
        if label == "random":
            assert found.alone is None
            assert found.tokens_in == found.tokens_out == found.calls == 0
            continue
        assert found.alone.n == min(8, found.n)
        assert 0 < found.alone.low <= found.alone.seconds <= found.alone.high
        assert found.tokens_in > found.n
        for each in found.scored:
            sampled = each.choice.kind == "sample"
            assert each.cost.alone == (None if sampled else found.alone.seconds)
            if not sampled:
                assert each.cost.tokens_in == found.tokens_in / found.n
                assert each.cost.tokens == found.tokens_out / found.n
    sampled = next(one for one in records.values() if one.of("sample"))
    sample, vote = sampled.of("sample").cost, sampled.of("self_consistency").cost
    assert sample.tokens == pytest.approx(vote.tokens / 3)
    # three samples were drawn in one call, which reads the prompt once; so does one alone
    assert sample.tokens_in == vote.tokens_in


def test_searches_are_asked_at_each_budget_on_the_first_problems(run):
    records, limited = told(run), told(run, run.at.budgets("base"))
    assert {(r.reasoner, r.budget, r.n) for r in limited.values()} == {
        ("tot", 40, 5),
        ("tot", 100_000, 5),
        ("rap", 40, 4),
        ("rap", 100_000, 4),
    }
    for label, found in limited.items():
        assert 0 < min(found.spent) <= max(found.spent) <= found.budget
        assert found.alone is None
        whole = records[label.replace(f" budget={found.budget}", "")]
        if found.budget == 100_000:  # one that is never reached changes nothing
            assert found.spent == whole.spent[: found.n]
            assert whole.of("search").solved.startswith(found.of("search").solved)
    # what was asked at a budget is no answer of the run's table
    assert {r.label for r in results.records(run.at)} == set(records)
    found = curve(records.values(), limited.values(), BUDGETS["tokens"])
    assert {p.rate.n for p in found} == {4}
    trees = title_of("tot"), title_of("rap")
    assert {p.answer for p in found} == {"single pass", "self-consistency", BEST, *trees}
    assert {p.budget for p in found if p.answer == title_of("rap")} == {40, 100_000, None}


@pytest.mark.slow
def test_what_was_asked_is_kept_and_only_the_missing_is_asked_again(run, capfd):
    folder = run.at.evaluation("base")
    files = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}
    gone = next(file for file in files if "rap" in file.name and "budget-40" in file.name)
    before = read_record(gone)
    gone.unlink()
    baseline.main(run)
    assert {f for f in files if f.stat().st_mtime_ns != files[f]} == {gone}
    again, timeless = read_record(gone), {"seconds": 0.0, "scored": ()}
    assert replace(again, **timeless) == replace(before, **timeless)
    assert [each.solved for each in again.scored] == [each.solved for each in before.scored]
    warned = [line.split(": only") for line in capfd.readouterr().err.splitlines()]
    assert [words[-1] for words in warned[:4]] == [
        f" {n} test problems: with fewer than 30, nothing can be concluded" for n in (2, 4, 5, 6)
    ]
    assert warned[1][0] == (
        "  rap votes=1 iterations=1, rap budget=40 votes=1 iterations=1, "
        "rap budget=100000 votes=1 iterations=1"
    )


def test_other_budgets_run_only_the_evaluations_again(tmp_path: Path):
    one, two = (
        Run(tmp_path, Manifest(preset(budgets=b).model_dump(mode="json"), {}))
        for b in (BUDGETS, {"tokens": [80]})
    )
    again = [s.name for s in STAGES if one.input_hash(s.parts, ()) != two.input_hash(s.parts, ())]
    assert again == ["baseline", "evaluate"]


@pytest.mark.parametrize("n", [1, 3, 7, 24, 61, 200])
def test_an_interval_holds_the_rate_itself_at_both_ends(n):
    """Rounding once left 1 outside its own interval, and a picture cannot draw that."""
    for k in (0, n):
        low, high = wilson(k, n)
        assert low <= k / n <= high
        low, high = mean_interval([float(bool(k))] * n)
        assert low <= k / n <= high

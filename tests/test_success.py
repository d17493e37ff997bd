"""What a record tells of success and its cost, and answers compared at equal token budgets."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltf_lite.evaluation import same_reasoner, wilson
from ltf_lite.evaluation.budget import curve
from ltf_lite.evaluation.success import mean_interval, too_few
from ltf_lite.files import read_json
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.stages import baseline, problems
from ltf_lite.pipeline.stages.evaluate import one_by_one
from ltf_lite.pipeline.train import STAGES
from ltf_lite.presets import parse
from ltf_lite.reasoners import get_reasoner
from ltf_lite.report import results
from ltf_lite.tasks import get_task
from tests.conftest import SMALL
from tests.fake_engine import FakeEngine, player

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
BUDGETS = {"tokens": [40, 100_000], "problems": 5}


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


def asked(model: str, name: str, rates: dict, marks: dict, spent: list[int], **settings) -> dict:
    """A record of problems 0, 1, 2, …"""
    label = " ".join([name, *(f"{k}={v}" for k, v in settings.items())])
    return {
        "model": model, "label": label, "settings": settings, "rates": rates, "solved": marks,
        "spent": spent, "problems": [{"target": k} for k in range(len(spent))],
    }  # fmt: skip


def single(model: str, marks: str, tokens: int = 10) -> dict:
    return asked(model, "cot", {"greedy": {}}, {"greedy": marks}, [tokens] * len(marks), n=1)


def search(model: str, name: str, marks: str, tokens: int, **settings) -> dict:
    spent = [tokens] * len(marks)
    return asked(model, name, {name: {}, "oracle": {}}, {name: marks}, spent, **settings)


def samples(model: str, told: list[str], **settings) -> dict:
    """Of each problem its samples, as answers; "R" is right, "-" no path; the first is likeliest.

    Each has 10 tokens.
    """
    n = len(told[0])
    record = asked(model, "cot", {"sample": {}}, {}, [10 * n] * len(told), n=n, **settings)
    paths = [
        {"problem": {"target": k}, "tokens": 10, "logprob": -1.0 - i,
         "answer": None if answer == "-" else answer, "correct": answer == "R"}
        for k, row in enumerate(told) for i, answer in enumerate(row)
    ]  # fmt: skip
    return {**record, "pass_at": {"1": {}}, "paths": paths}


def points(found: list[dict], answer: str, model: str = "base") -> list[tuple]:
    return [
        (p["samples"], p["budget"], p["tokens"], p["rate"])
        for p in found
        if (p["answer"], p["model"]) == (answer, model)
    ]


def test_the_curve_of_samples_by_hand():
    found = curve([samples("base", ["RaaR", "-RRb"])], [], [25, 40, 60])
    # k = 1: halves. k = 2, blocks Ra, aR and -R, Rb: a tie of votes goes to the likelier, and what
    # is no path has no vote. k = 3, one block: Raa is voted a, -RR is voted R. k = 4: a tie, R.
    assert points(found, "self-consistency") == [
        (1, None, 10, 0.5), (2, 25, 20, 0.75), (4, 40, 40, 1.0)
    ]  # fmt: skip
    # the likeliest of a block is its first: R, a; -, R; of all four R and -
    assert points(found, "best of n") == [
        (1, None, 10, 0.5), (2, 25, 20, 0.5), (4, 40, 40, 0.5)
    ]  # fmt: skip
    # nobody drew six samples: a budget of 60 tokens has no point
    found = curve([samples("base", ["RaaR", "-RRb"])], [], [35])
    assert points(found, "self-consistency")[2:] == [(3, 35, 30, 0.5), (4, None, 40, 1.0)]
    assert {p["n"] for p in found} == {2}
    voted = next(p for p in found if p["samples"] == 2)
    assert (voted["low"], voted["high"]) == mean_interval([0.5, 1.0])


def test_the_curve_puts_all_answers_on_the_same_problems():
    records = [
        single("base", "100100", 12), single("tuned", "111000"),
        search("base", "tot", "111111", 500), search("tuned", "tot", "011000", 400),
        search("base", "rap", "000000", 300, oracle=True, budget=99),
        samples("base", ["RR", "aa", "bb", "RR", "RR", "RR"]),
        {**single("none", "111111"), "label": "dfs"},
    ]  # fmt: skip
    budgets = [
        search("base", "tot", "100", 40, budget=50), search("base", "tot", "110", 90, budget=100),
        search("tuned", "tot", "010", 45, budget=50), search("tuned", "tot", "1", 7, budget=7),
    ]  # fmt: skip
    found = curve(records, budgets, [100, 50])
    assert {p["n"] for p in found} == {3}
    assert points(found, "single pass") == [(None, None, 12, 1 / 3)]
    assert points(found, "single pass", "tuned") == [(None, None, 10, 1.0)]
    assert points(found, "tree of thoughts") == [
        (None, 50, 40, 1 / 3), (None, 100, 90, 2 / 3), (None, None, 500, 1.0)
    ]  # fmt: skip
    assert points(found, "tree of thoughts", "tuned") == [
        (None, 50, 45, 1 / 3), (None, None, 400, 2 / 3)
    ]  # fmt: skip
    assert points(found, "best of n") == [(1, None, 10, 1 / 3), (2, None, 20, 1 / 3)]
    first = next(p for p in found if p["answer"] == "single pass")
    assert (first["low"], first["high"]) == wilson(1, 3)
    assert {p["answer"] for p in found} == {
        "single pass", "self-consistency", "best of n", "tree of thoughts"
    }  # fmt: skip
    assert curve([], [], [9]) == curve(records[-1:], [], [9]) == []


def test_two_reasoners_of_a_kind_are_told_apart_by_their_settings():
    budgets = [search("base", "tot", "10", 40, beam=b, budget=50) for b in (2, 5)]
    found = curve([single("base", "10")], budgets, [50])
    assert [p["answer"] for p in found] == [
        "single pass", "tree of thoughts (beam=2)", "tree of thoughts (beam=5)"
    ]  # fmt: skip


def test_every_reasoner_is_compared_with_itself():
    right, wrong = "1" * 40, "0" * 40
    both = {"self-consistency@4": right, "best-of-n@4": wrong, "oracle@4": right}
    records = [
        single("base", wrong), single("tuned", right), single("tuned q8_0", right),
        search("base", "tot", right, 9), search("tuned", "tot", "0011" * 10, 9),
        search("tuned", "rap", right, 9),
        asked("base", "cot", {}, both, [1] * 40, n=4),
        asked("tuned", "cot", {}, both, [1] * 40, n=4),
    ]  # fmt: skip
    found = same_reasoner(records)
    told = [(row["first"]["choice"], row["points"], row["b"], row["c"]) for row in found]
    assert told == [
        ("greedy", 100, 40, 0), ("tot", -50, 0, 20),
        ("self-consistency@4", 0, 0, 0), ("best-of-n@4", 0, 0, 0),
    ]  # fmt: skip
    for row in found:
        assert (row["first"]["model"], row["second"]["model"]) == ("tuned", "base")
        assert row["first"]["label"] == row["second"]["label"]
    assert found[1]["p"] == pytest.approx(2 / 2**20)


class Forgetful(FakeEngine):
    """Writes down how many calls there were whenever it is cleared."""

    def clear(self) -> None:
        self.cleared = [*getattr(self, "cleared", []), self.usage.calls]


def test_a_problem_asked_alone_profits_from_no_other():
    engine = Forgetful(player(TASK))
    drawn = TASK.problems("test", 3, 1)
    found = one_by_one(get_reasoner("cot"), drawn, TASK, engine, 0)
    assert engine.cleared == [0, 1, 2]
    assert engine.usage.calls == found["n"] == 3
    assert 0 < found["low"] <= found["seconds"] <= found["high"]


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


def told(run: Run, folder: str = "") -> dict[str, dict]:
    files = sorted((run.folder / "evaluation" / "base" / folder).glob("*.test.json"))
    return {record["label"]: record for record in map(read_json, files)}


def test_a_record_tells_task_tokens_and_the_time_of_a_problem_alone(run):
    records = told(run)
    assert len(records) == 6
    for label, record in records.items():
        assert (record["schema"], record["task"]) == (2, "countdown")
        assert record["tokens_out"] == sum(record["spent"])
        if label == "random":
            assert record["alone"] is None
            assert record["tokens_in"] == record["tokens_out"] == record["calls"] == 0
            continue
        alone = record["alone"]
        assert alone["n"] == min(8, record["n"])
        assert 0 < alone["low"] <= alone["seconds"] <= alone["high"]
        assert record["tokens_in"] > record["n"]
        for choice, rate in record["rates"].items():
            assert rate["alone"] == (None if choice == "sample" else alone["seconds"])
            if choice != "sample":
                assert rate["tokens_in"] == record["tokens_in"] / record["n"]
                assert rate["tokens"] == record["tokens_out"] / record["n"]
    sampled = next(r for r in records.values() if "sample" in r["rates"])
    sample, vote = sampled["rates"]["sample"], sampled["rates"]["self-consistency@3"]
    assert sample["tokens"] == pytest.approx(vote["tokens"] / 3)
    # three samples were drawn in one call, which reads the prompt once; so does one alone
    assert sample["tokens_in"] == vote["tokens_in"]


def test_searches_are_asked_at_each_budget_on_the_first_problems(run):
    records, limited = told(run), told(run, "budgets")
    assert {(r["reasoner"], r["settings"]["budget"], r["n"]) for r in limited.values()} == {
        ("tot", 40, 5), ("tot", 100_000, 5), ("rap", 40, 4), ("rap", 100_000, 4)
    }  # fmt: skip
    for label, record in limited.items():
        budget, name = record["settings"]["budget"], record["reasoner"]
        assert 0 < min(record["spent"]) <= max(record["spent"]) <= budget
        assert record["alone"] is None
        whole = records[label.replace(f" budget={budget}", "")]
        if budget == 100_000:  # one that is never reached changes nothing
            assert record["spent"] == whole["spent"][: record["n"]]
            assert whole["solved"][name].startswith(record["solved"][name])
    # what was asked at a budget is no answer of the run's table
    assert {r["label"] for r in results.records(run.folder)} == set(records)
    found = curve(records.values(), limited.values(), BUDGETS["tokens"])
    assert {p["n"] for p in found} == {4}
    assert {p["answer"] for p in found} == {
        "single pass", "self-consistency", "best of n", "tree of thoughts", "RAP"
    }  # fmt: skip
    assert {p["budget"] for p in found if p["answer"] == "RAP"} == {40, 100_000, None}


def test_what_was_asked_is_kept_and_only_the_missing_is_asked_again(run, capfd):
    folder = run.folder / "evaluation" / "base"
    files = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}
    gone = next(file for file in files if "rap" in file.name and "budget-40" in file.name)
    before = read_json(gone)
    gone.unlink()
    baseline.main(run)
    assert {f for f in files if f.stat().st_mtime_ns != files[f]} == {gone}
    timed = ("seconds", "rates")
    assert [v for k, v in read_json(gone).items() if k not in timed] == [
        v for k, v in before.items() if k not in timed
    ]
    warned = [line.split(": only") for line in capfd.readouterr().err.splitlines()]
    assert [words[-1] for words in warned[:4]] == [
        f" {n} test problems: with fewer than 30, nothing can be concluded" for n in (2, 4, 5, 6)
    ]
    assert warned[1][0] == (
        "  rap votes=1 iterations=1, rap votes=1 budget=40 iterations=1, "
        "rap votes=1 budget=100000 iterations=1"
    )


def test_other_budgets_run_only_the_evaluations_again(tmp_path: Path):
    one, two = (
        Run(tmp_path, {"preset": preset(budgets=b).model_dump(mode="json"), "stages": {}})
        for b in (BUDGETS, {"tokens": [80]})
    )
    again = [s.name for s in STAGES if one.input_hash(s.parts, ()) != two.input_hash(s.parts, ())]
    assert again == ["baseline", "evaluate"]

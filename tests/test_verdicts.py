"""What the app says a run came to: in boxes, and over every picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web import batch, first, sections, verdicts
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.examples import examples_for
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import speaker
from ltf_lite.core.manifest import Card, Manifest, StageEntry
from ltf_lite.evaluation.compare import Difference, Side
from ltf_lite.evaluation.types import single_pass_of
from ltf_lite.pipeline import Run
from ltf_lite.reasoners.choice import SINGLE_PASS
from ltf_lite.report.outcome import busy
from ltf_lite.report.results import records

SAY = speaker("en")
RAW = re.compile(r"\b(cot n=|cot max_tokens|max_tokens=|tot\b|beam=)")


def pair(points: float, p: float, n: int = 200) -> Difference:
    sides = (Side(model, "cot", "cot", {}, SINGLE_PASS, 0.5) for model in ("tuned", "base"))
    return Difference(*sides, n, points, points - 5, points + 5, 10, 5, p)


@pytest.mark.parametrize(
    ("found", "of_single", "of_search"),
    [
        (pair(30, 0.001), "Better than before by 30.0 points [25.0 to 35.0].",
         "Solves no more: 30.0 points below the trained model [25.0 to 35.0]."),
        (pair(-30, 0.001), "Worse than before by 30.0 points [25.0 to 35.0].",
         "Still solves more: 30.0 points above the trained model [25.0 to 35.0]."),
        (pair(2, 0.4), "Not told apart from before: 2.0 points [-3.0 to 7.0].",
         "Not shown to solve more: a difference of -2.0 points [-7.0 to 3.0]."),
        (pair(30, 0.001, 12), "Only 12 problems: too few to conclude anything.",
         "Only 12 problems: too few to conclude anything."),
    ],
)  # fmt: skip
def test_a_difference_in_a_sentence(found, of_single, of_search):
    assert first.verdict(found, "first", SAY) == of_single
    assert first.verdict(found, "search", SAY) == of_search


def test_a_difference_that_chance_explains_is_neither_better_nor_worse():
    assert [verdicts.look_of(each) for each in (pair(9, 0.01), pair(-9, 0.01), pair(9, 0.2))] == [
        "better", "worse", "same",
    ]  # fmt: skip
    assert verdicts.look_of(pair(30, 0.001, 12)) == "same"


def test_a_batch_tells_which_solves_more_where_that_can_be_told():
    right, wrong = [True] * 40, [False] * 40
    found = verdicts.of_marks(right, wrong, SAY)
    assert found.look == "better"
    assert found.text.startswith("Solves no more: 100.0 points below")
    assert verdicts.of_marks(wrong, right, SAY).look == "worse"
    assert verdicts.of_marks(right, right, SAY).look == "same"
    assert "too few" in verdicts.of_marks(right[:9], wrong[:9], SAY).text
    assert batch._marks([0, 1, 1, 2]) == [False, True, False, True]


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.slow
def test_every_picture_of_a_run_has_its_verdict_and_no_raw_name(small_run: Path, language):
    say, run = speaker(language), Run.load(small_run)
    judged = verdicts.of_run(run, say)
    shown = {each.name: each for each in sections.of_run(run, say)}
    pictured = {name for name, each in shown.items() if each.pictures}
    assert pictured <= set(judged)
    for name in pictured:
        html = sections.html(shown[name], say, judged[name])
        assert judged[name] in html
        seen = re.sub(r"<style.*?</style>|<details.*?</details>|<[^>]*>", " ", html, flags=re.S)
        assert not RAW.search(seen), RAW.search(seen)


def test_the_examples_of_a_run_are_mostly_solved_by_its_model(small_run: Path):
    desk = Desk(Shelf(small_run.parent), Pool(), SAY)
    model = desk.shelf.of_run(small_run.name)
    tuned = single_pass_of(records(Run.load(small_run).at), "tuned")
    solved = dict(zip((p.id for p in tuned.problems), tuned.single_pass.solved, strict=True))
    own = [solved[problem.id] for _, problem in examples_for(desk, model) if problem.id in solved]
    most = min(3, tuned.single_pass.solved.count("1"))
    assert own.count("1") == most
    assert own.count("0") == 1


def test_without_a_run_it_is_said_and_the_shipped_copy_can_be_compared(tmp_path):
    desk = Desk(Shelf(tmp_path), Pool(), SAY)
    tuned, base = desk.shelf.first()
    assert (tuned.name, base.name) == ("tiny-tuned", "tiny-base")
    html = first.boxes(desk, tuned.name)
    assert "No trained model yet" in html
    assert "compare a small example model" in html


def test_a_busy_machine_is_told():
    stages = {
        name: StageEntry(seconds=10.0, cpu_seconds=seconds)
        for name, seconds in (("baseline", 3.0), ("evaluate", 5.0), ("tune", 90.0))
    }
    assert busy(Manifest({}, stages)) == 0.4
    assert busy(Manifest({}, stages, cards=(Card("some card", 1),))) is None
    quiet = {"baseline": StageEntry(seconds=10.0, cpu_seconds=19.0)}
    assert busy(Manifest({}, quiet)) is None
    assert busy(Manifest({}, {"baseline": StageEntry(seconds=10.0)})) is None  # nobody counted


def test_a_run_counts_the_seconds_of_its_processes(small_run: Path):
    stages = Run.load(small_run).manifest.stages
    assert all(stage.cpu_seconds and stage.cpu_seconds > 0.1 for stage in stages.values())


def test_a_short_form_is_on_the_list_with_what_it_takes(desk):
    from ltf_lite.app.web import train

    assert "four minutes" in train._needs(desk)("tiny-quick")
    assert "14 minutes" in train._needs(desk)("tiny")

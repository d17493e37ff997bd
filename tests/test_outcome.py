"""What a run comes to as one picture: its verdict in words, its numbers, when training pays."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ltf_lite.app.web import first
from ltf_lite.app.web.words import LANGUAGES, speaker
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.text import escape
from ltf_lite.evaluation.types import Result, read_record, write_record
from ltf_lite.pipeline import Run
from ltf_lite.report.figures.drawing import WIDTH, as_svg, columns, wrapped
from ltf_lite.report.figures.outcome import COLUMNS, outcome_figure
from ltf_lite.report.outcome import Outcome, outcome, sentence
from ltf_lite.report.sections import sections
from tests.records import SEARCH, SINGLE_PASS, result, voted
from tests.test_cost import difference
from tests.test_figures import texts

STAGES = {
    "search": StageEntry(seconds=600.0, status="done"),
    "tune": StageEntry(seconds=3000.0, status="done"),
    "report": StageEntry(seconds=999.0, status="done"),  # costs nobody anything
}


def row(model: str, reasoner: str, choice, rate: float, tokens: float, seconds: float) -> Result:
    low, high = rate - 0.05, rate + 0.05
    made = result(model, reasoner, choice, rate, low=low, high=high, seconds=seconds)
    cost = replace(made.cost, tokens=tokens)
    return replace(made, scored=replace(made.scored, cost=cost))


BASE = row("base", "cot", SINGLE_PASS, 0.18, 27.0, 0.001)
TUNED = row("tuned", "cot", SINGLE_PASS, 0.59, 26.0, 0.001)
TREE = row("base", "tot", SEARCH, 0.57, 1222.0, 0.101)
VOTED = row("base", "cot", voted(8), 0.3, 208.0, 0.01)


def found(search: Result = TREE, tuned: Result = TUNED, *apart) -> Outcome:
    made = outcome(STAGES, [BASE, tuned, VOTED, search], apart)
    assert made is not None
    return made


def said(made: Outcome, language: str = "en") -> str:
    words = speaker(language).picture("figure")
    return " ".join(texts(as_svg(outcome_figure(made, words), "outcome")))


@pytest.mark.parametrize(
    ("apart", "told", "mark"),
    [
        (
            difference("tot", 5, 0.001),
            "solves more than the search before it. It pays from question 36,000",
            "pays from question 36,000",
        ),
        (
            difference("tot", -5, 0.001),
            "Search still solves more",
            "costs less from question 36,000",
        ),
        (difference("tot", 5, 0.3), "these problems can't tell. It costs less from question 36,000",
         "costs less from question 36,000"),
    ],
)  # fmt: skip
def test_the_title_says_which_solves_more_and_from_when_on_it_pays(apart, told, mark):
    made = found(TREE, TUNED, apart)
    assert told in sentence(made)
    drawn = said(made)
    assert mark in drawn
    assert "pays from" not in drawn or apart.points > 0
    for number in ("18.0 %", "59.0 %", "57.0 %", "1,222", "26", "47 times as many", "1 h 00 min"):
        assert number in drawn
    assert {"before: one answer", "after: one answer", "before: tree of thoughts"} <= set(
        texts(as_svg(outcome_figure(made), "outcome"))
    )


def test_the_lines_cross_where_the_report_says_that_training_has_paid():
    made = found(TREE, TUNED, difference("tot", 5, 0.001))
    assert made.paid is not None
    axes = outcome_figure(made).axes[2]
    search, trained, mark = axes.lines
    assert search.get_ydata()[0] == 0
    assert trained.get_ydata()[0] == pytest.approx(1.0)  # hours, of search and tuning
    (x,), (y,) = mark.get_data()
    assert x == pytest.approx(made.paid.questions) == pytest.approx(36_000)
    assert y == pytest.approx(36_000 * 0.101 / 3600)
    middle = [sum(line.get_ydata()) / 2 for line in (search, trained)]  # at half of the axis
    assert middle == pytest.approx([y, y])


def test_a_search_that_costs_no_more_never_pays_and_two_engines_are_not_compared():
    cheap = row("base", "tot", SEARCH, 0.57, 26.0, 0.001)
    assert "never pays by cost" in sentence(found(cheap))
    assert "never pays by cost" in said(found(cheap))
    other = replace(TREE, runtime="llama.cpp")
    assert "is not known" in sentence(found(other))
    drawn = said(found(other))
    assert "their times are not compared" in drawn
    assert "36,000" not in drawn


def test_few_problems_conclude_nothing_and_without_a_search_there_is_no_picture():
    few = replace(TUNED.rate, n=12)
    tuned = replace(TUNED, scored=replace(TUNED.scored, rate=few))
    assert sentence(found(TREE, tuned, difference("tot", 5, 0.001))).startswith("Only 12 problems")
    assert outcome(STAGES, [BASE, TUNED], []) is None
    assert outcome(STAGES, [BASE, TREE], []) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_read_on_a_phone(language):
    """Its letters are 9 pixels there, and no line is wider than the picture."""
    words = speaker(language).picture("figure")
    for apart in ([], [difference("tot", -5, 0.001)]):
        made = found(TREE, TUNED, *apart)
        figure = outcome_figure(made, words)
        assert figure.get_figwidth() == WIDTH
        lines = wrapped(sentence(made, words), COLUMNS).splitlines()
        assert all(columns(line) <= COLUMNS + 2 for line in lines)
        assert "".join(lines).replace(" ", "") == sentence(made, words).replace(" ", "")
        assert " ".join(texts(as_svg(figure, "outcome"))).count("36,000") == 2


def test_every_run_has_it_near_the_top_of_its_report_and_on_the_first_screen(small_run: Path):
    run = Run.load(small_run)
    top = sections(run.at, run.manifest, run.preset)[0]
    assert top.pictures[0].name == "outcome"
    assert (small_run / "report" / "outcome.png").read_bytes().startswith(b"\x89PNG")
    page = (small_run / "report" / "index.html").read_text()
    told = top.pictures[0].says
    assert page.index(f'aria-label="{escape(told)}"') < page.index('id="answers"')
    shown = {}
    for language in LANGUAGES:
        shown[language] = first.picture(run, speaker(language))
        assert re.search(r"<details.*<summary>.*<svg", shown[language], re.S)
    assert "訓練" in shown["ja"]


def test_a_run_of_two_engines_has_a_report_without_a_break_even(small_run: Path, tmp_path: Path):
    heavy = shutil.ignore_patterns("model", "*.gguf", "checkpoints", "adapter")
    copied = shutil.copytree(small_run, tmp_path / "run", ignore=heavy)
    for file in RunFolder(copied).evaluation("base").glob("*.test.json"):
        write_record(file, replace(read_record(file), runtime="another engine"))
    run = Run.load(copied)
    found = sections(run.at, run.manifest, run.preset)
    assert "break_even" not in {section.name for section in found}
    assert "is not known" in found[0].pictures[0].says

"""What a run comes to in a sentence, in the terminal as in the report: no more than is known."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web import runs
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.first import boxes
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import LANGUAGES, speaker
from ltf_lite.core.files import hash_file, write_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import read_manifest, write_manifest
from ltf_lite.core.text import escape
from ltf_lite.evaluation.fallen import parts
from ltf_lite.evaluation.retention import HELDOUT_NLL
from ltf_lite.evaluation.success import rate_of
from ltf_lite.evaluation.types import Ability, read_abilities
from ltf_lite.pipeline import Run, closing
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run import summary
from ltf_lite.pipeline.run.lock import signed
from ltf_lite.reasoners.choice import ORACLE
from ltf_lite.report.outcome import headline_sentence
from ltf_lite.report.results import headline, results
from ltf_lite.report.sections import sections
from ltf_lite.report.tables.differences import differences
from ltf_lite.report.tables.kept import curves_table
from ltf_lite.report.worse import worse_sentences
from tests.records import SEARCH, SINGLE_PASS, result
from tests.test_cost import difference
from tests.test_figures_kept import line
from tests.test_japanese import english

BASE = result("base", "cot", SINGLE_PASS, 0.2)
TUNED = result("tuned", "cot", SINGLE_PASS, 0.5)
TREE = result("base", "tot", SEARCH, 0.55)
OF_SEARCH = "Which of the two solves more, the single pass after tuning or that search"
OF_TUNING = "These problems can't tell the single pass after tuning from the one before."


def against_base(p: float):
    other = difference("cot", 30, p)
    return replace(other, second=replace(other.second, choice=SINGLE_PASS))


@pytest.mark.parametrize(
    ("tuning", "search", "told"),
    [
        (0.001, 0.001, []),
        (0.001, 0.3, [OF_SEARCH]),
        (0.3, 0.001, [OF_TUNING]),
        (0.3, 0.3, [OF_TUNING, OF_SEARCH]),
    ],
)
def test_what_cannot_be_told_apart_is_said(tuning, search, told):
    facts = headline([BASE, TUNED, TREE])
    said = headline_sentence(facts, [against_base(tuning), difference("tot", -5, search)])
    assert [each for each in (OF_TUNING, OF_SEARCH) if each in said] == told
    if told:
        own = speaker("ja").told(said)
        assert "この問題数では" in own
        assert "problems" not in own
        assert "Single pass" not in own


def test_a_lucky_search_of_few_problems_is_not_the_best_of_all():
    lucky = replace(TREE.scored, rate=rate_of(6, 10))
    many = replace(TREE.scored, rate=rate_of(275, 500))
    rows = [replace(TREE, scored=scored) for scored in (lucky, many)]
    found = headline([BASE, TUNED, *rows])
    assert found.search == rows[1]
    said = headline_sentence(found, [])
    assert f" before (n = {TUNED.rate.n}); the base's best search" in said
    assert ", n = 500) 55.0 %" in said


def test_of_what_was_not_compared_nothing_is_said():
    said = headline_sentence(headline([BASE, TUNED, TREE]), [])
    assert "can't tell" not in said


def test_the_terminal_says_the_sentence_of_the_report(small_run):
    run = Run.load(small_run)
    top = headline(results(run.at))
    said = headline_sentence(top, differences(run.at).single)
    assert said in closing(run).splitlines()
    assert sections(run.at, run.manifest, run.preset)[0].text.startswith(said)
    assert "can't tell" in said  # 40 problems and 30 steps of tuning tell little


def test_what_fell_by_training_is_said_in_the_terminal_the_report_and_the_box(small_run, tmp_path):
    heavy = shutil.ignore_patterns("model", "checkpoints", "adapter", "harvest")
    folder = shutil.copytree(small_run, tmp_path / "runs" / "worse", ignore=heavy)
    file = RunFolder(folder).elsewhere("base")
    before = read_abilities(file)
    write_as(file, replace(before, abilities=tuple(map(better, before.abilities))))
    manifest = read_manifest(folder)
    manifest.stages["baseline"].files[str(file.relative_to(folder))] = hash_file(file)
    write_manifest(folder, manifest)
    run = Run.load(folder)
    said = worse_sentences(run.at)
    assert "Training made the model worse at other text (its NLL is " in said
    assert "Training made the single pass on the sibling task worse (-" in said
    assert said in closing(run).splitlines()
    assert said in sections(run.at, run.manifest, run.preset)[0].text
    for language in LANGUAGES:
        desk = Desk(Shelf(tmp_path / "runs"), Pool(), speaker(language))
        own = speaker(language).told(said)
        assert escape(own) in boxes(desk, "worse/small.q8_0.gguf")
        assert language == "en" or not english(own)


def better(one: Ability) -> Ability:
    """The same ability of a model that can do much more."""
    if one.kind != HELDOUT_NLL:
        return replace(one, solved="1" * one.n, value=1.0, each=())
    each = tuple((above / 5, below) for above, below in parts(one.each))
    return replace(one, value=one.value / 5, each=each)


def test_where_nothing_fell_nothing_is_said(small_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run / "evaluation" / "base", folder / "evaluation" / "base")
    at = RunFolder(folder)
    assert worse_sentences(at) == ""  # the tuned model was not measured yet
    write_as(at.elsewhere("tuned"), read_abilities(at.elsewhere("base")))
    assert worse_sentences(at) == ""


def test_few_problems_are_told_in_the_terminal_too(small_run, monkeypatch):
    run = Run.load(small_run)
    assert "nothing can be concluded" not in closing(run)
    few = headline([BASE, replace(TUNED, scored=replace(TUNED.scored, rate=replace(
        TUNED.scored.rate, n=12)))])  # fmt: skip
    assert "can't tell" not in headline_sentence(few, [against_base(0.3)])
    monkeypatch.setattr(summary, "headline", lambda _: few)
    assert "TOO FEW: only 12 test problems: with fewer than 30" in closing(run)


def test_an_upper_bound_that_a_search_reaches_is_no_row_of_its_own(small_run):
    """In the terminal: the report has it."""
    reached = result("base", "tot", ORACLE, 0.55)
    assert len(summary._lines([TREE, reached])) == 1
    assert len(summary._lines([TREE, result("base", "tot", ORACLE, 0.6)])) == 2
    assert len(summary._lines([reached])) == 1


def test_a_run_that_forgets_nothing_has_no_column_of_it():
    plain = [replace(line(step, 0.5), forgetting=0.0) for step in (1, 2)]
    assert "forgetting" not in curves_table(plain, None).head
    assert "forgetting" in curves_table([*plain, line(3, 0.5)], None).head


def unfinished(small_run, place, name: str, *stages: str):
    """A copy of the run in which these stages wait."""
    heavy = shutil.ignore_patterns("model", "checkpoints", "adapter", "harvest")
    folder = shutil.copytree(small_run, place / name, ignore=heavy)
    manifest = read_manifest(folder)
    for stage in stages:
        manifest.stages[stage].status = "waiting"
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_that_has_results_and_is_not_done_says_so(small_run, tmp_path, language):
    say = speaker(language)
    folder = unfinished(small_run, tmp_path, "late", "export", "report")
    desk = Desk(Shelf(tmp_path), Pool(), say)
    shown = boxes(desk, "late/small.q8_0.gguf")
    title = say.known("stage.export", "export GGUF and prove parity")
    assert escape(say("first.not_finished", stage=title)) in shown
    with signed(folder):
        assert escape(say("first.finishing", stage=title)) in boxes(desk, "late/small.q8_0.gguf")
    unfinished(small_run, tmp_path, "whole")
    assert "ltf-remark" not in boxes(desk, "whole/small.q8_0.gguf")


def test_the_tabs_open_on_the_newest_run_that_has_something_to_show(small_run, tmp_path):
    os.utime(unfinished(small_run, tmp_path, "full") / "manifest.json", (1, 1))
    unfinished(small_run, tmp_path, "stopped", *(stage.name for stage in STAGES))
    shelf = Shelf(tmp_path)
    assert next(iter(shelf.run_folders())) == "stopped"
    assert shelf.newest("evaluate") == "full"
    assert runs._show(Desk(shelf, Pool(), speaker("en")))("")[0]["value"] == "full"
    shutil.rmtree(tmp_path / "full")
    assert shelf.newest("evaluate") == "stopped"

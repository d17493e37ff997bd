"""The report of a run: one page that needs nothing else, each of its numbers in results.csv."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ltf_lite.core.files import ForeignFile, read_as, write_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest, read_manifest, write_manifest
from ltf_lite.evaluation.retention import SINGLE_PASS
from ltf_lite.evaluation.success import wilson
from ltf_lite.evaluation.types import (
    Abilities,
    Ability,
    AskedPath,
    Rate,
    read_record,
    write_record,
)
from ltf_lite.harvest.store import read
from ltf_lite.pipeline import Run, closing
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.stages.report import main
from ltf_lite.report.kinds import kinds_of, ordered
from ltf_lite.report.paths import EACH, failed_paths, side_by_side
from ltf_lite.report.results import records
from ltf_lite.report.sections import sections
from ltf_lite.report.tables import base as tables
from ltf_lite.report.tables.kept import checkpoints_table, forgetting_sentence, splits_table
from ltf_lite.report.tables.kinds import kinds_change_table, kinds_table
from ltf_lite.tasks import get_task
from ltf_lite.tuning.types import LogLine, TuningResult, Validation
from tests.conftest import ltf, one_sentence
from tests.records import record

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
HEAVY = ("model", "*.gguf", "checkpoints", "adapter")  # nothing of it is in a report
SINGLE = "cot-max-tokens-40.test.json"


class Page(HTMLParser):
    """What a page says outside of its pictures, its table cells, its tags and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.said: list[str] = []
        self.cells: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("svg", "style"):
            self.inside.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.said.append(data)
            if self.cells and data.strip() and self.lasttag == "td":
                self.cells[-1] += data

    @property
    def sections(self) -> set[str | None]:
        return {attrs.get("id") for tag, attrs in self.tags if tag == "section"}


def page_of(run: Path) -> Page:
    return Page((run / "report" / "index.html").read_text(encoding="utf-8"))


def lines_of(run: Path) -> list[dict[str, str]]:
    with open(run / "report" / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def copied(small_run: Path, tmp_path: Path) -> Path:
    """What the report reads of a finished run, to be changed."""
    return Path(shutil.copytree(small_run, tmp_path / "run", ignore=shutil.ignore_patterns(*HEAVY)))


def written(run: Path) -> Page:
    main(Run.load(run))
    return page_of(run)


def change(run: Path, how: Callable[[Manifest], Any]) -> None:
    """Change the manifest of a run."""
    manifest = read_manifest(run)
    how(manifest)
    write_manifest(run, manifest)


def single_file(run: Path, model: str) -> Path:
    """The record of a model's single pass."""
    return RunFolder(run).evaluation(model) / f"{model}-{SINGLE}"


def test_every_number_on_the_page_is_in_the_csv(small_run):
    page, lines = page_of(small_run), lines_of(small_run)
    told = {
        number
        for line in lines
        for text in (line["shown"], line["column"])
        for number in NUMBER.findall(text)
    }
    said = set(NUMBER.findall(" ".join(page.said)))
    assert len(said) > 200
    assert not said - told
    shown = {line["shown"] for line in lines}
    assert len(page.cells) > 300
    assert not set(page.cells) - shown


def test_the_csv_has_the_values_that_were_recorded(small_run):
    found = read_record(single_file(small_run, "tuned"))
    lines = [line for line in lines_of(small_run) if line["table"] == "success"]
    by_row: dict[str, dict[str, dict[str, str]]] = {}
    for line in lines:
        by_row.setdefault(line["row"], {})[line["column"]] = line
    row = next(
        r
        for r in by_row.values()
        if r.get("model", {}).get("value") == "tuned" and r["answer"]["value"] == "single pass"
    )
    single, solved = found.single_pass, row["solved [95 %]"]
    rate = single.rate
    assert [float(solved[key]) for key in ("value", "low", "high")] == [
        rate.rate,
        rate.low,
        rate.high,
    ]
    assert solved["shown"].startswith(f"{100 * rate.rate:.1f} % [")
    assert float(row["tokens in"]["value"]) == single.cost.tokens_in > 10
    assert float(row["ms alone"]["value"]) == single.cost.alone > 0
    assert float(row["calls"]["value"]) == found.calls
    answers = {row["answer"]["value"] for row in by_row.values() if "answer" in row}
    assert {
        "oracle@4 (the verifier picks: upper bound)",
        "random legal steps (floor)",
        "tree of thoughts (beam 2)",
    } <= answers


def test_every_split_has_its_interval(small_run):
    lines = lines_of(small_run)
    rows: dict[str, list[dict[str, str]]] = {"searched": [], "curves": []}
    for line in lines:
        if line["table"] in rows and line["column"].endswith("[95 %]"):
            rows[line["table"]].append(line)
    searched = [(float(r["value"]), float(r["low"]), float(r["high"])) for r in rows["searched"]]
    asked = [r["value"] for r in lines if (r["table"], r["column"]) == ("searched", "problems")]
    assert asked == ["60", "60", "40", "600", "20"]
    assert searched[3] == (1.0, *wilson(600, 600))  # exact search solves all
    harvested = read(RunFolder(small_run).harvest)
    harvest = {(row.label, row.problem.id) for row in harvested if row.correct}
    first = sum(name == "cot max_tokens=40" for name, _ in harvest)  # nobody was before it
    assert round(60 * searched[0][0]) == first > 0
    assert all(low <= value <= high for value, low, high in searched)
    for line in rows["curves"]:
        right = round(20 * float(line["value"]))
        assert (float(line["low"]), float(line["high"])) == pytest.approx(wilson(right, 20))
    assert len(rows["curves"]) == 3


def test_new_problems_and_new_targets_are_told_apart(small_run):
    lines = [line for line in lines_of(small_run) if line["table"] == "splits"]
    rates = {(line["row"], line["column"]): line for line in lines if line["low"]}
    folder = RunFolder(small_run)
    (base,) = (
        a for a in read_as(folder.base_abilities, Abilities).abilities if a.name == SINGLE_PASS
    )
    tuned = read_as(folder.tuning_result, TuningResult).validation
    assert float(rates["1", "base"]["value"]) == base.value
    assert float(rates["1", "tuned"]["value"]) == tuned.success
    for name in ("base", "tuned"):
        found = read_record(single_file(small_run, name)).single_pass.rate
        assert [float(rates["2", name][key]) for key in ("value", "low")] == [found.rate, found.low]
    told = next(
        line["value"] for line in lines if (line["row"], line["column"]) == ("2", "problems")
    )
    assert TASK.test_apart in told
    assert splits_table(read_as(folder.base_abilities, Abilities), tuned, {}, "") is None


def test_the_page_needs_nothing_else(small_run):
    page = page_of(small_run)
    text = (small_run / "report" / "index.html").read_text(encoding="utf-8")
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attrs.get(name) or "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert targets <= {f"#{name}" for name in page.sections}
    for name in ("headline", "curves", "kinds", "kinds_change"):
        png = small_run / "report" / f"{name}.png"
        assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_what_a_model_or_a_preset_wrote_is_text(copied):
    for model in ("base", "tuned"):
        file = single_file(copied, model)
        found = read_record(file)
        bad = [replace(p, text=f"<script>alert(1)</script>\n{p.text}") for p in found.paths]
        write_record(file, replace(found, paths=tuple(bad)))
    change(copied, lambda manifest: manifest.preset.update(about="<b>about</b>"))
    page = written(copied)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<b>about</b>" in page.said
    assert "<script>alert(1)</script>" in page.said


def test_problems_side_by_side_have_their_fatal_step_marked(small_run):
    told: dict[tuple[str, str], AskedPath] = {}
    for model in ("base", "tuned"):
        found = read_record(single_file(small_run, model))
        text = {problem.id: problem.text for problem in found.problems}
        told |= {(model, text[path.problem]): path for path in found.paths}
    folder = RunFolder(small_run)
    groups = side_by_side(folder, TASK, 0)
    assert sum(len(group.cards) for group in groups) >= 2 * EACH
    for group in groups:
        assert 2 <= len(group.cards) <= 2 * EACH
        for card, model in zip(group.cards, ("base", "tuned") * EACH, strict=False):
            path = told[model, card.title.removeprefix(f"{model}: ")]
            assert (card.rows[0][0].value == "solved") == path.verdict.correct
            states = [row[0].value for row in card.rows]
            lines = [each for each in states if each in ("right", "fatal", "after", "missing")]
            marks = [at for at, state in enumerate(lines) if state in ("fatal", "missing")]
            assert marks == ([] if path.verdict.correct else [path.verdict.fatal_step])
        right = group.name in ("both", "only_tuned")
        assert (group.cards[1].rows[0][0].value == "solved") == right
    assert side_by_side(folder, TASK, 0) == groups
    assert side_by_side(folder, TASK, 1) != groups


def test_a_few_failures_of_every_kind_show_what_would_have_saved_them(small_run):
    harvest = RunFolder(small_run).harvest
    kinds = {row.kind for row in read(harvest) if not row.correct}
    groups = failed_paths(harvest, TASK, 0)
    assert [group.name for group in groups] == [kind for kind in TASK.kinds if kind in kinds]
    for group in groups:
        assert 1 <= len(group.cards) <= EACH
        for card in group.cards:
            verdict, *lines = card.rows
            assert verdict[1].shown.startswith(f"{group.name}: ")
            assert [row[0].value for row in lines].count("fatal") <= 1
    lost = next(group for group in groups if group.name == "dead_end")
    assert lost.title.startswith("dead end: ")
    dead = lost.cards
    assert len({card.rows[-1][1].shown.split(",")[0] for card in dead}) == EACH  # three reasoners
    saved = next(row[1].shown for card in dead for row in card.rows if row[0].value == "instead")
    assert re.search(r"\d+[-+*/]\d+=\d+", saved)


@pytest.mark.slow
def test_what_a_run_has_no_data_for_is_left_out(copied):
    before, folder = page_of(copied).sections, RunFolder(copied)
    assert {"samples", "kept", "exported", "trained_on"} <= before
    assert "equal_budgets" not in before
    folder.parity.unlink()
    folder.base_abilities.unlink()
    for model in ("base", "tuned"):
        for file in folder.evaluation(model).glob("*.test.json"):
            write_record(file, replace(read_record(file), pass_at={}))
    page = written(copied)
    assert {"samples", "exported"} == before - page.sections
    assert not [line for line in lines_of(copied) if line["table"] == "checkpoints"]
    assert "retention.png" not in {path.name for path in (copied / "report").iterdir()}
    text = (copied / "report" / "index.html").read_text(encoding="utf-8")
    assert text.count("<tbody>") > 5
    assert not re.search(r"<tbody>\s*</tbody>", text)


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        # a run that has just begun, that has only asked its base, that is being tuned
        (("problems", "harvest", "tuning", "evaluation", "gguf"), {"cost", "manifest"}),
        (
            ("harvest", "tuning", "evaluation/tuned", "gguf"),
            {"answers", "samples", "failures", "cost", "manifest"},
        ),
        (
            ("tuning/result.json", "evaluation/tuned", "gguf"),
            {"answers", "samples", "failures", "learning", "kept", "failed_paths", "trained_on"}
            | {"cost", "manifest"},
        ),
    ],
)
def test_a_run_that_is_half_done_has_the_sections_it_has_data_for(copied, gone, left):
    for name in gone:
        path = copied / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = Run.load(copied)
    found = sections(run.at, run.manifest, run.preset)
    assert {section.name for section in found} == left
    for section in found:
        assert section.tables or section.groups
        assert all(table.rows for table in section.tables)
    main(run)  # and the page of it can be written too
    assert page_of(copied).sections == left


@pytest.mark.slow
def test_a_checkpoint_below_its_floor_is_loud(copied):
    floors = {"tot": 0.9, "heldout_nll": 1.1}
    change(copied, lambda manifest: manifest.preset["retention"].update(floors))
    file = RunFolder(copied).tuning_result
    result = read_as(file, TuningResult)
    lost = replace(result.validation, kept={"tot": 0.5, "heldout_nll": 1.0}, shortfall=0.44)
    write_as(file, replace(result, validation=lost))
    page = written(copied)
    alarm, again = [text for text in page.said if "below a floor" in text]
    assert alarm == again  # at the top, and beside what was kept
    assert "tot is 0.50 of the base's (at least 0.9)" in alarm
    assert "NLL" not in alarm
    assert any("falls short the least" in text for text in page.said)
    assert ("p", {"class": "alarm", "role": "alert"}) in page.tags


@pytest.mark.slow
def test_few_test_problems_are_warned_of(copied):
    assert not any("nothing can be concluded" in text for text in page_of(copied).said)
    for model in ("base", "tuned"):
        file = single_file(copied, model)
        found = read_record(file)
        few = [replace(each, rate=replace(each.rate, n=29)) for each in found.scored]
        write_record(file, replace(found, scored=tuple(few)))
    assert any("nothing can be concluded" in text for text in written(copied).said)


@pytest.mark.slow
def test_a_report_is_written_again_at_a_price_and_is_no_change_of_the_run(copied):
    (copied / "report" / "index.html").unlink()
    result = ltf("report", copied, "--per-hour", 7.25, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["report"] == str(copied / "report" / "index.html")
    tuned = next(
        r
        for r in found["results"]
        if (r["model"], r["scored"]["choice"]["kind"]) == ("tuned", "single_pass")
    )
    assert found["headline"]["tuned"] == tuned
    assert 0 <= tuned["scored"]["rate"]["rate"] <= 1
    assert any("At 7.25 an hour" in text for text in page_of(copied).said)
    run, stage = Run.load(copied), STAGES[-1]
    assert run.finished(stage, run.input_hash(stage.parts, stage.upstream))
    assert found["report"] in closing(run)
    one_sentence(ltf("report", copied, "--per-hour", -1), 2, "-1")


@pytest.mark.slow
def test_a_run_that_is_not_done_names_the_stage_that_is_missing(copied):
    def failed(manifest: Manifest) -> None:
        manifest.stages["evaluate"].status = "failed"

    change(copied, failed)
    shutil.rmtree(copied / "evaluation" / "tuned")
    shutil.rmtree(copied / "report")
    one_sentence(ltf("report", copied), 1, str(copied), "evaluate", "ltf train")
    assert not (copied / "report").exists()


def test_checkpoints_stand_beside_their_floors():
    own = [
        Ability(f"{kind} {by}".strip(), kind, kind, "hash", 10, value, by=by)
        for kind, by, value in (("tot", "", 0.5), ("tot", "beam=8", 0.8), ("heldout_nll", "", 2.0))
    ]
    base = Abilities("countdown", "base", tuple(own))
    lines = [
        LogLine(
            step,
            0.1,
            0.1,
            1e-4,
            1.0,
            Validation(
                0.5,
                abilities={"tot": tot, "tot beam=8": 0.4, "heldout_nll": 2.1},
                kept={"tot": tot / 0.5, "tot beam=8": 0.5, "heldout_nll": 1.05},
            ),
        )
        for step, tot in ((10, 0.5), (20, 0.4))
    ]
    table = checkpoints_table(base, lines, {"tot": 0.9, "heldout_nll": 1.1}, 10)
    assert table is not None
    assert table.head == ("step", "tot", "tot beam=8", "heldout_nll")
    assert [[cell.shown for cell in row] for row in table.rows] == [
        ["base", "50.0 %", "80.0 %", "2.0000"],
        ["10 (kept)", "50.0 % (×1.00)", "40.0 % (×0.50)", "2.1000 (×1.05)"],
        ["20", "40.0 % (×0.80)", "40.0 % (×0.50)", "2.1000 (×1.05)"],
        ["floor", "at least ×0.90", "at least ×0.90", "at most ×1.10"],
    ]
    unmeasured = LogLine(10, 0.1, 0.1, 1e-4, 1.0, Validation(0.5))
    assert checkpoints_table(base, [unmeasured], {}, 10) is None


def test_kinds_that_only_a_task_knows_are_in_the_tables():
    class Asking:
        kinds = {"ambiguous": "It can be read in two ways.", "unused": "Never."}  # noqa: RUF012

    made = [
        record("base", "cot", kinds={"success": 1, "ambiguous": 5, "off_topic": 4}),
        record("tuned", "cot", kinds={"success": 8, "ambiguous": 2}),
    ]
    kinds = kinds_of(Asking(), made)
    table = kinds_table(made, kinds)
    assert table is not None
    assert table.head == ("model", "reasoner", "paths", "success", "ambiguous", "off_topic")
    assert [[cell.shown for cell in row] for row in table.rows] == [
        ["base", "chain of thought", "10", "10.0 %", "50.0 %", "40.0 %"],
        ["tuned", "chain of thought", "10", "80.0 %", "20.0 %", "0.0 %"],
    ]
    change = kinds_change_table(made, kinds)
    assert change is not None
    assert change.head == ("reasoner", "ambiguous", "off_topic", "went away", "came")
    shown = [cell.shown for cell in change.rows[0]]
    assert shown == ["chain of thought", "-30.0", "-40.0", "off_topic, ambiguous", "–"]
    assert ordered(["b", "a"], ["z", "a", "c", "success"]) == ["b", "a", "c", "z"]


def test_a_record_is_read_once_and_again_when_it_was_written_anew(tmp_path):
    folder = RunFolder(tmp_path)
    file = folder.evaluation("base") / "one.test.json"
    write_record(file, record("base", "cot", kinds={"success": 1}))
    (first,) = records(folder)
    assert records(folder)[0] is first
    write_record(file, record("base", "cot", kinds={"success": 2}))
    assert records(folder)[0].kinds == {"success": 2}
    with pytest.raises(ForeignFile, match="of the task countdown, not game24"):
        records(folder, "game24")


def test_a_table_says_the_same_everywhere():
    solved = tables.rate(Rate(0.5, 0.25, 0.75, 4))
    rows = [(tables.cell("a|b\nc"), solved), (tables.cell(None), tables.share(None))]
    table = tables.Table("t", "Title", ("name", "solved"), rows, "A note.")
    assert tables.as_markdown(table).splitlines() == [
        "| name | solved |",
        "| --- | --- |",
        r"| a\|b c | 50.0 % [25.0, 75.0] |",
        "| – | – |",
        "",
        "A note.",
    ]
    found = list(csv.DictReader(tables.as_csv([table]).splitlines()))
    assert {
        "table": "t",
        "row": "1",
        "column": "solved",
        "value": "0.5",
        "low": "0.25",
        "high": "0.75",
        "shown": "50.0 % [25.0, 75.0]",
    } in found


@pytest.mark.parametrize(
    ("losses", "told"), [([0.7, 2.3], True), ([0.7, 0.72], False), ([0, 0], 0)]
)
def test_a_forgetting_loss_that_rises_is_a_warning(losses, told):
    lines = [LogLine(k, 1.0, loss, 1e-3, 1.0, Validation(0.5)) for k, loss in enumerate(losses)]
    said = forgetting_sentence(lines)
    assert said.startswith("WARNING: the forgetting loss rose from 0.70 to 2.30") == bool(told)
    assert bool(said) == bool(told)

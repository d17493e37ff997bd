"""What tuning kept: the abilities beside the single pass, the floors, and a run that misses one."""

from __future__ import annotations

import copy
import json
import math
import re
from dataclasses import replace

import pytest
import torch
import yaml

from ltf_lite import presets
from ltf_lite.core.files import read_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import read_manifest
from ltf_lite.engines import open_engine
from ltf_lite.evaluation.heldout import HeldoutError, nll, paragraphs
from ltf_lite.evaluation.retention import (
    RetentionRow,
    floors_of,
    kept,
    missed,
    read_elsewhere,
    retention,
    said,
    unheld,
)
from ltf_lite.evaluation.types import Abilities, Ability, read_abilities
from ltf_lite.pipeline import abilities
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.train import check
from ltf_lite.presets import PresetError
from ltf_lite.report.results import records
from ltf_lite.report.tables.base import as_markdown
from ltf_lite.report.tables.kept import retention_table
from ltf_lite.tasks import get_task
from ltf_lite.tuning.types import TuningResult, read_log
from tests.conftest import SMALL, ltf, one_sentence
from tests.records import oracle, record, voted


def preset(**changes):
    return presets.parse({**copy.deepcopy(SMALL), **changes}, "small")


@pytest.fixture(scope="module")
def engine():
    torch.set_num_threads(1)
    return open_engine("tiny-base")


# ---- the held-out text


def test_of_a_paragraph_what_follows_its_first_line_or_word_is_scored(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("\n\nfirst line\nsecond\nthird\n \nalone\n\n\nof one line\n")
    assert paragraphs(file) == [("first line\n", "second\nthird"), ("of", " one line")]


def test_the_nll_is_that_of_the_logits(engine):
    pairs = paragraphs(abilities.heldout_file(preset()))[:20]
    found = nll(engine, pairs)
    assert found.n == len(found.each) == 20
    total = tokens = 0.0
    for (given, rest), (logprob, count) in zip(pairs, found.each, strict=True):
        head = engine.tokenizer(given)["input_ids"]
        tail = engine.tokenizer(rest, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = engine.model(torch.tensor([head + tail])).logits[0].double()
        p = logits.softmax(-1)
        by_hand = sum(math.log(p[len(head) + i - 1, t]) for i, t in enumerate(tail))
        assert (logprob, count) == (pytest.approx(by_hand, rel=1e-4, abs=1e-5), len(tail))
        total, tokens = total - by_hand, tokens + len(tail)
    assert found.tokens == tokens
    assert found.nll == pytest.approx(total / tokens, rel=1e-4)


def test_a_long_paragraph_is_cut_to_the_context(engine):
    found = nll(engine, [("word", " über" * 2000), ("x" * 5000 + "\n", "y" * 5000)])
    assert found.n == 2
    assert all(50 < tokens < engine.context for _, tokens in found.each)


@pytest.mark.slow
def test_the_text_is_read_by_llama_cpp_alike(engine, base_gguf):
    pairs = paragraphs(abilities.heldout_file(preset()))
    gguf = open_engine(base_gguf, exact=True)
    assert nll(gguf, pairs).nll == pytest.approx(nll(engine, pairs).nll, rel=1e-4)
    gguf.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "no paragraph"),
        (b"a\n\nb\n", "more than one word"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
    ],
)
def test_a_text_that_is_none_is_refused(tmp_path, content, words):
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HeldoutError, match=words):
        paragraphs(file)
    with pytest.raises(PresetError, match=re.escape(str(file))):
        check(preset(retention={"heldout": str(file)}))


def test_a_floor_without_a_task_is_refused_before_anything_is_written(tmp_path):
    file, folder = tmp_path / "no-task.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump({**SMALL, "retention": {"other_task": 0.9}}))
    one_sentence(ltf("train", file, "--out", folder), 2, "retention.other_task", "retention.other")
    assert not folder.exists()


# ---- what is measured beside


def test_an_ability_is_named_for_its_reasoner_and_no_verifier_picks():
    cot = {"name": "cot", "max_tokens": 40}
    sections = preset(
        evaluation=[
            {"name": "random"},
            {"name": "dfs"},
            {**cot, "n": 4, "temperature": 0.7},
            {**cot, "n": 1},
            {"name": "tot"},
            {"name": "tot", "oracle": True},
            {"name": "tot", "beam": 8},
            {"name": "rap", "oracle": True},
        ]
    ).evaluation
    found = {asked.name: asked for asked in abilities.named(sections)}
    assert list(found) == ["sample", "single_pass", "tot", "tot beam=8", "rap"]
    assert [(asked.kind, asked.by) for asked in found.values()][2:4] == [
        ("tot", ""),
        ("tot", "beam=8"),
    ]
    assert found["rap"].reasoner.label == "rap"


def test_the_sibling_task_gives_what_it_has():
    assert get_task("countdown").sibling().name == "game24"
    countdown = get_task("game24").sibling()
    assert (countdown.name, countdown.numbers) == ("countdown", (1, 50))
    assert len(countdown.up_to("test", 30, 0)) == 30
    few = get_task("game24").up_to("test", 5000, 0)
    assert 100 < len(few) < 200
    assert len(get_task("game24").up_to("test", 7, 0)) == 7


# ---- floors


def test_what_was_kept_is_relative_to_the_base():
    share = kept(
        {"tot": 0.5, "rap": 0.0, "heldout_nll": 2.0}, {"tot": 0.4, "rap": 0.1, "heldout_nll": 2.4}
    )
    assert share == {"tot": pytest.approx(0.8), "rap": None, "heldout_nll": pytest.approx(1.2)}


def ability(kind: str, value: float, label: str = "", by: str = "") -> Ability:
    return Ability(f"{kind} {by}".strip(), kind, label or kind, "hash", 10, value, by=by)


def test_a_floor_is_missed_from_below_and_the_ceiling_of_the_nll_from_above():
    share = {"tot": 0.8, "tot beam=8": 0.5, "rap": None, "sample": 3.0, "heldout_nll": 1.2}
    base = [ability("tot", 0.5), ability("tot", 0.5, by="beam=8"), ability("rap", 0.0)]
    base += [ability("sample", 0.1), ability("heldout_nll", 2.0)]
    floors = floors_of(base, {"tot": 0.8, "rap": 0.9, "sample": 1.0, "heldout_nll": 1.1})
    assert floors["tot beam=8"] == floors["tot"] == 0.8  # a floor holds for all of its kind
    first, second = missed(share, floors)
    assert (first.ability, first.shortfall) == ("tot beam=8", pytest.approx(0.375))
    assert (second.ability, second.shortfall) == ("heldout_nll", pytest.approx(1.2 / 1.1 - 1))
    assert said(first) == "tot beam=8 is 0.50 of the base's (at least 0.8)"
    assert said(second) == "the NLL of the held-out text is 1.20 times the base's (at most 1.1)"
    assert missed({"tot": 0.63 / 0.7}, {"tot": 0.9}) == []
    assert unheld({one.name: one.value for one in base}, floors) == ["rap"]


def test_what_the_run_does_not_tune_on_is_among_what_was_kept():
    def told(model, rate, nats):
        own = ability("sibling", rate, "game24"), ability("heldout_nll", nats, "a.txt")
        return Abilities("countdown", model, own)

    rows = retention([], [told("base", 0.5, 1.0), told("tuned", 0.25, 1.5)])
    assert rows == [
        RetentionRow("game24", "sibling", "single pass on the sibling task", 0.5, 0.25, 0.5),
        RetentionRow("a.txt", "heldout_nll", "NLL of a held-out text", 1.0, 1.5, 1.5),
    ]
    assert retention([], [told("base", 0.5, 1.0)]) == []


def test_of_the_same_reasoner_every_choice_and_the_valid_steps_are_kept_or_lost():
    def told(model, marks, valid):
        return record(model, "cot", {voted(4): marks, oracle(4): "1111"}, valid_steps=valid, many=4)

    rows = retention([told("base", "1100", 0.8), told("tuned", "1110", 0.4)])
    assert rows == [
        RetentionRow("cot many=4", "self_consistency", "self-consistency@4", 0.5, 0.75, 1.5),
        RetentionRow(
            "cot many=4", "oracle", "oracle@4 (the verifier picks: upper bound)", 1.0, 1.0, 1.0
        ),
        RetentionRow("cot many=4", "valid_steps", "valid steps", 0.8, 0.4, 0.5),
    ]
    other = replace(told("tuned", "1110", 0.4), label="cot many=5")
    assert retention([told("base", "1100", 0.8), other]) == []


# ---- a run that misses its floor

FALLEN = {
    **SMALL,
    "name": "fallen",
    "problems": {"train": 120, "validation": 12, "test": 8},
    "search": [{"name": "dfs", "paths": 2, "failures": 1}],
    "tuning": {**SMALL["tuning"], "steps": 4, "batch": 4, "eval_every": 2, "warmup": 1},
    "evaluation": [{"name": "cot", "n": 1, "max_tokens": 40}, {"name": "tot", "beam": 1}],
    "export": {"greedy_problems": 2, "success_points": 100},
    # so few steps can't halve what an hour of pretraining came to
    "retention": {"problems": 6, "heldout_nll": 0.5},
}


@pytest.fixture(scope="module")
def fallen(tmp_path_factory):
    """The preset of a run that can't meet its floor, its folder, and how its command ended."""
    place = tmp_path_factory.mktemp("fallen")
    file = place / "fallen.yaml"
    file.write_text(yaml.safe_dump(FALLEN))
    return file, place / "fallen", ltf("train", file, "--out", place / "fallen")


@pytest.mark.slow(seconds=27)
def test_a_run_below_its_floor_says_so_and_exports_all_the_same(fallen):
    _, folder, ended = fallen
    assert ended.returncode == 3, ended.stderr
    assert "BELOW ITS FLOOR" in ended.stderr
    assert "BELOW ITS FLOOR: the NLL of the held-out text is 1." in ended.stdout
    assert (folder / "gguf" / "fallen.q8_0.gguf").is_file()
    stages = read_manifest(folder).stages.values()
    assert len(stages) == 8
    assert all(stage.status == "done" for stage in stages)


@pytest.mark.slow
def test_the_same_command_again_ends_alike_and_the_app_takes_it_for_done(fallen):
    file, folder, _ = fallen
    again = ltf("train", file, "--out", folder, "--json")
    assert again.returncode == 3, again.stderr
    (row,) = json.loads(again.stdout)["below"]
    assert (row["ability"], row["floor"]) == ("heldout_nll", 0.5)
    assert jobs.start(str(file), folder.parent).ended is None


@pytest.mark.slow
def test_every_checkpoint_is_measured_against_the_base(fallen):
    _, folder, _ = fallen
    at = RunFolder(folder)
    base = read_abilities(at.base_abilities, "countdown").abilities
    assert {one.name: one.n for one in base} == {
        "single_pass": 12,
        "valid_steps": 12,
        "tot": 6,
        "sibling": 6,
        "heldout_nll": 200,
    }
    lines = read_log(at.tuning_log)
    assert [line.step for line in lines] == [2, 4]
    for line in lines:
        found = line.validation
        assert found.kept == kept(abilities.values(base), found.abilities)
        assert found.shortfall == pytest.approx(found.kept["heldout_nll"] / 0.5 - 1)
        assert found.success == found.abilities["single_pass"]
    nearest = min(lines, key=lambda line: line.validation.shortfall)
    result = read_as(at.tuning_result, TuningResult)
    assert result.step == nearest.step
    assert result.validation.kept == nearest.validation.kept


@pytest.mark.slow
def test_base_and_tuned_model_are_asked_what_the_run_does_not_tune_on(fallen):
    _, folder, _ = fallen
    at = RunFolder(folder)
    base, tuned = read_elsewhere(at, "countdown")
    assert (base.model, tuned.model) == ("base", "tuned")
    told = [{one.kind: one for one in each.abilities} for each in (base, tuned)]
    assert [each["sibling"].n for each in told] == [8, 8]
    before = {one.kind: one.value for one in read_abilities(at.base_abilities).abilities}
    assert told[0]["heldout_nll"].value == pytest.approx(before["heldout_nll"])
    table = as_markdown(retention_table(records(at), [base, tuned]))
    assert f"| {told[1]['heldout_nll'].value:.4f} |" in table
    assert "| game24 | single pass on the sibling task |" in table


def test_the_text_of_the_embedded_base_is_the_one_its_command_writes(tmp_path):
    from ltf_lite.tiny.pretrain import write_heldout

    write_heldout(tmp_path)
    written = (tmp_path / "heldout.txt").read_bytes()
    assert written == abilities.heldout_file(preset()).read_bytes()
    assert len(paragraphs(tmp_path / "heldout.txt")) == 200

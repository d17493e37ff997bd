"""The next round: a run's tuned model searches, and is tuned on (`ltf again`)."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
import yaml
from safetensors.torch import load_file

from ltf_lite.core.manifest import read_manifest
from ltf_lite.harvest import read, shards
from ltf_lite.harvest.store import ROUND
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.again import Rise, next_round, rise_sentence
from ltf_lite.pipeline.common import previous_of
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.repair import repaired
from ltf_lite.pipeline.stages.search import parts_of
from ltf_lite.pipeline.stages.tune import tuning_of
from ltf_lite.reasoners import get_reasoner
from tests.conftest import SMALL, ltf, one_sentence
from tests.test_search_stage import shared


@pytest.fixture(scope="module")
def first(small_run, tmp_path_factory):
    """A copy of the finished run: the next round is made beside it."""
    return shutil.copytree(small_run, tmp_path_factory.mktemp("rounds") / "small")


@pytest.fixture(scope="module")
def done(first):
    told = ltf("again", first, "--json")
    assert told.returncode == 0, told.stderr
    assert "[2/8] evaluate the base: done before" in told.stderr
    return told


@pytest.fixture(scope="module")
def second(first, done):
    return Run.load(first.with_name("small-round-2"))


@pytest.mark.slow(seconds=46)
def test_the_tuned_model_searches_and_the_harvest_grows(first, second):
    old, new = list(read(first / "harvest")), list(read(second.at.harvest))
    assert new[: len(old)] == old
    added = new[len(old) :]
    assert {row.round for row in old} == {0}
    assert {row.round for row in added} == {1}
    assert {row.reasoner for row in added} == {"cot", "tot"}  # an exact search would find the same
    assert {row.engine for row in added} != {row.engine for row in old if row.reasoner == "cot"}
    assert all(row.label.endswith(", round 2") for row in added)
    assert any(row.correct for row in added)
    assert not all(row.correct for row in added)


@pytest.mark.slow
def test_parts_of_a_round_know_those_of_the_runs_before(first, second):
    old, new = ([p for own in parts_of(r) for p in own] for r in (Run.load(first), second))
    assert {part.number: set(part.before) for part in new} == {
        number: before for number, before in shared([*old, *new]).items() if number >= len(old)
    }


@pytest.mark.slow
def test_what_the_tuned_model_says_is_not_replayed_as_the_bases(first, second):
    told = [
        sorted(p.name for p in f.glob("replay-*")) for f in (first / "harvest", second.at.harvest)
    ]
    assert told[0] == told[1] != []


@pytest.mark.slow
def test_it_is_tuned_on_from_the_adapter_on_the_newest_paths_first(first, second):
    old, new = (load_file(f / "model" / "model.safetensors") for f in (first, second.folder))
    moved = max((new[name].float() - old[name].float()).abs().max() for name in old)
    assert 0 < moved < 0.2
    assert tuning_of(second).start == str(first / "tuning" / "adapter")
    taken = json.loads(second.at.examples.read_text())["taken"]
    news = sum(kinds.get("success", 0) for label, kinds in taken.items() if ROUND in label)
    right = Counter(r.problem.id for r in read(second.at.harvest) if r.round and r.correct)
    assert max(right.values()) <= second.preset.harvest.successes_per_problem
    assert news == sum(right.values()) > 0  # none gives way to an older one


@pytest.mark.slow
def test_problems_and_base_are_the_same_and_the_round_is_told(first, second, done):
    old = read_manifest(first)
    for stage in ("problems", "baseline"):
        assert second.stages[stage].output == old.stages[stage].output
    (told,) = json.loads(done.stdout)
    rise = Rise(**told["rise"])
    assert (rise.round, rise.n) == (2, 20)
    assert rise.points == pytest.approx(100 * (rise.after - rise.before))
    assert rise.low <= rise.points <= rise.high
    assert told["preset"] == "small-round-2"
    assert list(second.at.gguf.glob("small-round-2.*.gguf"))
    card = next(second.at.gguf.glob("*.md")).read_text()
    assert "2 rounds, the later searched with the tuned model" in card
    page = second.at.page.read_text()
    assert ", round 2" in page
    assert "(round 2: searched with small" in page
    assert "Round 2 goes to" in done.stderr
    costs = {row for row in second.at.results.read_text().splitlines() if ", round 1" in row}
    assert any("search, round 1" in row for row in costs)  # without them this run would not be
    assert any("tune, round 1" in row for row in costs)


@pytest.mark.slow
def test_a_lost_shard_is_made_again_as_it_was_and_nothing_else(first, second):
    lost = shards(second.at.harvest)[-1]
    content = lost.read_bytes()
    lost.unlink()
    again = ltf("again", first)
    assert again.returncode == 0, again.stderr
    assert lost.read_bytes() == content
    assert again.stderr.count("done before") == len(STAGES) - 1
    assert "Round 2: the single pass solves" in again.stdout


@pytest.mark.slow
def test_a_third_round_goes_on_from_the_second(second):
    preset = next_round(second)
    assert preset.name == "small-round-3"
    assert preset.previous == str(second.folder)


@pytest.mark.slow
def test_a_repaired_round_goes_on_from_its_own_adapter_and_the_round_after_from_the_repaired(
    second, tmp_path
):
    told = Run.load(second.folder)
    told.preset = repaired(second)
    assert told.preset.previous == second.preset.previous
    assert tuning_of(told).start == str(second.at.adapter)
    copy = Run.load(shutil.copytree(second.folder, tmp_path / "copy"))
    copy.manifest.preset["tuning"]["start"] = str(second.at.adapter)  # as of a repaired run
    tune = next(stage for stage in STAGES if stage.name == "tune")
    copy.entry("tune").input = copy.input_hash(tune.parts, tune.upstream)
    after = Run.load(second.folder)
    after.preset = next_round(copy)
    assert after.preset.previous == str(copy.folder)
    assert tuning_of(after).start == str(copy.at.adapter)


@pytest.mark.slow
def test_a_run_never_goes_on_from_itself(first, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({**SMALL, "previous": str(first)}))
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    one_sentence(ltf("train", file, "--out", first), 2, "can't go on from itself")
    one_sentence(ltf("again", first, "--out", first), 2, "can't go on from itself")
    assert before == {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_model_of_other_settings_is_not_gone_on_from(first, tmp_path):
    run = Run.load(shutil.copytree(first, tmp_path / "copy"))
    run.manifest.preset["tuning"]["steps"] = 5  # as a `ltf train` leaves it that was killed at once
    run.save()
    with pytest.raises(RunError, match="no tuned model of its settings"):
        next_round(Run.load(run.folder))


@pytest.mark.slow
def test_a_round_whose_first_run_is_gone_says_so(second):
    gone = Run.load(second.folder)
    gone.preset = gone.preset.model_copy(update={"previous": "nowhere"})
    with pytest.raises(RunError, match="goes on from the run nowhere, which is not there"):
        previous_of(gone)


@pytest.mark.slow
def test_a_run_of_an_earlier_version_is_not_made_anew_for_the_new_setting(first):
    run = Run.load(first)
    search = next(stage for stage in STAGES if stage.name == "search")
    before = run.input_hash(search.parts, search.upstream)
    del run.manifest.preset["previous"]
    assert run.input_hash(search.parts, search.upstream) == before


@pytest.mark.slow
def test_what_can_have_no_next_round_is_refused_before_anything_is_written(first, tmp_path):
    copy = shutil.copytree(first, tmp_path / "copy")
    run = Run.load(copy)
    run.preset = run.preset.model_copy(update={"search": (get_reasoner("dfs"),)})
    with pytest.raises(RunError, match="asks no model"):
        next_round(run)
    shutil.rmtree(copy / "model")
    one_sentence(ltf("again", copy), 1, "no tuned model yet")
    one_sentence(ltf("again", tmp_path / "nothing"), 1, "is no run")
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, ("other settings of seed", "no test problem was trained on")),
        ({"problems": {"train": 601}}, ("other settings of problems",)),
        ({"previous": "nowhere"}, ("previous:", "is no run")),
    ],
)
@pytest.mark.slow
def test_a_preset_that_goes_on_must_be_of_the_same_problems(change, words, first, tmp_path):
    file = tmp_path / "own.yaml"
    told = {**SMALL, "name": "own", "previous": str(first), **change}
    if "problems" in change:
        told["problems"] = SMALL["problems"] | change["problems"]
    file.write_text(yaml.safe_dump(told))
    one_sentence(ltf("train", file, "--out", tmp_path / "out"), 2, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("low", "advice"), [(0.4, "another may gain too: ltf again"), (-0.4, "another is not advised")]
)
@pytest.mark.slow
def test_another_round_is_advised_only_after_one_that_gained(low, advice, first):
    rise = Rise(2, 0.5, 0.53, 500, 3.0, low, 6.0, 0.04)
    text = rise_sentence(Run.load(first), rise)
    assert advice in text
    worse = rise_sentence(Run.load(first), replace(rise, points=-1.0, low=-4.0))
    assert "another is not advised; keep " in worse
    less = rise_sentence(Run.load(first), replace(rise, points=-5.0, low=-9.0, high=-1.0))
    assert "it solves less, so another is not advised; keep " in less
    assert "keep " not in text
    assert "53.0 % of the 500 validation problems, 50.0 % the round before" in text

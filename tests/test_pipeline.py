"""The main job as a user runs it: all of it, killed in the middle of it, and refused."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ltf_lite.core.files import read_as, write_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest, read_manifest
from ltf_lite.evaluation.types import read_record
from ltf_lite.export.gguf.types import Parity
from ltf_lite.harvest import read
from ltf_lite.pipeline import Run, RunError, closing, summary
from ltf_lite.pipeline.graph import STAGES, stage_of
from ltf_lite.pipeline.run.lock import locked
from ltf_lite.presets import parse
from ltf_lite.report.results import headline, results
from ltf_lite.tasks import Problem, get_task
from ltf_lite.tuning.types import read_log
from tests.conftest import SMALL, ltf, one_sentence
from tests.killing import KINDS, kill_during, made, train, untold

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)


def rates(folder: Path) -> dict[str, dict[str, float]]:
    """Every success rate and failure count of a run, without the seconds."""
    found = {}
    for file in [*folder.glob("evaluation/*/*.test.json"), *folder.glob("gguf/*.test.json")]:
        record = read_record(file)
        rates = {str(scored.choice): scored.rate.rate for scored in record.scored}
        found[file.name] = rates | record.kinds
    return found


def test_a_run_leaves_everything_that_the_design_says(small_run):
    manifest = read_manifest(small_run)
    assert [s.name for s in STAGES] == list(manifest.stages)
    for entry in manifest.stages.values():
        assert entry.status == "done"
        assert entry.seconds > 0
        assert entry.peak_bytes > 10e6
    assert manifest.packages["torch"].startswith("2.")
    for name in (
        "problems/train.jsonl",
        "harvest/part-00000.parquet",
        "tuning/adapter",
        "tuning/log.jsonl",
        "model/config.json",
        "gguf/small.f16.gguf",
        "gguf/small.q8_0.gguf",
        "gguf/parity.json",
        "report/index.html",
        "report/headline.png",
        "report/results.csv",
    ):
        assert (small_run / name).exists(), name
    assert not list(small_run.rglob("*.tmp"))


def test_every_harvested_verdict_is_what_the_verifier_says(small_run):
    rows = list(read(small_run / "harvest"))
    assert {row.reasoner for row in rows} == {"cot", "bfs", "dfs", "tot"}
    assert sum(row.correct for row in rows) > 500
    assert {"dead_end"} <= {row.kind for row in rows}
    for row in rows[::7]:
        problem = TASK.problem(row.problem.data)
        assert problem == row.problem
        verdict = TASK.verify(problem, TASK.parse(problem, row.text))
        assert (verdict.correct, verdict.kind) == (row.correct, row.kind)


def test_the_splits_of_a_run_share_no_problem(small_run):
    ids = {}
    for split in ("train", "validation", "test"):
        lines = (small_run / "problems" / f"{split}.jsonl").read_text().splitlines()
        problems = [Problem(**json.loads(line)) for line in lines]
        assert [TASK.problem(problem.data) for problem in problems] == problems
        ids[split] = {problem.id for problem in problems}
        assert len(ids[split]) == SMALL["problems"][split]
    assert not ids["train"] & ids["test"]
    assert not ids["train"] & ids["validation"]
    assert not ids["validation"] & ids["test"]


def test_parity_was_proven(small_run):
    parity = read_as(small_run / "gguf" / "parity.json", Parity)
    assert parity.passed
    assert parity.tokens.mismatches == 0
    assert parity.tokens.n > 500
    assert parity.greedy.equal == parity.greedy.n == 10
    assert 0 < parity.divergence["q8_0"].mean < 0.01
    assert parity.files["q8_0"].types["Q8_0"] > 0.9


@pytest.mark.slow(seconds=17)
def test_a_file_that_lost_too_much_ends_no_run_but_is_below_its_floor(
    small_run, small_preset, tmp_path
):
    run = Run.load(Path(shutil.copytree(small_run, tmp_path / "run")))
    assert ltf("train", small_preset, "--out", run.folder).returncode == 0
    coarse = "the q8_0 file solves 5.0 points less than the tuned model"
    write_as(run.at.parity, replace(read_as(run.at.parity, Parity), coarse=[coarse]))
    run.record(stage_of("export"))
    run.save()
    ended = ltf("train", small_preset, "--out", run.folder)
    assert (ended.returncode, f"BELOW ITS FLOOR: {coarse}." in ended.stdout) == (3, True)
    assert ltf("report", run.folder).returncode == 0
    assert f"T{coarse[1:]}." in run.at.page.read_text()


def test_a_card_and_a_modelfile_lie_next_to_the_files(small_run):
    card = (small_run / "gguf" / "README.md").read_text()
    record = read_record(small_run / "evaluation" / "tuned" / "tuned-cot-max-tokens-40.test.json")
    assert f"| tuned | {100 * record.single_pass.rate.rate:.1f} % [" in card
    assert "| q8_0 through llama.cpp | " in card
    floor = read_record(small_run / "evaluation" / "base" / "none-random.test.json").of("search")
    low, high = (f"{100 * bound:.1f}" for bound in (floor.rate.low, floor.rate.high))
    rate = f"{100 * floor.rate.rate:.1f} % [{low}, {high}], n = 40"
    assert f"| no model: random legal steps (floor) | {rate} |\n| base | " in card
    assert record.paths[0].text.split()[0] in card
    assert "alpha 0.0001, credit whole, ratio 1.0; LoRA rank 32, 30 steps" in card
    for name in ("small.f16.gguf", "small.q8_0.gguf"):
        assert name in card
    modelfile = (small_run / "gguf" / "Modelfile").read_text().splitlines()
    assert modelfile[0] == "FROM ./small.q8_0.gguf"
    assert "PARAMETER temperature 0" in modelfile


def test_a_tree_search_pays_for_all_it_generates_and_is_a_search_of_the_headline(small_run):
    record = read_record(small_run / "evaluation" / "base" / "base-tot-beam-2.test.json")
    own, bound = record.of("search"), record.of("oracle")
    assert own.cost.tokens == bound.cost.tokens > 100
    assert bound.rate.rate >= own.rate.rate
    table = results(RunFolder(small_run))
    searches = [row for row in table if row.choice.is_search]
    assert {(row.choice.kind, row.reasoner, row.choice.n) for row in searches} == {
        ("search", "tot", None),
        ("self_consistency", "cot", 4),
        ("best_of_n", "cot", 4),
    }
    best = max(row.rate.low for row in searches if row.model == "base")
    assert headline(table).search.rate.low == best


def test_a_run_that_is_not_tuned_yet_has_no_results(small_run, tmp_path):
    shutil.copy(small_run / "manifest.json", tmp_path)
    shutil.copytree(small_run / "evaluation" / "base", tmp_path / "evaluation" / "base")
    run = Run.load(tmp_path)
    assert {row.model for row in summary(run).results} == {"none", "base"}
    assert summary(run).headline is None
    with pytest.raises(RunError, match="no results yet"):
        closing(run)


def test_the_same_command_again_does_nothing(small_run, small_preset):
    before = {p: p.stat().st_mtime_ns for p in small_run.rglob("*.parquet")}
    result = ltf("train", small_preset, "--out", small_run, "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("done before") == len(STAGES)
    assert before == {p: p.stat().st_mtime_ns for p in small_run.rglob("*.parquet")}
    assert json.loads(result.stdout)["parity"]["passed"]


def test_a_changed_setting_runs_only_what_depends_on_it(small_run, tmp_path):
    run = Run.load(small_run)
    manifest = read_manifest(small_run)
    manifest.preset["tuning"]["alpha"] = 0.5
    changed = Run(small_run, manifest)
    done = {s.name for s in STAGES if changed.finished(s, changed.input_hash(s.parts, s.upstream))}
    assert {"problems", "baseline", "search"} <= done
    assert "tune" not in done
    assert all(run.finished(s, run.input_hash(s.parts, s.upstream)) for s in STAGES)


def test_the_manifest_gives_back_an_equal_preset_with_equal_labels(small_run, small_preset):
    asked = parse(yaml.safe_load(small_preset.read_text()), "here")
    known = Run.load(small_run).preset
    assert known == asked
    for name in ("search", "evaluation"):
        labels = [[each.label for each in getattr(one, name)] for one in (known, asked)]
        assert labels[0] == labels[1]


@pytest.mark.slow(seconds=141)
def test_killed_in_every_stage_and_way_it_ends_the_same(small_run, small_preset, tmp_path):
    """`python -m tests.benchmarks.kills` kills at random instants, and more often."""
    folder = tmp_path / "killed"
    command = train(small_preset, folder)
    kills = [
        ("problems", 0.1),
        ("baseline", 4.0),
        ("search", 3.5),
        ("search", 5.0),
        ("tune", 6.0),
        ("tune", 8.0),
        ("merge", 2.0),
        ("evaluate", 4.0),
        ("export", 4.0),
        ("report", 0.3),
    ]
    for (stage, delay), kind in zip(kills, (KINDS[0], *KINDS), strict=True):
        kill_during(command, folder, stage, delay, kind)
        assert not untold(folder)
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr
    found = [
        [
            (row.problem.id, row.text, row.label, row.kind, row.seed)
            for row in read(each / "harvest")
        ]
        for each in (small_run, folder)
    ]
    assert found[0] == found[1]
    assert [line.step for line in read_log(folder / "tuning/log.jsonl")] == [10, 20, 30]
    assert rates(folder) == rates(small_run)
    assert made(folder) == made(small_run)
    assert len(made(folder)) >= 8


@pytest.mark.slow
def test_two_processes_on_one_run_are_refused(small_run, small_preset):
    with locked(small_run):
        result = ltf("train", small_preset, "--out", small_run)
    one_sentence(result, 1, "another process", str(small_run))


def other_preset(tmp_path: Path) -> Path:
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump({**SMALL, "name": "other"}))
    return file


def test_the_run_of_another_preset_is_refused_and_kept(small_run, tmp_path):
    before = (small_run / "manifest.json").read_bytes()
    result = ltf("train", other_preset(tmp_path), "--out", small_run)
    one_sentence(result, 1, "small", "other", "--force-new")
    assert (small_run / "manifest.json").read_bytes() == before


def test_force_new_sets_the_old_run_aside(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    Run.prepare(folder, Run(folder, Manifest(SMALL, {})).preset, False)
    (folder / "keep.txt").write_text("mine")
    other = Run(folder, Manifest({**SMALL, "name": "other"}, {})).preset
    run = Run.prepare(folder, other, True)
    assert run.preset.name == "other"
    (aside,) = [p for p in tmp_path.iterdir() if p != folder]
    assert (aside / "keep.txt").read_text() == "mine"
    assert Run.load(aside).preset.name == "small"


def test_a_folder_that_is_no_run_is_left_alone(small_preset, tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    one_sentence(ltf("train", small_preset, "--out", tmp_path), 1, "is no run")
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_folder_that_cannot_be_written_is_one_sentence(small_preset, tmp_path):
    (tmp_path / "file").write_text("")
    one_sentence(ltf("train", small_preset, "--out", tmp_path / "file" / "run"), 1, "cannot write")
    if os.geteuid() != 0:  # root writes everywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        one_sentence(ltf("train", small_preset, "--out", tmp_path / "closed"), 1, "cannot write")


@pytest.mark.parametrize("limit", [3_000, 40_000])
@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_what_was_done_stays(small_preset, tmp_path, limit):
    folder = tmp_path / "full"

    def no_room():  # a file-size limit fails in the middle of a write, as a full disk does
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = ltf("train", small_preset, "--out", folder, preexec_fn=no_room)
    one_sentence(result, 1, "File too large")
    for file in folder.rglob("*.parquet"):
        assert file.stat().st_size > 0
    stages = read_manifest(folder).stages if limit > 3_000 else {}
    assert all(entry.status in ("done", "failed") for entry in stages.values())

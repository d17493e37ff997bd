"""Broken files of a run: named, set aside, their work done again; foreign ones refused by name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ltf_lite.core.files import (
    BrokenFile,
    ForeignFile,
    hash_file,
    read_json,
    read_jsonl,
    write_as,
    write_json,
)
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import StageEntry, read_manifest
from ltf_lite.core.seals import HASHES
from ltf_lite.evaluation.retention import read_elsewhere
from ltf_lite.evaluation.sweep import CellResult
from ltf_lite.evaluation.types import SCHEMA, read_record
from ltf_lite.harvest import read, shard, write_shard
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.run.mend import clear, is_whole, mend, unreadable
from ltf_lite.pipeline.stages import tune
from ltf_lite.pipeline.sweep.sweep import _holds
from ltf_lite.pipeline.train import finish
from ltf_lite.report.results import records
from ltf_lite.tuning.checkpoints import last_checkpoint, swap
from tests.conftest import ltf, one_sentence

STAGE = {stage.name: stage for stage in STAGES}
SINGLE = "cot-max-tokens-40.test.json"
CHECKPOINT = "tuning/checkpoints/checkpoint-30"
# A file of every kind, its stage, and whether the stage must begin from nothing without it.
FILES = [
    ("problems", "problems/train.jsonl", True),
    ("baseline", f"evaluation/base/base-{SINGLE}", False),
    ("search", "harvest/part-00001.parquet", False),
    ("tune", "tuning/adapter/adapter_model.safetensors", True),
    ("tune", "tuning/adapter/best.json", True),
    ("merge", "model/model.safetensors", True),
    ("merge", "model/tokenizer.json", True),
    ("evaluate", f"evaluation/tuned/tuned-{SINGLE}", False),
    ("export", "gguf/small.q8_0.gguf", True),
    ("export", "gguf/parity.json", True),
]


def cut(file: Path) -> None:
    """Half of a file, as a full disk or a power cut leaves it."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


@pytest.fixture
def copy(small_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_run, tmp_path / "runs" / "small")


def wanted(run: Run, stage: str) -> str:
    return run.input_hash(STAGE[stage].parts, STAGE[stage].upstream)


def changes(run: Run, stage: str) -> dict[str, str] | None:
    return run.changes(STAGE[stage], wanted(run, stage))


def hashes(folder: Path, *patterns: str) -> dict[str, str]:
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    assert found
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in found}


@pytest.mark.slow(seconds=18)
def test_train_does_the_work_of_broken_files_again_and_no_other(copy, small_run, small_preset):
    broken = (
        "problems/test.jsonl",
        "harvest/part-00001.parquet",
        "model/model.safetensors",
        "gguf/small.q8_0.gguf",
    )
    for name in broken:
        cut(copy / name)
    (copy / "harvest" / "part-00002.parquet").unlink()
    result = ltf("train", small_preset, "--out", copy)
    assert result.returncode == 0, result.stderr
    told = result.stderr.splitlines()
    for name in broken:
        assert f"  {name} is truncated or damaged: set aside as {name}.broken, " in result.stderr
        assert (copy / f"{name}.broken").stat().st_size < (copy / name).stat().st_size
    assert "  missing, made again: harvest/part-00002.parquet" in told
    before = [line.split("] ")[1] for line in told if line.endswith(": done before")]
    assert before == [
        f"{STAGE[name].title}: done before" for name in ("baseline", "tune", "evaluate")
    ]
    same = (
        "problems/*l",
        "harvest/*.parquet",
        "model/*.safetensors",
        "gguf/*.gguf",
        "evaluation/*/*.json",
    )
    assert hashes(copy, *same) == hashes(small_run, *same)
    again = ltf("train", small_preset, "--out", copy)
    assert again.stderr.count("done before") == len(STAGES)  # what is set aside is nobody's


@pytest.mark.slow(seconds=15)
def test_a_record_and_a_log_are_made_again(copy, small_run, capfd):
    name = f"evaluation/base/base-{SINGLE}"
    cut(copy / name)
    cut(copy / "tuning/log.jsonl")
    others = [p for p in copy.glob("evaluation/base/*") if p.name not in (HASHES, Path(name).name)]
    kept = {p: p.stat().st_mtime_ns for p in others}
    finish(Run.load(copy), [STAGE["baseline"], STAGE["tune"]])
    told = capfd.readouterr().err
    assert f"{name} is truncated or damaged: set aside" in told
    assert "tuning/log.jsonl is truncated or damaged" in told
    assert kept == {p: p.stat().st_mtime_ns for p in others}
    again, before = read_record(copy / name), read_record(small_run / name)
    assert (again.paths, again.kinds, again.spent) == (before.paths, before.kinds, before.spent)
    assert [each.solved for each in again.scored] == [each.solved for each in before.scored]
    assert [line["step"] for line in read_jsonl(copy / "tuning/log.jsonl")] == [10, 20, 30]
    assert (copy / "tuning/log.jsonl.broken").is_file()
    same = "tuning/adapter/*.safetensors"
    assert hashes(copy, same) == hashes(small_run, same)


@pytest.mark.slow
def test_a_broken_checkpoint_is_not_gone_on_from(copy, small_run, capfd):
    run = Run.load(copy)
    run.stages["tune"].status = "running"  # as a kill leaves it
    run.save()
    (copy / "tuning/result.json").unlink()
    cut(copy / CHECKPOINT / "optimizer.pt")
    finish(run, [STAGE["tune"]])
    told = capfd.readouterr().err
    assert f"{CHECKPOINT}/optimizer.pt is truncated or damaged: set aside as {CHECKPOINT}" in told
    assert (copy / f"{CHECKPOINT}.broken").is_dir()
    assert [line["step"] for line in read_jsonl(copy / "tuning/log.jsonl")] == [10, 20, 30]
    same = "tuning/adapter/*.safetensors"
    assert hashes(copy, same) == hashes(small_run, same)


@pytest.mark.parametrize(("stage", "name", "anew"), FILES, ids=[name for _, name, _ in FILES])
def test_every_kind_of_file_is_known_to_be_broken(small_run, tmp_path, capfd, stage, name, anew):
    folder = STAGE[stage].folder
    shutil.copytree(small_run / folder, tmp_path / folder)
    run = Run(tmp_path, read_manifest(small_run))
    assert changes(run, stage) == {}
    cut(tmp_path / name)
    assert not is_whole(tmp_path / name)
    assert changes(run, stage) == {name: "changed"}
    assert list(unreadable(run, STAGE[stage])) == [tmp_path / name]
    mend(run, STAGE[stage], wanted(run, stage), {name: "changed"})
    assert f"  {name} is truncated or damaged: set aside as {name}.broken" in capfd.readouterr().err
    assert (run.stages[stage] == StageEntry()) == anew
    assert not (tmp_path / name).exists()
    if not anew:
        assert changes(run, stage) == {name: "missing"}
    clear(tmp_path / folder)
    left = [p for p in (tmp_path / folder).rglob("*") if p.is_file()]
    assert left == [tmp_path / f"{name}.broken"]


@pytest.mark.parametrize("content", [b"", b"\0" * 4096])
def test_an_empty_file_and_one_of_zeros_are_broken(tmp_path, content):
    for kind in ("json", "jsonl", "parquet", "safetensors", "gguf", "pt", "pth", "bin"):
        file = tmp_path / f"x.{kind}"
        file.write_bytes(content)
        if kind != "jsonl" or content:  # no line is no broken line
            assert not is_whole(file), kind


def test_a_file_that_is_whole_but_another_is_set_aside_too(copy, capfd):
    run, name = Run.load(copy), f"evaluation/tuned/tuned-{SINGLE}"
    write_json(copy / name, {"rates": {}})
    mend(run, STAGE["evaluate"], wanted(run, "evaluate"), changes(run, "evaluate"))
    assert f"{name} was changed since it was written: set aside" in capfd.readouterr().err


def test_a_second_broken_file_does_not_replace_the_first(copy, capfd):
    run, name = Run.load(copy), f"evaluation/tuned/tuned-{SINGLE}"
    for content in ("{", "{{"):
        (copy / name).write_text(content)
        mend(run, STAGE["evaluate"], wanted(run, "evaluate"), changes(run, "evaluate"))
    assert (copy / f"{name}.broken").read_text() == "{"
    assert (copy / f"{name}.2.broken").read_text() == "{{"
    assert f"set aside as {name}.2.broken" in capfd.readouterr().err


def test_a_log_that_ends_in_half_a_line_is_whole_and_one_with_a_hole_is_not(copy):
    run, log = Run.load(copy), copy / "tuning/log.jsonl"
    run.stages["tune"].status = "running"
    first, *rest = log.read_text().splitlines()
    log.write_text("\n".join([first, *rest[:-1], rest[-1][:20]]))
    mend(run, STAGE["tune"], wanted(run, "tune"), None)
    assert log.exists()
    assert run.stages["tune"].input
    log.write_text("\n".join([first, "\0\0\0", *rest]))
    mend(run, STAGE["tune"], wanted(run, "tune"), None)
    assert not log.exists()
    assert run.stages["tune"] == StageEntry()


def test_checkpoints_that_were_set_aside_are_kept_and_not_taken(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-20.broken", "partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tally.json").write_text("{}")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint-9",
        "checkpoint-10",
        "checkpoint-20.broken",
    }


def test_a_new_adapter_keeps_what_was_set_aside_of_the_old(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "best.json.broken").write_text("{")
    swap(folder, lambda new: new.mkdir())
    assert {path.name for path in folder.iterdir()} == {"best.json.broken", HASHES}


# ---- the manifest


@pytest.mark.parametrize(
    "content", ["", '{"preset": {"na', "[]", '{"preset": {}}', '{"preset": {}, "stages": {"a": 3}}']
)
def test_a_broken_manifest_sets_the_run_aside_and_begins_anew(copy, capfd, content):
    preset = Run.load(copy).preset
    (copy / "manifest.json").write_text(content)
    (copy / "train.log").write_text("")
    assert Run.prepare(copy, preset, False).stages == {}
    told = capfd.readouterr().err
    assert f"{copy / 'manifest.json'} is truncated or damaged" in told
    assert (copy / "manifest.json.broken").read_text() == content
    (aside,) = [path for path in copy.parent.iterdir() if path != copy]
    assert str(aside) in told
    assert (aside / "harvest" / "part-00000.parquet").is_file()
    around = {path.name for path in copy.iterdir() if not path.name.startswith(".")}
    assert around == {"manifest.json", "manifest.json.broken", "train.log"}
    (copy / "manifest.json").unlink()  # a kill between the two
    assert Run.prepare(copy, preset, False).stages == {}


@pytest.mark.slow
def test_what_only_reads_names_the_broken_file_and_renames_nothing(copy):
    cut(copy / f"evaluation/base/base-{SINGLE}")
    one_sentence(ltf("report", copy), 1, f"base-{SINGLE} is truncated or damaged", "`ltf train`")
    cut(copy / "manifest.json")
    one_sentence(ltf("report", copy), 1, "manifest.json is truncated or damaged", "`ltf train`")
    assert "manifest.json is truncated" in jobs.state(copy).ended
    assert not list(copy.rglob("*.broken"))
    with pytest.raises(RunError, match="is no run"):
        Run.load(copy / "harvest")


# ---- results of other versions and of other tasks


@pytest.mark.slow
def test_a_record_of_another_schema_is_refused_by_name_and_made_again(copy):
    file = copy / f"evaluation/base/base-{SINGLE}"
    found = read_json(file)
    write_json(file, {**found, "schema": SCHEMA + 1})
    with pytest.raises(ForeignFile, match=f"{file}.*another version.*schema {SCHEMA + 1}"):
        records(RunFolder(copy))
    write_json(file, {k: v for k, v in found.items() if k != "schema"})
    with pytest.raises(ForeignFile, match=f"{file}.*another version.*`ltf train`"):
        records(RunFolder(copy))
    one_sentence(ltf("report", copy), 1, file.name, "another version")


def test_records_of_another_schema_are_of_another_input(copy, monkeypatch):
    run = Run.load(copy)
    monkeypatch.setattr("ltf_lite.evaluation.types.SCHEMA", SCHEMA + 1)
    again = {stage.name for stage in STAGES if changes(run, stage.name) is None}
    assert again == {"baseline", "evaluate", "export"}


@pytest.mark.slow
def test_a_record_of_another_task_is_refused_by_name(copy):
    file = copy / "evaluation/base/copied.test.json"
    write_json(file, {**read_json(copy / f"evaluation/base/base-{SINGLE}"), "task": "game24"})
    with pytest.raises(ForeignFile, match=f"{file}.*game24, not countdown"):
        records(RunFolder(copy), "countdown")
    one_sentence(ltf("report", copy), 1, file.name, "game24, not countdown")
    assert read_record(file).task == "game24"
    write_json(file, [])
    with pytest.raises(BrokenFile, match="copied"):
        read_record(file, "countdown")


def test_what_was_measured_elsewhere_is_refused_too(copy):
    at = RunFolder(copy)
    file = at.elsewhere("base")
    found = read_json(file)
    write_json(file, {**found, "task": "game24"})
    with pytest.raises(ForeignFile, match=f"{file}.*game24, not countdown"):
        read_elsewhere(at, "countdown")
    write_json(file, {**found, "schema": SCHEMA - 1})
    with pytest.raises(ForeignFile, match=f"{file}.*another version"):
        read_elsewhere(at)
    write_json(file, {"schema": SCHEMA, "task": "countdown"})
    with pytest.raises(BrokenFile, match=r"retention\.json"):
        read_elsewhere(at)


def test_a_shard_of_another_task_is_refused_by_name(copy):
    rows = list(read(copy / "harvest"))[:3]
    foreign = [replace(row, problem=replace(row.problem, task="game24")) for row in rows]
    write_shard(copy / "harvest", 99, foreign)
    with pytest.raises(ForeignFile, match=r"part-00099\.parquet.*game24, not countdown"):
        tune.main(Run.load(copy))
    cut(shard(copy / "harvest", 99))
    with pytest.raises(BrokenFile, match="part-00099"):
        list(read(copy / "harvest"))


# ---- sweeps


def test_the_broken_result_of_a_cell_is_set_aside_and_does_not_hold(tmp_path, capfd):
    file = tmp_path / "result.json"
    result = CellResult("x", {}, seed=0, tuning_seconds=1.0, below=(), results=())
    write_as(file, result)
    assert _holds(tmp_path, "x")
    assert not _holds(tmp_path, "y")
    cut(file)
    assert not _holds(tmp_path, "x")
    assert f"{file} is truncated" in capfd.readouterr().err
    assert (tmp_path / "result.json.broken").is_file()

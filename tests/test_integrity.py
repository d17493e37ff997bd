"""What rots on the disk is never used for what was written: it is named, set aside, made again."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ltf_lite.app.web import sections as web_sections
from ltf_lite.app.web.words import speaker
from ltf_lite.core import seals
from ltf_lite.core.errors import LtfError
from ltf_lite.core.files import (
    BrokenFile,
    check,
    hash_file,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import StageEntry
from ltf_lite.evaluation.types import read_record, write_record
from ltf_lite.harvest import read, shard
from ltf_lite.pipeline import Run, summary
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.monitor import monitor
from ltf_lite.pipeline.run import jobs, spending
from ltf_lite.pipeline.run.lock import UnwritableError, make_writable
from ltf_lite.pipeline.run.mend import unreadable
from ltf_lite.report.sections import sections
from ltf_lite.tuning.checkpoints import last_checkpoint
from tests.conftest import ltf, one_sentence
from tests.rot import ANEW, flip, flips, half_finished

STAGE = {stage.name: stage for stage in STAGES}
SINGLE = "evaluation/base/base-cot-max-tokens-40.test.json"
SHAPES = ("", "[]", "{}", "null", "5", '"x"')


@pytest.fixture
def copy(small_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_run, tmp_path / "runs" / "small")


@pytest.fixture
def half(copy: Path) -> Run:
    return half_finished(copy)


def test_no_bit_of_a_half_finished_run_turns_over_unnoticed(half):
    for stage in STAGES:
        assert not list(unreadable(half, stage))
    found = flips(half, random.Random(0), 1)
    assert found.tried.total() > 30
    assert len(found.tried) > 10  # kinds of files
    assert not found.missed
    for stage in STAGES:
        assert not list(unreadable(half, stage))


@pytest.mark.slow
def test_what_rotted_in_a_half_finished_search_is_made_again(half, small_run, capfd):
    from ltf_lite.pipeline.train import finish

    name = "harvest/part-00002.parquet"
    table = sorted((half.folder / "harvest").glob("*.parquet"))
    before = {file.name: hash_file(file) for file in table}
    flip(half.folder / name, 8 * 2000)
    finish(half, [STAGE["search"]])
    assert f"  {name} " in capfd.readouterr().err
    assert {file.name: hash_file(file) for file in table} == before
    assert (half.folder / f"{name}.broken").is_file()


def test_a_shard_is_read_only_as_it_was_written(copy):
    file, rng = shard(copy / "harvest", 1), random.Random(1)
    content = file.read_bytes()
    rows = list(read(copy / "harvest"))
    for _ in range(20):
        flip(file, rng.randrange(8 * len(content)))
        with pytest.raises(BrokenFile, match="part-00001"):
            list(read(copy / "harvest"))
        file.write_bytes(content)
    assert list(read(copy / "harvest")) == rows


def test_pages_of_a_shard_have_checksums_of_their_own(copy):
    """So a shard that lost its hash is still not read wrongly where a page of it rotted."""
    (copy / "harvest" / seals.HASHES).unlink()
    file, rng = shard(copy / "harvest", 3), random.Random(2)
    content = file.read_bytes()
    for _ in range(20):
        flip(file, rng.randrange(64, 8 * (len(content) // 2)))
        with pytest.raises(BrokenFile):
            list(read(copy / "harvest"))
        file.write_bytes(content)


KILLED = """
import os, sys
from pathlib import Path
from ltf_lite.core import files
def killed(*_):
    os._exit(9)
setattr(*{"seal": (files.seals, "seal"), "name": (files.os, "replace")}[sys.argv[2]], killed)
files.write_json(Path(sys.argv[1]), {"new": 1})
"""


@pytest.mark.parametrize("where", ["seal", "name"])
def test_a_kill_between_a_file_and_its_hash_is_no_rot_and_loses_nothing(tmp_path, where):
    file = tmp_path / "x.json"
    for old in (None, {"old": 1}):
        if old:
            write_json(file, old)
        command = [sys.executable, "-c", KILLED, str(file), where]
        assert subprocess.run(command, check=False).returncode == 9
        assert file.exists() == bool(old)
        if old:
            assert read_json(file) == old
    write_json(file, {"new": 1})
    assert read_json(file) == {"new": 1}
    file.write_text('{"new": 2}')
    with pytest.raises(BrokenFile, match="was changed since it was written"):
        read_json(file)


def test_half_a_line_of_hashes_hides_no_other(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with open(tmp_path / seals.HASHES, "a") as hashes:
        hashes.write("0123456789abcdef  b.js")  # a kill
    write_json(tmp_path / "b.json", 2)
    assert [read_json(tmp_path / f"{name}.json") for name in "ab"] == [1, 2]
    for name in "ab":
        flip(tmp_path / f"{name}.json", 0)
        with pytest.raises(BrokenFile):
            check(tmp_path / f"{name}.json")


def test_text_with_other_ends_of_line_comes_back(tmp_path):
    rows = [{"text": "a\u2028b\x85c\x0bd"}, {"text": "e"}]
    write_jsonl(tmp_path / "x.jsonl", rows)
    assert read_jsonl(tmp_path / "x.jsonl") == rows


def test_a_checkpoint_that_rotted_or_lost_a_file_is_not_gone_on_from(copy, tmp_path, capfd):
    folder = copy / "tuning/checkpoints"
    newest, earlier = folder / "checkpoint-30", folder / "checkpoint-20"
    kept = shutil.copytree(newest, tmp_path / "kept")
    assert last_checkpoint(folder) == newest
    (newest / "optimizer.pt").unlink()
    assert last_checkpoint(folder) == earlier
    assert "optimizer.pt is damaged" in capfd.readouterr().err
    shutil.copytree(kept, newest)
    flip(newest / "adapter_model.safetensors", 8 * 500_000)
    assert last_checkpoint(folder) == earlier
    assert "adapter_model.safetensors is damaged" in capfd.readouterr().err
    assert (folder / "checkpoint-30.2.broken").is_dir()


# ---- what only looks


def changed(file: Path) -> None:
    """Make of the record of a single pass one that says that all was solved."""
    found = read_record(file)
    scored = [replace(each, rate=replace(each.rate, rate=1.0)) for each in found.scored]
    write_record(file, replace(found, scored=tuple(scored)))


@pytest.mark.slow
def test_a_changed_record_is_not_reported(copy):
    """Also where whoever changed it wrote a hash beside it: the manifest knows another."""
    before = {file: hash_file(file) for file in copy.rglob("*") if file.is_file()}
    changed(copy / SINGLE)
    one_sentence(ltf("report", copy), 1, SINGLE, "was changed since it was written", "`ltf train`")
    one_sentence(ltf("report", copy, "--json"), 1, SINGLE)
    for file, content in before.items():
        if file.parent != (copy / SINGLE).parent and file != copy / ".lock":
            assert hash_file(file) == content, file
    with pytest.raises(BrokenFile, match=SINGLE):
        web_sections.of_run(Run.load(copy), speaker("en"))
    with pytest.raises(BrokenFile, match=SINGLE):
        Run.load(copy).check("search", "baseline", "evaluate")


@pytest.mark.parametrize("name", ["tuning/log.jsonl", "harvest/part-00000.parquet", SINGLE])
def test_a_changed_file_of_a_run_without_hashes_is_known_by_the_manifest(copy, name):
    for hashes in copy.rglob(seals.HASHES):
        hashes.unlink()
    Run.load(copy).check()
    content = (copy / name).read_bytes()
    at = content.rindex(b"1") if name.endswith("l") else len(content) // 2
    flip(copy / name, 8 * at)
    with pytest.raises(BrokenFile, match=f"{name} was changed"):
        Run.load(copy).check()


def test_other_problems_are_not_monitored(copy):
    file = RunFolder(copy).problems("test")
    write_jsonl(file, read_jsonl(file)[::-1])
    with pytest.raises(BrokenFile, match=r"test\.jsonl was changed"):
        monitor(Run.load(copy), "tiny-base", 2)
    assert not RunFolder(copy).history.exists()


def looks(folder: Path) -> list[Callable[[], object]]:
    """Everything that shows a run or begins to go on with it."""
    return [
        lambda: jobs.state(folder),
        lambda: jobs.curves(folder),
        lambda: summary(Run.load(folder)),
        lambda: sections(*(getattr(Run.load(folder), n) for n in ("at", "manifest", "preset"))),
        lambda: Run.load(folder).check(),
        lambda: [list(unreadable(Run.load(folder), stage)) for stage in STAGES],
    ]


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        SINGLE,
        "evaluation/tuned/retention.json",
        "gguf/parity.json",
        "problems/test.jsonl",
        "tuning/adapter/best.json",
        "evaluation/base/validation.json",
        "tuning/examples.json",
        "tuning/log.jsonl",
        "tuning/result.json",
        "tuning/run.json",
        "manifest.json",
        "progress.json",
        "spent.json",
    ],
)
@pytest.mark.slow(seconds=2)
def test_json_of_another_shape_is_a_broken_file(copy, name, sealed):
    """Every file of a run that holds JSON, whole but of something else."""
    file = copy / name
    if not sealed:
        (file.parent / seals.HASHES).unlink()
    told = name not in ("progress.json", "spent.json")  # what nobody misses
    for shape in SHAPES:
        file.write_text(shape)
        said = []
        for look in looks(copy):
            try:
                look()
            except LtfError as error:
                said.append(str(error))
        assert bool(said) == told, shape
        assert all(name in each for each in said)
        if not told or name == "manifest.json":
            continue
        stage = next(stage for stage in STAGES if file.is_relative_to(copy / stage.folder))
        run = Run.load(copy)
        run.entry(stage.name).status = "running"
        empty = name.endswith("log.jsonl") and not (sealed or shape)  # as tuning once began one
        if stage.name not in ANEW and not empty:
            assert file in list(unreadable(run, stage)), shape


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_told_of_spending_in_another_shape_stops_nothing(tmp_path, small_preset, shape):
    from ltf_lite.pipeline.train import finish
    from ltf_lite.presets import load

    run = Run.prepare(tmp_path, load(str(small_preset)), False)
    run.at.spent.write_text(shape)
    run.at.progress.write_text(shape)
    assert jobs.state(tmp_path).progress is None
    assert spending.spent(run.at.spent, "problems", "x") is None
    if shape == "{}":
        finish(run, STAGES[:1])
        assert run.entry("problems").status == "done"


def test_spending_that_rotted_is_not_taken_over(tmp_path):
    file = tmp_path / "spent.json"
    with spending.telling(file, "tune", StageEntry(input="a", seconds=700.0), time.monotonic()):
        pass
    assert spending.spent(file, "tune", "a").seconds >= 700
    file.write_text(file.read_text().replace('"seconds": 70', '"seconds": 50', 1))
    assert spending.spent(file, "tune", "a") is None


# ---- where nothing can be written


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk of its own, by its mount options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
        return place

    yield mounted
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.mark.slow
def test_a_finished_run_that_cannot_be_written_is_shown(small_run, disk):
    folder = shutil.copytree(small_run, disk("size=64m") / "small")
    remount = ["mount", "-o", "remount,ro", str(folder.parent)]
    assert not subprocess.run(remount, check=False).returncode
    result = ltf("report", folder)
    assert result.returncode == 0, result.stderr
    assert "Single pass: " in result.stdout
    assert f"the report is not written anew: cannot write to {folder}" in result.stderr
    one_sentence(ltf("train", small_run.parent / "none", "--out", folder), 2)


@pytest.mark.parametrize("name", ["harvest", "tuning", "evaluation", "gguf", "tuning/adapter"])
@pytest.mark.slow
def test_nothing_is_written_through_a_link(copy, small_preset, tmp_path, name):
    away = tmp_path / "away"
    (copy / name).rename(away)
    (copy / name).symlink_to(away)
    before = {file: file.stat().st_mtime_ns for file in away.rglob("*")}
    with pytest.raises(UnwritableError, match=f"{name} is a link, and a run writes through none"):
        make_writable(copy)
    if name == "harvest":
        one_sentence(ltf("train", small_preset, "--out", copy), 1, f"{name} is a link")
        assert ltf("report", copy).returncode == 0
    assert {file: file.stat().st_mtime_ns for file in away.rglob("*")} == before


@pytest.mark.slow
def test_a_link_to_nothing_is_no_folder_for_a_run(small_preset, tmp_path):
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "gone")
    for out in (link, link / "deeper"):
        one_sentence(ltf("train", small_preset, "--out", out), 1, "is a link to nothing")
    assert not (tmp_path / "gone").exists()


def test_a_file_of_hashes_that_grows_is_read_on_and_one_that_was_changed_anew(tmp_path):
    seals.seal(tmp_path, {"a": "0" * 16})
    assert seals.sealed(tmp_path) == {"a": {"0" * 16}}
    with open(tmp_path / seals.HASHES, "ab") as file:
        file.write(b"\n" + b"1" * 16 + b"  b")  # half a line: its writer was killed
    assert seals.sealed(tmp_path) == {"a": {"0" * 16}}
    seals.seal(tmp_path, {"b": "2" * 16, "a": "3" * 16})
    known = {"a": {"0" * 16, "3" * 16}, "b": {"1" * 16, "2" * 16}}
    assert seals.sealed(tmp_path) == known
    told = (tmp_path / seals.HASHES).read_bytes()
    (tmp_path / seals.HASHES).write_bytes(told.replace(b"3" * 16, b"4" * 16))
    assert seals.sealed(tmp_path)["a"] == {"0" * 16, "4" * 16}
    (tmp_path / seals.HASHES).unlink()
    assert seals.sealed(tmp_path) == {}


def test_a_hundred_thousand_hashes_are_not_read_for_each_file(tmp_path, monkeypatch):
    seals.seal(tmp_path, {f"part-{n:05d}": "0" * 16 for n in range(100_000)})
    assert seals.unchanged(tmp_path / "part-00007", "0" * 16)
    monkeypatch.setattr(seals, "_LINE", re.compile("never"))  # none would be found now
    assert not any(seals.unchanged(tmp_path / f"part-{n:05d}", "1" * 16) for n in range(1000))

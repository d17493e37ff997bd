"""Sweeps: the grid, one real sweep that is killed and goes on, and a table that says what was."""

from __future__ import annotations

import copy
import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ltf_lite.core.files import read_as, write_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.seals import HASHES
from ltf_lite.evaluation.sweep import CellResult, Group, sweep_table
from ltf_lite.evaluation.types import Cost, Rate, Result, Scored, read_record
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.run.lock import locked
from ltf_lite.pipeline.sweep.grid import cell_of, grid, grids
from ltf_lite.pipeline.sweep.sweep import _holds, sweep
from ltf_lite.presets import PresetError, parse
from ltf_lite.reasoners import Choice
from ltf_lite.report.sweep import as_csv, as_markdown
from ltf_lite.tuning.types import TuningResult
from tests.conftest import SMALL, ltf, one_sentence

SMALLER = copy.deepcopy(SMALL) | {
    "name": "smaller",
    "problems": {"train": 60, "validation": 8, "test": 12},
    "search": [{"name": "dfs", "paths": 1, "failures": 2}],
    "evaluation": [
        {"name": "random"},
        {"name": "cot", "n": 1, "max_tokens": 40},
        {"name": "tot", "beam": 1},
    ],
}
SMALLER["retention"] = {"problems": 8, "heldout_nll": 0.5}  # which no three steps reach
SMALLER["tuning"] |= {"steps": 3, "eval_every": 1, "warmup": 1, "batch": 8}
PRESET = parse(SMALLER, "test")
TOT = "tree of thoughts (beam 1)"


def names(*pairs: str) -> list[str]:
    return [cell.label for cell in grid(PRESET, pairs)]


def test_what_a_method_does_not_know_makes_no_cell_of_its_own():
    found = grid(PRESET, ["method=sft,uft", "alpha=1e-5,1e-3", "learning_rate=1e-4"])
    assert [cell.settings for cell in found] == [
        {"method": "sft", "learning_rate": 1e-4},
        {"method": "uft", "alpha": 1e-5, "learning_rate": 1e-4},
        {"method": "uft", "alpha": 1e-3, "learning_rate": 1e-4},
    ]
    assert [cell.preset.tuning.alpha for cell in found[1:]] == [1e-5, 1e-3]
    assert found[0].preset.tuning.steps == 3
    assert found[2].seeded(7).tuning.seed == 7
    assert found[2].id == "method-uft-alpha-0.001-learning_rate-0.0001"


def test_equal_cells_are_one_however_they_are_written():
    assert names("alpha=1e-4,0.0001,1.0e-4") == ["alpha=0.0001"]
    assert names("rank=4,8", "alpha=0.5") == ["alpha=0.5 rank=4", "alpha=0.5 rank=8"]
    assert names("alpha=0.5", "rank=4,8") == names("rank=4,8", "tuning.alpha=0.5")
    failures = ("method=sft,uft", "harvest.failures_per_problem=1,2")
    assert len(names(*failures)) == 3  # sft does not draw them
    assert names() == ["as in the preset"]
    assert names("targets=[q_proj,v_proj],[q_proj]") == ["targets=q_proj+v_proj", "targets=q_proj"]


def test_a_method_takes_its_own_defaults_and_keeps_what_the_preset_says():
    told = {**SMALLER["tuning"], "method": "npo"}
    betas = {
        "customary": [c.preset.tuning.own().get("beta") for c in _methods(told)],
        "told": [c.preset.tuning.own().get("beta") for c in _methods({**told, "beta": 0.5})],
    }
    assert betas == {"customary": [0.1, 2.0, None], "told": [0.5, 0.5, None]}


def _methods(tuning: dict) -> list:
    return grid(parse({**SMALLER, "tuning": tuning}, "test"), ["method=npo,simpo,uft"])


def test_a_cell_is_the_same_after_its_settings_were_written_down():
    asked = ["method=sft,npo", "alpha=0.1,0.2", "harvest.reasoners=[dfs]", "targets=[q_proj]"]
    cells = grid(PRESET, asked)
    assert len(cells) == 3
    for cell in cells:
        again = cell_of(PRESET, json.loads(json.dumps(cell.settings)))
        assert (again.id, again.preset) == (cell.id, cell.preset)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["alhpa=0.1"], ["tuning.alhpa", "alpha"]),
        (["harvest.success_per_problem=1"], ["harvest.success_per_problem", "successes_per"]),
        (["alpha=0.1,1.5"], ["tuning.alpha", "less than 1"]),
        (["method=uft,sfd"], ["sfd", "sft"]),
        (["method=[a]"], ["tuning.method"]),
        (["method=sft", "alpha=0.1"], ["alpha", "sft", "leave it out"]),
        (["problems.train=10"], ["problems.train", "tuning and harvest"]),
        (["evaluation=1,2", "seed=1"], ["seed", "--seeds"]),
        (["alpha=0.1", "tuning.alpha=0.2"], ["alpha", "twice"]),
        (["alpha"], ["NAME=VALUE"]),
        (["alpha="], ["NAME=VALUE"]),
        (["=1"], ["NAME=VALUE"]),
        (["alpha=1,]"], ["NAME=VALUE"]),
    ],
)
def test_a_grid_that_cannot_be_is_refused_by_name(pairs, words):
    with pytest.raises(PresetError) as caught:
        grid(PRESET, pairs)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_preset_may_name_the_grids_of_its_sweep():
    named = {
        "loss": {"method": ["sft", "uft"], "alpha": [0.1]},
        "data": {"tuning.method": ["sft"], "harvest.reasoners": [["dfs"]]},
    }
    found = grids(parse({**SMALLER, "sweep": {"grids": named}}, "test"))
    assert {name: [cell.label for cell in cells] for name, cells in found.items()} == {
        "loss": ["method=sft", "method=uft alpha=0.1"],
        "data": ["method=sft harvest.reasoners=dfs"],
    }
    assert grids(PRESET) == {}
    for wrong, word in (({"alhpa": [1]}, "alpha"), ({"problems.train": [1]}, "tuning and harvest")):
        with pytest.raises(PresetError, match=f"sweep.grids.mine.*{word}"):
            grids(parse({**SMALLER, "sweep": {"grids": {"mine": wrong}}}, "test"))


def test_the_page_has_a_table_for_each_grid_with_its_own_settings():
    groups = [
        Group("a", {"method": "sft"}, None, {0: result(0.3, 0.2)}, {}),
        Group("b", {"alpha": 0.1}, None, {0: result(0.4, 0.2)}, {}),
        Group("c", {"alpha": 0.2}, None, {0: result(0.5, 0.2)}, {}),
    ]
    named = {"first": ["a"], "second": ["a", "b"]}
    page = as_markdown(sweep_table("p", BASE, groups, named))
    first, second, earlier = (page.split(f"## {name}\n")[1] for name in (*named, "earlier"))
    assert "method" in first.splitlines()[1]
    assert "alpha" not in first.splitlines()[1]
    assert [second.count("| base "), second.split("##")[0].count("| tuned ")] == [2, 2]
    assert "50.0 %" in earlier
    assert "50.0 %" not in second.split("##")[0]


SINGLE = Choice("single_pass")
SEARCH = Choice("search", picker="value")


def row(model: str, choice: Choice, rate: float) -> Result:
    """What a reasoner of the table came to on 100 problems."""
    reasoner, settings = ("cot", {}) if choice == SINGLE else ("tot", {"beam": 1})
    scored = Scored(choice, Rate(rate, rate / 2, 0.9, 100), Cost(10.0, 20.0, 0.1))
    answer = "single pass" if choice == SINGLE else TOT
    label = "cot" if choice == SINGLE else "tot beam=1"
    return Result(model, answer, reasoner, label, settings, 7, rate, scored)


def result(single: float, search: float, seed: int = 0) -> CellResult:
    found = row("tuned", SINGLE, single), row("tuned", SEARCH, search)
    return CellResult("input", {}, seed, 10 * single, (), found)


BASE = [row("base", SINGLE, 0.1), row("base", SEARCH, 0.4)]


def test_the_table_has_means_and_intervals_over_seeds_and_what_is_kept_of_search():
    sft = {0: result(0.3, 0.2), 1: result(0.5, 0.2)}
    uft = {0: result(0.4, 0.3), 1: result(0.8, 0.1), 2: result(0.6, 0.2)}
    groups = [
        Group("sft", {"method": "sft"}, None, sft, {}),
        Group("uft", {"method": "uft", "alpha": 0.1}, "sft", uft, {}),
        Group("one", {"method": "npo"}, "gone", {1: result(0.5, 0.4)}, {0: "stage x | stopped"}),
    ]
    found = sweep_table("p", BASE, groups, {"": []})
    base, sft_row, uft_row, one = found.rows
    assert (base.abilities[TOT].low, base.abilities[TOT].high) == (0.2, 0.9)
    # two seeds: 12.706 standard errors, cut at 0; three: 4.303 of 0.2 / sqrt(3)
    assert sft_row.abilities["single pass"].rate == pytest.approx(0.4)
    assert sft_row.abilities["single pass"].low == 0
    # two seeds that agree: still only 20 of 100 problems
    ends = sft_row.abilities[TOT].low, sft_row.abilities[TOT].high
    assert ends == pytest.approx((0.1334, 0.2888), abs=1e-4)
    single = uft_row.abilities["single pass"]
    assert single.low == pytest.approx(0.6 - 4.303 * 0.11547, abs=1e-4)
    assert single.high == 1
    assert uft_row.abilities[TOT].high == pytest.approx(0.2 + 4.303 * 0.057735, abs=1e-4)
    assert uft_row.abilities[TOT].kept == pytest.approx(0.5)
    assert uft_row.valid_steps == pytest.approx(0.6)
    assert uft_row.tuning_seconds == pytest.approx(6.0)
    # one seed: the interval of the record
    assert (one.abilities[TOT].low, one.abilities[TOT].high) == (0.2, 0.9)
    (gain,) = found.beside_sft  # seeds 0 and 1 of uft against those of sft
    assert (gain.cell, gain.seeds) == ("uft", (0, 1))
    assert gain.abilities["single pass"].mean == pytest.approx(0.2)
    assert gain.abilities[TOT].mean == pytest.approx(0.0)
    assert gain.abilities[TOT].high == pytest.approx(12.706 * 0.1, abs=1e-3)
    page = as_markdown(found)
    assert "20.0 % [0.0, 44.8]" in page
    assert "seed 0: stage x / stopped" in page
    lines = list(csv.DictReader(as_csv(found).splitlines()))
    assert [line["seeds"] for line in lines] == ["0", "2", "3", "1"]
    assert float(lines[2][f"{TOT} kept"]) == pytest.approx(0.5)


def test_the_broken_result_of_a_cell_is_set_aside_and_does_not_hold(tmp_path, capfd):
    file = tmp_path / "result.json"
    write_as(file, replace(result(0.3, 0.2), input="x"))
    assert _holds(tmp_path, "x")
    assert not _holds(tmp_path, "y")
    file.write_bytes(file.read_bytes()[:-20])
    assert not _holds(tmp_path, "x")
    assert f"{file} is truncated" in capfd.readouterr().err
    assert (tmp_path / "result.json.broken").is_file()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("presets") / "smaller.yaml"
    file.write_text(yaml.safe_dump(SMALLER))
    return file


BAD, GOOD = "learning_rate-0.9", "learning_rate-0.002"


@pytest.fixture(scope="module")
def swept(file, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess, dict[Path, int]]:
    """A sweep whose first cell fails, killed while it tunes the second, and called again.

    Its folder, its second call, and what the first had finished.
    """
    folder = tmp_path_factory.mktemp("runs") / "smaller.sweep"
    asked = ["sweep", file, "--set", "learning_rate=0.9,2e-3", "--out", folder]
    command = [sys.executable, "-m", "ltf_lite", *map(str, asked)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = folder / "cells" / GOOD / "seed-0"
    while process.poll() is None and not (second / "tuning" / "run.json").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (second / "result.json").exists(), "it was to be killed before it was done"
    finished = stamps(folder)
    return folder, ltf(*asked, "--json"), finished


def stamps(folder: Path) -> dict[Path, int]:
    """When each file that is not to be made again was written."""
    patterns = ("shared/harvest/*", "shared/evaluation/*/*", "cells/*/*/result.json")
    files = [file for pattern in patterns for file in folder.glob(pattern) if file.name != HASHES]
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.slow(seconds=39)
def test_search_and_base_are_shared_and_what_is_done_is_not_done_again(swept):
    folder, call, finished = swept
    assert call.stderr.count(": done before") == 3
    assert "Tuning 2/2, " in call.stderr
    # The harvest; three reasoners, what is not tuned on, and the base's validation.
    assert len(finished) == 1 + 5
    assert finished.items() <= stamps(folder).items()
    cell = folder / "cells" / GOOD / "seed-0"
    for part in folder.glob("shared/harvest/*.parquet"):
        assert part.stat().st_nlink == 3  # the harvests of both cells are this file
    stages = ["problems", "baseline", "search", "tune", "merge", "evaluate"]
    assert list(Run.load(cell).stages) == stages
    assert (cell / "tuning" / "adapter").is_dir()
    assert not (cell / "model").exists()
    assert not (cell / "tuning" / "checkpoints").exists()


@pytest.mark.slow
def test_a_cell_that_fails_says_why_and_stops_no_other(swept):
    folder, call, _ = swept
    one_sentence(call, 1, BAD)
    _, bad, good = json.loads(call.stdout)["rows"]
    assert (bad["cell"], bad["seeds"], bad["abilities"]) == (BAD, [], {})
    assert "exploded" in bad["failed"]["0"]
    assert (good["cell"], good["seeds"], good["failed"]) == (GOOD, [0], {})
    assert (bad["below"], good["below"]) == ({}, {"0": ["heldout_nll"]})
    assert "seed 0: heldout_nll" in (folder / "sweep.md").read_text()
    assert "exploded" in (folder / "sweep.md").read_text()


@pytest.mark.slow
def test_the_table_says_what_the_records_say(swept):
    folder, call, _ = swept
    records = {
        "base": folder / "shared" / "evaluation" / "base",
        GOOD: folder / "cells" / GOOD / "seed-0" / "evaluation" / "tuned",
    }
    printed = {line["cell"]: line for line in json.loads(call.stdout)["rows"]}
    with (folder / "results.csv").open() as file:
        written = {line["cell"]: line for line in csv.DictReader(file)}
    page, tots = (folder / "sweep.md").read_text(), []
    for name, place in records.items():
        (file,) = place.glob("*-cot-max-tokens-40.test.json")
        single = read_record(file)
        (file,) = place.glob("*-tot-beam-1.test.json")
        tot = read_record(file).of("search").rate
        tots.append(tot.rate)
        line, solved = printed[name], sum(path.verdict.correct for path in single.paths)
        assert line["abilities"]["single pass"]["rate"] == solved / 12
        assert line["abilities"][TOT]["rate"] == tot.rate
        assert line["abilities"][TOT]["high"] == tot.high  # one seed: Wilson
        assert line["valid_steps"] == single.valid_steps
        assert float(written[name]["single pass"]) == solved / 12
        assert f"{100 * tot.rate:.1f} % [{100 * tot.low:.1f}, " in page
    assert printed[GOOD]["abilities"][TOT]["kept"] == tots[1] / tots[0]
    tuned = RunFolder(folder / "cells" / GOOD / "seed-0").tuning_result
    assert printed[GOOD]["tuning_seconds"] == read_as(tuned, TuningResult).seconds


@pytest.mark.slow
def test_another_grid_adds_to_the_first_and_a_changed_preset_makes_it_void(swept):
    folder, before = swept[0], stamps(swept[0])
    unfit = ["max_length=9"]  # no path fits, so that it fails at once

    def shown(data: dict) -> list[str]:
        preset = parse(data, "test")
        cells = {"": grid(preset, unfit)}
        return [row.cell for row in sweep(preset, cells, 1, folder).rows]

    assert shown(SMALLER) == ["base", "max_length-9", GOOD]
    assert before == stamps(folder)
    assert shown({**SMALLER, "harvest": {"failures_per_problem": 1}}) == ["base", "max_length-9"]
    assert before == stamps(folder)  # what is shared does not depend on it


@pytest.mark.slow
def test_what_cannot_be_is_refused_before_anything_is_written(file, tmp_path):
    folder = tmp_path / "out"
    one_sentence(ltf("sweep", file, "--set", "alhpa=1", "--out", folder), 2, "alhpa", "'alpha'")
    assert ltf("sweep", file, "--seeds", "0", "--out", folder).returncode == 2
    assert not folder.exists()
    folder.mkdir()
    (folder / "letters.txt").write_text("dear")
    with pytest.raises(RunError, match="is no sweep"):
        sweep(PRESET, {"": grid(PRESET, [])}, 1, folder)
    assert not (folder / "shared").exists()
    with locked(folder), pytest.raises(RunError, match="another process"):
        sweep(PRESET, {"": grid(PRESET, [])}, 1, folder)


@pytest.mark.slow
def test_the_sweep_of_another_preset_is_refused(swept):
    other = parse({**SMALLER, "name": "other"}, "test")
    with pytest.raises(RunError, match=r"'smaller', not 'other'"):
        sweep(other, {"": grid(other, [])}, 1, swept[0])

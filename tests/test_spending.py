"""What a stage spends: energy by counters that turn over, sums over parts that a kill divided."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltf_lite.files import read_json
from ltf_lite.pipeline import spending
from ltf_lite.pipeline.energy import Meter, counters
from ltf_lite.pipeline.run import SPENT, Run
from ltf_lite.presets import parse
from tests.conftest import SMALL

MODEL_STAGES = ("baseline", "search", "tune", "evaluate", "export")
SPAN = 262_143_328_850  # microjoules, of a real package


def zone(powercap: Path, folder: str, name: str, microjoules: int) -> Path:
    """A counter as the kernel shows it; returns the file to count on in."""
    place = powercap / folder
    place.mkdir(parents=True)
    (place / "name").write_text(f"{name}\n")
    (place / "max_energy_range_uj").write_text(f"{SPAN}\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    return place / "energy_uj"


def packages(powercap: Path) -> list:
    """The counters of a powercap folder, without the cards that this machine may have."""
    return [counter for counter in counters(powercap) if counter.name.startswith("package")]


def test_packages_are_summed_and_may_turn_over(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", SPAN - 1_000_000)
    meter = Meter(packages(tmp_path))
    assert meter.devices == ["package-0", "package-1"]
    assert meter.look() == 0.0
    first.write_text("7500000\n")
    second.write_text("3000000\n")  # past its end by 3 J
    assert meter.look() == pytest.approx(2.5 + 4.0)
    first.write_text("8500000\n")
    assert meter.look() == pytest.approx(2.5 + 4.0 + 1.0)


def test_no_energy_is_counted_twice(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    inside = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    around = zone(tmp_path, "intel-rapl:1", "psys", 0)
    again = zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0)
    meter = Meter(packages(tmp_path))
    for file in (inside, around, again):
        file.write_text("9000000\n")
    assert meter.look() == 0.0


def test_what_cannot_be_read_does_not_count(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 0).unlink()  # as where only root may
    assert packages(tmp_path) == []
    assert packages(tmp_path / "none") == []
    assert Meter([]).look() is None
    file = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    meter = Meter(packages(tmp_path))
    file.write_text("2000000\n")
    assert meter.look() == 2.0
    file.unlink()
    assert meter.look() == 2.0


def test_joules_add_up_over_parts_and_are_not_told_where_nothing_counts(tmp_path, monkeypatch):
    file, entry = tmp_path / SPENT, {"input": "a", "seconds": 2.0}
    monkeypatch.setattr(spending, "counters", list)
    with spending.telling(file, "tune", entry, time.monotonic()):
        pass
    assert not {"joules", "metered"} & spending.spent(file, "tune", "a").keys()

    counted = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    monkeypatch.setattr(spending, "counters", lambda: packages(tmp_path))
    for part in (1, 2):
        with spending.telling(file, "tune", entry, time.monotonic() - 10):
            counted.write_text(f"{30_000_000 * part}\n")
        entry |= spending.spent(file, "tune", "a")
        assert entry["joules"] == 30.0 * part
        assert entry["seconds"] == pytest.approx(2.0 + 10 * part, abs=0.5)
    assert entry["metered"] == ["package-0"]


def test_what_is_told_of_another_stage_or_input_is_left(tmp_path):
    file = tmp_path / SPENT
    assert spending.spent(file, "tune", "a") == {}
    with spending.telling(file, "tune", {"input": "a"}, time.monotonic()):
        pass
    assert spending.spent(file, "tune", "a")["peak_bytes"] > 1e6
    assert spending.spent(file, "tune", "b") == spending.spent(file, "search", "a") == {}
    file.write_text(file.read_text()[:20])
    assert spending.spent(file, "tune", "a") == {}


def test_every_stage_that_asks_a_model_tells_its_tokens(small_run):
    stages = read_json(small_run / "manifest.json")["stages"]
    for name in MODEL_STAGES:
        stage = stages[name]
        assert stage["tokens_in"] > stage["tokens_out"] > 0, name
        assert 0 < stage["engine_seconds"] < stage["seconds"], name
    result = read_json(small_run / "tuning" / "result.json")
    assert stages["tune"]["tokens_trained"] == sum(result["tokens"].values()) > 0
    for name, model in (("baseline", "base"), ("evaluate", "tuned")):
        files = small_run.glob(f"evaluation/{model}/*.test.json")
        told = [read_json(file)["tokens_out"] for file in files]
        assert stages[name]["tokens_out"] >= sum(told)
    assert stages["report"]["tokens_out"] == 0
    assert not (small_run / SPENT).exists()


TWO_STAGES = """
import sys
from pathlib import Path
from ltf_lite.pipeline.run import Run, locked
from ltf_lite.pipeline.train import STAGES, finish
folder = Path(sys.argv[1])
with locked(folder):
    finish(Run.load(folder), STAGES[:2])
"""


def records_of(folder: Path) -> dict[str, int]:
    """Generated tokens of each evaluation record that is there."""
    files = folder.glob("evaluation/base/*.test.json")
    return {file.name: read_json(file)["tokens_out"] for file in files}


def test_a_stage_that_was_killed_adds_up_what_both_parts_spent(tmp_path):
    data = copy.deepcopy(SMALL) | {"evaluation": [
        {"name": "cot", "n": 1, "max_tokens": 40}, *({"name": "tot", "beam": n} for n in (3, 4, 5)),
    ]}  # fmt: skip
    data["problems"] = {"train": 4, "validation": 4, "test": 60}
    folder = tmp_path / "run"
    folder.mkdir()
    Run.prepare(folder, parse(data, "test"), False)
    command = [sys.executable, "-c", TWO_STAGES, str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    before: dict = {}
    while process.poll() is None and not (before.get("tokens_out") and records_of(folder)):
        time.sleep(0.05)
        if (folder / SPENT).is_file():
            before = json.loads((folder / SPENT).read_text())["spent"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert read_json(folder / "manifest.json")["stages"]["baseline"]["status"] == "running"
    time.sleep(1.0)  # its child notices, and may tell once more until then
    before = json.loads((folder / SPENT).read_text())["spent"]
    kept = records_of(folder)
    assert 0 < len(kept) < 4

    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=300)
    entry = read_json(folder / "manifest.json")["stages"]["baseline"]
    anew = sum(tokens for name, tokens in records_of(folder).items() if name not in kept)
    assert entry["tokens_out"] >= before["tokens_out"] + anew > anew > 0
    assert entry["engine_calls"] > before["engine_calls"] > 0
    assert entry["seconds"] > before["seconds"] > 1.0
    assert entry["peak_bytes"] >= before["peak_bytes"]
    assert not (folder / SPENT).exists()

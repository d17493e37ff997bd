"""What a stage spends: energy by counters that turn over, sums over parts that a kill divided."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltf_lite.core.files import read_as, read_json, write_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Spent, StageEntry, read_manifest
from ltf_lite.evaluation.types import read_record
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run import spending
from ltf_lite.pipeline.run.energy import Meter, counters
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.train import finish
from ltf_lite.presets import parse
from ltf_lite.tuning.types import TuningResult
from tests.conftest import SMALL

SPENT = "spent.json"
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
    file, entry = tmp_path / SPENT, StageEntry(input="a", seconds=2.0)
    monkeypatch.setattr(spending, "counters", list)
    with spending.telling(file, "tune", entry, time.monotonic()):
        pass
    told = spending.spent(file, "tune", "a")
    assert (told.joules, told.metered) == (None, ())

    counted = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    monkeypatch.setattr(spending, "counters", lambda: packages(tmp_path))
    for part in (1, 2):
        with spending.telling(file, "tune", entry, time.monotonic() - 10):
            counted.write_text(f"{30_000_000 * part}\n")
        spending.take_over(entry, file, "tune")
        assert entry.joules == 30.0 * part
        assert entry.seconds == pytest.approx(2.0 + 10 * part, abs=0.5)
    assert entry.metered == ("package-0",)


def test_what_is_told_of_another_stage_or_input_is_left(tmp_path):
    file = tmp_path / SPENT
    assert spending.spent(file, "tune", "a") is None
    with spending.telling(file, "tune", StageEntry(input="a"), time.monotonic()):
        pass
    assert spending.spent(file, "tune", "a").peak_bytes > 1e6
    assert spending.spent(file, "tune", "b") is spending.spent(file, "search", "a") is None
    entry = StageEntry(input="b", tokens_out=3)
    spending.take_over(entry, file, "tune")
    assert entry == StageEntry(input="b", tokens_out=3)
    for content in (file.read_text()[:20], "[]", '{"stage": "tune", "input": "a", "spent": 3}'):
        file.write_text(content)
        assert spending.spent(file, "tune", "a") is None


def test_what_no_system_tells_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert spending._peak() is None
    both = spending.added(Spent(peak_bytes=5), Spent(seconds=1.0))
    assert (both.peak_bytes, both.joules, both.peak_device_bytes) == (5, None, None)


def test_every_stage_that_asks_a_model_tells_its_tokens(small_run):
    stages, at = read_manifest(small_run).stages, RunFolder(small_run)
    for name in MODEL_STAGES:
        stage = stages[name]
        assert min(stage.tokens_in, stage.tokens_out) > 0, name
        assert 0 < stage.engine_seconds < stage.seconds, name
    result = read_as(at.tuning_result, TuningResult)
    assert stages["tune"].facts["tokens_trained"] == result.tokens.total > 0
    for name, model in (("baseline", "base"), ("evaluate", "tuned")):
        files = small_run.glob(f"evaluation/{model}/*.test.json")
        told = [read_record(file).tokens_out for file in files]
        assert stages[name].tokens_out >= sum(told)
    assert stages["report"].tokens_out == 0
    assert not (small_run / SPENT).exists()


PART = """
import sys, time
from itertools import count
from pathlib import Path
from ltf_lite.core.manifest import StageEntry
from ltf_lite.engines import Sampling, open_engine
from ltf_lite.pipeline.run import spending
file, calls = Path(sys.argv[1]), int(sys.argv[2])
entry = StageEntry(input="a")
spending.take_over(entry, file, "search")
with spending.telling(file, "search", entry, time.monotonic()):
    engine = open_engine("tiny-base")
    for call in range(calls) if calls else count():
        engine.generate(["Use 1, 2 and 3 to make 6"] * (call + 1), Sampling(max_tokens=8))
print(engine.usage.calls, engine.usage.tokens_in, engine.usage.tokens_out)
"""


@pytest.mark.slow
def test_a_part_that_was_killed_adds_up_with_the_next(tmp_path):
    file = tmp_path / SPENT
    endless = subprocess.Popen([sys.executable, "-c", PART, str(file), "0"])
    while not (told := spending.spent(file, "search", "a")) or not told.tokens_out:
        assert endless.poll() is None
        time.sleep(0.05)
    endless.kill()
    endless.wait()
    before = spending.spent(file, "search", "a")
    command = [sys.executable, "-c", PART, str(file), "3"]
    part = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    after = spending.spent(file, "search", "a")
    names = ("engine_calls", "tokens_in", "tokens_out")
    assert [getattr(after, n) - getattr(before, n) for n in names] == [
        int(n) for n in part.stdout.split()
    ]
    assert after.seconds > before.seconds > 1.0
    assert after.peak_bytes >= before.peak_bytes > 1e6


KILLED = """
import os, signal, sys, time
from pathlib import Path
from ltf_lite.core import files
from ltf_lite.core.manifest import StageEntry
from ltf_lite.engines import Sampling, open_engine
from ltf_lite.pipeline.run import spending
spending.EVERY = 1e6  # nothing is told because time went by
place, real, left = Path(sys.argv[1]), os.replace, int(sys.argv[2])
def replace(source, target):
    real(source, target)
    if target == place / f"part-{left}.json":
        os.kill(os.getpid(), signal.SIGKILL)
files.os.replace = replace
with spending.telling(place / "spent.json", "search", StageEntry(input="a"), time.monotonic()):
    engine = open_engine("tiny-base")
    for part in range(left + 1):
        engine.generate(["Use 1, 2 and 3 to make 6"], Sampling(max_tokens=8))
        files.write_json(place / f"part-{part}.json", engine.usage.tokens_out)
"""


@pytest.mark.parametrize("left", [0, 2])
@pytest.mark.slow(seconds=8)
def test_every_file_that_a_kill_left_has_its_tokens_told(tmp_path, left):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(left)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    parts = sorted(tmp_path.glob("part-*.json"))
    assert len(parts) == left + 1
    held = read_json(parts[-1])
    assert held > 0
    assert spending.spent(tmp_path / SPENT, "search", "a").tokens_out == held


def test_a_run_goes_on_with_what_a_kill_left_told(tmp_path):
    run = Run.prepare(tmp_path, parse(SMALL, "test"), False)
    stage = STAGES[0]
    wanted = run.input_hash(stage.parts, stage.upstream)
    run.stages[stage.name] = StageEntry(input=wanted, seconds=1.0, status="running")
    told = Spent(seconds=100.0, tokens_in=8, tokens_out=7, peak_bytes=2**50)
    write_as(tmp_path / SPENT, spending.Told(stage.name, wanted, told))
    finish(run, STAGES[:1])
    entry = Run.load(tmp_path).stages[stage.name]
    assert entry.status == "done"
    assert 100.0 < entry.seconds < 200.0
    assert (entry.tokens_in, entry.tokens_out, entry.peak_bytes) == (8, 7, 2**50)
    assert not (tmp_path / SPENT).exists()

"""How many threads a model gets: what OpenMP's variable asks for, the affinity, the quota."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ltf_lite.core import threads
from tests.conftest import ltf


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Eight cores and no quota; a folder of cgroups to fill."""
    monkeypatch.setattr(threads, "_reachable", lambda: 8)
    monkeypatch.setattr(threads, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(threads, "OWN", tmp_path / "own")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def limited(folder, files, own):
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("asked", "count"),
    [("3", 3), (" 3 ", 3), ("4,2", 4), ("4, 2,1", 4), ("", 8), (" ", 8), ("0", 8), ("-2", 8),
     ("four", 8), (",2", 8), ("1e3", 8), ("99999999999999", 8), ("٣", 8)],
)  # fmt: skip
def test_what_openmp_is_asked_for_is_read_as_openmp_reads_it(machine, monkeypatch, asked, count):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads.threads() == count


@pytest.mark.parametrize(
    ("files", "own", "count"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 8),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, "0::/a/b\n", 3),
        ({"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "300000 100000\n"}, "0::/a/b\n", 1),
        ({"cpu.max": "400000 100000\n"}, "0::/of/the/host\n", 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "1:cpu:/\n", 8),
        ({"cpu/x/cpu.cfs_quota_us": "200000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
         "3:cpuset:/y\n1:cpu:/x\n", 2),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
         "1:cpu,cpuacct:/\n", 2),
        ({"cpu.max": "nonsense\n"}, "0::/\n", 8),
        ({"cpu.max": "1600000 100000\n"}, "0::/\n", 8),
        ({}, "0::/\n", 8),
    ],
)  # fmt: skip
def test_the_smallest_quota_of_the_cgroups_counts(machine, files, own, count):
    limited(machine, files, own)
    assert threads.cores() == threads.threads() == count


def test_openmp_is_told_of_a_quota_and_of_what_it_cannot_read(machine, monkeypatch):
    limited(machine, {"cpu.max": "200000 100000\n"}, "0::/\n")
    for asked, told in ((None, "2"), ("", "2"), ("three", "2"), ("4,2", "4,2"), ("3", "3")):
        if asked is None:
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        else:
            monkeypatch.setenv("OMP_NUM_THREADS", asked)
        threads.wait_briefly()
        assert os.environ["OMP_NUM_THREADS"] == told
    monkeypatch.setattr(threads, "OWN", machine / "none")
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.wait_briefly()
    assert "OMP_NUM_THREADS" not in os.environ  # OpenMP's own choice is right


@pytest.mark.parametrize("asked", ["2,1", ""])
@pytest.mark.slow
def test_a_gguf_file_is_asked_and_made_whatever_openmp_is_asked_for(base_gguf, tmp_path, asked):
    environment = {**os.environ, "OMP_NUM_THREADS": asked}
    told = ltf("solve", "countdown", "3 5 7 9 -> 22", "--model", base_gguf, "--json",
               env=environment)  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["tokens"] > 0
    code = (
        "import sys; from ltf_lite.export.gguf.quantize import quantize\n"
        "quantize(sys.argv[1], sys.argv[2], 'q8_0')"
    )
    small = tmp_path / "small.gguf"
    subprocess.run([sys.executable, "-c", code, base_gguf, small], env=environment, check=True)
    assert small.stat().st_size < base_gguf.stat().st_size

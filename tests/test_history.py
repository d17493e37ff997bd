"""The history of a deployed model, and when what it can do has fallen."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ltf_lite.evaluation.fallen import judged
from ltf_lite.evaluation.history import HistoryError, Measurement, append, prepare
from ltf_lite.evaluation.significance import mcnemar, paired_p, ratio_interval

FIRST = Measurement(
    "2026-01-01T00:00:00+00:00",
    "m.gguf",
    "1",
    "single_pass",
    "cot n=1",
    "a1",
    40,
    0.5,
    0.35,
    0.65,
    "01" * 20,
)
NLL = FIRST._replace(
    ability="heldout_nll",
    label="heldout.txt",
    n=30,
    value=1.0,
    each=[[10 + k % 3, 10 + k % 3] for k in range(30)],
)


def begun(folder: Path) -> Path:
    file = folder / "monitor.sqlite"
    assert prepare(file) is None
    return file


def count(file: Path) -> int:
    with sqlite3.connect(file) as history:
        return history.execute("SELECT count(*) FROM measurements").fetchone()[0]


def test_a_measurement_is_compared_with_the_first_of_its_kind_alone(tmp_path):
    file = begun(tmp_path)
    assert append(file, [FIRST, NLL]) == [None, None]
    later = FIRST._replace(at="2026-02-01T00:00:00+00:00", value=0.4)
    assert append(file, [later, NLL]) == [FIRST, NLL]
    assert append(file, [later]) == [FIRST]  # not with the second
    for change in (
        {"model": "n.gguf"},
        {"ability": "tot"},
        {"label": "cot n=2"},
        {"problems": "b2"},
        {"n": 30},
    ):
        assert append(file, [later._replace(**change)]) == [None], change
    assert count(file) == 10


@pytest.mark.slow
def test_killed_while_it_writes_it_leaves_nothing_of_it(tmp_path):
    file = begun(tmp_path)
    append(file, [FIRST])
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ltf_lite.evaluation.history import append\n"
        "from tests.test_history import FIRST\n"
        "def some():\n"
        # more than SQLite keeps in memory: a part of it is in the file when it is killed
        "    for k in range(2000): yield FIRST._replace(label=str(k), each='01' * 1000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "append(Path(sys.argv[1]), some())"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(file)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "monitor.sqlite-journal").stat().st_size
    assert file.stat().st_size > 1e6
    assert prepare(file) is None
    assert count(file) == 1


def test_monitors_that_run_at_once_lose_nothing(tmp_path):
    file = tmp_path / "monitor.sqlite"

    def one(name: str) -> None:
        prepare(file)
        for _ in range(5):
            append(file, [FIRST._replace(model=name), NLL._replace(model=name)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, "abcd"))
    assert count(file) == 40


def damaged(file: Path) -> bytes:
    """A history of many pages whose middle is noise."""
    append(begun(file.parent), (FIRST._replace(label=str(k)) for k in range(2000)))
    data = file.read_bytes()
    return data[:8000] + b"\xa5" * 30_000 + data[38_000:]


@pytest.mark.parametrize("kind", ["no database", "cut", "damaged"])
def test_a_broken_file_is_set_aside_and_a_new_history_begins(tmp_path, kind):
    file = tmp_path / "monitor.sqlite"
    data = b"no history at all" * 100 if kind == "no database" else damaged(file)
    file.write_bytes(data[:20_000] if kind == "cut" else data)
    data = file.read_bytes()
    aside = prepare(file)
    assert aside == tmp_path / "monitor.sqlite.broken"
    assert aside.read_bytes() == data
    assert append(file, [FIRST]) == [None]
    assert prepare(file) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [("PRAGMA application_id = 7", "something else"), ("PRAGMA user_version = 2", "schema 2")],
)
def test_a_file_of_something_else_or_another_version_is_refused_and_kept(tmp_path, change, words):
    file = begun(tmp_path)
    with sqlite3.connect(file) as history:
        history.execute(change)
    before = file.read_bytes()
    with pytest.raises(HistoryError, match=words) as refused:
        prepare(file)
    assert str(file) in str(refused.value)
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "monitor.sqlite").mkdir()
    with pytest.raises(HistoryError, match=r"cannot keep a history in .*monitor\.sqlite"):
        prepare(tmp_path / "monitor.sqlite")


def test_a_fall_is_significant_only_beyond_what_many_comparisons_bring():
    lost = FIRST._replace(value=0.3, each="01" * 12 + "00" * 8)  # 8 of 20: p = 0.0078
    (row,), level = judged([lost], [FIRST])
    assert row.p == pytest.approx(2**-7)
    assert (row.verdict, row.difference, level) == ("fallen", -0.2, 0.05)
    rows, level = judged([lost] + [NLL] * 7, [FIRST] + [NLL] * 7)
    assert level == 0.05 / 8
    assert rows[0].verdict == "ok"
    rows, level = judged([lost, NLL], [FIRST, None])
    assert [row.verdict for row in rows] == ["fallen", "first"]
    assert level == 0.05  # what has no first value is not compared


def test_what_got_better_has_not_fallen_and_of_a_text_lower_is_better():
    more = FIRST._replace(value=1.0, each="1" * 40)
    worse = NLL._replace(value=2.0, each=[[2 * a, b] for a, b in NLL.each])
    better = NLL._replace(value=0.5, each=[[a / 2, b] for a, b in NLL.each])
    for now, first, verdict in [
        (more, FIRST, "ok"),
        (worse, NLL, "fallen"),
        (better, NLL, "ok"),
        (FIRST, FIRST, "ok"),
        (NLL, NLL, "ok"),
    ]:
        ((row,), _) = judged([now], [first])
        assert row.verdict == verdict
        assert (row.p == 1.0) == (now is first)


@pytest.mark.parametrize("lost", [1, 4, 6, 9])
def test_of_right_and_wrong_the_paired_test_is_mcnemars(lost):
    first, now = [1] * 12, [0] * lost + [1] * (12 - lost)
    parts = ([(value, 1) for value in row] for row in (first, now))
    assert paired_p(*parts, seed=0) == pytest.approx(mcnemar(first, now))


def test_a_ratio_of_sums_weighs_its_problems_and_has_its_interval():
    heavy = [(2.0, 100)] + [(1.0, 1)] * 50
    low, high = ratio_interval(heavy, seed=0)
    assert low < 52 / 150 < high
    assert (low, high) == ratio_interval(heavy, seed=0)
    assert ratio_interval([(3, 2)] * 40, seed=0) == (1.5, 1.5)
    swapped = [(1.0, 1)] * 50 + [(2.0, 100)]
    assert paired_p(heavy, swapped, 0) > 0.9  # the same ratio, made of other problems
    with pytest.raises(ValueError, match="at least two"):
        ratio_interval(heavy[:1], 0)
    with pytest.raises(ValueError, match="as many"):
        paired_p(heavy, heavy[1:], 0)

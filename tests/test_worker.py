"""The worker process: whatever the code in it does costs one call, and leaves no trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ltf_lite.core.confined import landlock
from ltf_lite.core.worker import (
    LONGEST,
    Died,
    NotLoaded,
    Raised,
    Timeout,
    Worker,
    WorkerError,
)
from tests.unruly import CODE

LINUX = sys.platform.startswith("linux")
SECONDS = 1.0


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "task.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def worker(code):
    with Worker.of_file(code, SECONDS) as worker:
        yield worker


def lost(worker, name, *args) -> WorkerError:
    """What the call ended with; the worker works after it."""
    began = time.monotonic()
    error = worker.call_all(name, [args])[0]
    assert isinstance(error, WorkerError), error
    assert time.monotonic() - began < SECONDS + 2
    assert worker.call("add", 1, 2) == 3
    return error


def test_it_answers_in_json(worker):
    assert worker.call("add", 1, 2) == 3
    for value in (None, True, 1.5, "é\0\ud800\n", [1, {"a": [None]}], {}):
        assert worker.call("echo", value) == value
    assert {"add", "Pair", "echo"} <= set(worker.names())
    assert "_hidden" not in worker.names()


def test_what_it_prints_and_reads_disturbs_nothing(worker):
    assert worker.call_all("prints", [(1,), (100_000,)]) == [1, 100_000]
    assert worker.call("reads") == ""


@pytest.mark.parametrize("name", ["hang", "power"])
@pytest.mark.slow
def test_what_hangs_is_killed(worker, name):
    assert isinstance(lost(worker, name), Timeout)


@pytest.mark.parametrize(
    ("name", "why"), [("stop", "exit code 3"), ("kill", "signal 9"), ("crash", "signal 11")]
)
def test_what_ends_the_process_costs_one_call(worker, name, why):
    error = lost(worker, name)
    assert isinstance(error, Died)
    assert os.name == "nt" or why in str(error)


def test_what_raises_keeps_the_process(worker):
    begun = worker.call("keep", "mark")
    for name, said in (
        ("leave", "SystemExit: 3"),
        ("raises", "ValueError: a ba b"),
        ("odd", "Odd"),
        ("no_json", "TypeError"),
        ("nothing", "AttributeError"),
        ("add", "TypeError"),
    ):
        error = lost(worker, name)
        assert isinstance(error, Raised)
        assert said in str(error)
        assert len(str(error)) < 400
    assert worker.call("keep", "mark") == [*begun, "mark"]


def test_depth_and_closed_pipes_cost_one_call(worker):
    assert isinstance(lost(worker, "deep", 0), (Raised, Died))
    assert isinstance(lost(worker, "closes"), (Died, Timeout))


@pytest.mark.skipif(not LINUX, reason="only Linux keeps to the limit")
@pytest.mark.parametrize("name", ["bomb", "grow"])
@pytest.mark.slow
def test_memory_is_bounded(worker, name):
    assert isinstance(lost(worker, name), (Raised, Died, Timeout))


def test_results_and_arguments_are_bounded(worker):
    assert len(worker.call("large", 1_000_000)) == 1_000_000
    assert "longer than" in str(lost(worker, "large", 2_000_000))
    assert worker.call("length", "x" * 10_000_000) == LONGEST
    assert worker.call("echo", {"a": ["x" * 30_000]}) == {"a": ["x" * LONGEST]}
    deep: list = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(Raised, match="nested too deep"):
        worker.call("echo", deep)
    results = worker.call_all("echo", [(1,), (deep,), ({1},), (2,), (object(),), (3,)])
    assert [each for each in results if not isinstance(each, Raised)] == [1, 2, 3]
    assert len(results) == 6


@pytest.mark.skipif(landlock() < 3, reason="Landlock, of newer Linux, forbids it")
def test_no_file_is_written_changed_or_removed(worker, tmp_path):
    (tmp_path / "old").write_text("old")
    for name, place in (
        ("write", "new"), ("append", "old"), ("write", "old"), ("remove", "old"), ("make", "new"),
    ):  # fmt: skip
        assert "Error" in str(lost(worker, name, str(tmp_path / place)))
    assert "Error" in str(lost(worker, "here"))
    assert [each.name for each in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.skipif(not LINUX, reason="only Linux can forbid it")
def test_no_network_no_process_no_signal(worker):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        assert "Error" in str(lost(worker, "connect", server.getsockname()[1]))
        with pytest.raises(TimeoutError):
            server.accept()
    assert "Error" in str(lost(worker, "datagram"))
    assert "Error" in str(lost(worker, "fork"))
    assert worker.call("start") != 0
    if landlock() >= 6:  # otherwise it would be done
        assert "Error" in str(lost(worker, "strike", os.getpid()))
    assert worker.call("thread") == [1]


def test_it_knows_no_secret_and_works_in_an_empty_folder(code, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with Worker.of_file(code) as worker:
        folder, files, known = worker.call("look")
        assert files == []
        assert "secret" not in json.dumps(known)
        assert os.path.samefile(known["HOME"], folder)
    assert not os.path.exists(folder)


@pytest.mark.slow
def test_of_many_calls_only_the_bad_ones_are_lost(worker):
    begun = time.monotonic()
    results = worker.call_all("sleep", [(0,), (0.01,), (60,), (0,), ("x",), (0,)])
    assert results[:2] == [0, 0.01]
    assert isinstance(results[2], Timeout)
    assert isinstance(results[4], Raised)
    assert (results[3], results[5]) == (0, 0)
    assert time.monotonic() - begun < SECONDS + 2
    assert worker.call_all("echo", [(i,) for i in range(1000)]) == list(range(1000))
    assert worker.call_all("echo", []) == []
    assert worker.call_all("length", [("x" * LONGEST,)] * 300) == [LONGEST] * 300


@pytest.mark.slow
def test_each_call_has_its_own_time(worker):
    assert worker.call_all("sleep", [(0.6,)] * 3) == [0.6] * 3


def test_threads_share_it_and_it_outlives_them(worker):
    got: dict[int, list] = {}

    def ask(k: int) -> None:
        got[k] = worker.call_all("echo", [([k, i],) for i in range(20)])

    worker.call("keep", "before")
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert got == {k: [[k, i] for i in range(20)] for k in range(8)}
    assert "before" in worker.call("keep", "after")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system copies no process")
@pytest.mark.slow
def test_a_fresh_call_changes_nothing_for_the_next(code):
    with Worker.of_file(code, SECONDS, fresh=True) as worker:
        assert worker.call_all("keep", [(1,), (2,)]) == [[1], [2]]
        results = worker.call_all("kill", [(), ()])
        assert all(isinstance(each, Died) and "signal 9" in str(each) for each in results)
        assert isinstance(lost(worker, "hang"), Timeout)
        if LINUX:
            assert "Error" in str(lost(worker, "fork"))


def test_code_that_cannot_be_loaded_is_told(tmp_path, code):
    bad = tmp_path / "bad.py"
    for text, said in (("x = (", "SyntaxError"), ("1/0", "ZeroDivisionError"), ("exit(4)", "4")):
        bad.write_text(text)
        with pytest.raises(NotLoaded, match=said):
            Worker.of_file(bad).call("f")
    with pytest.raises(NotLoaded, match="FileNotFoundError"):
        Worker.of_file(tmp_path / "none.py").call("f")
    with pytest.raises(NotLoaded, match="ModuleNotFoundError"):
        Worker("ltf_lite.nothing").call("f")
    bad.write_text("while True: pass")
    with pytest.raises(NotLoaded, match="not loaded after"):
        Worker.of_file(bad, starting=0.5).call("f")
    bad.write_text("import os; os._exit(3)")
    with pytest.raises(NotLoaded, match="exit code 3"):
        Worker.of_file(bad).call("f")
    if landlock():
        bad.write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
        with pytest.raises(NotLoaded, match="Error"):
            Worker.of_file(bad).call("f")
        assert not (tmp_path / "trace").exists()


def test_one_function_alone_may_be_offered():
    with Worker("json:dumps") as worker:
        assert worker.call("dumps", [1]) == "[1]"
        assert worker.names() == ["dumps"]
        with pytest.raises(NotLoaded, match="only dumps"):
            worker.call("loads", "[1]")


def test_a_closed_worker_starts_again(code):
    worker = Worker.of_file(code)
    assert worker.call("add", 1, 1) == 2
    process = worker._child.process
    worker.close()
    assert process.poll() is not None
    assert worker.call("add", 1, 1) == 2
    process = worker._child.process
    del worker
    assert process.poll() is not None


PARENT = """
import sys, time
from ltf_lite.core.worker import Worker
worker = Worker.of_file(sys.argv[1], 600)
worker.call("add", 1, 2)
print(worker._child.process.pid, worker._child.folder, flush=True)
worker.call(sys.argv[2], *map(float, sys.argv[3:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("busy", [("sleep", "600"), ("hang",)])
def test_it_dies_with_its_parent(code, ends, busy):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(code), *busy],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    with parent:
        pid, folder = parent.stdout.readline().split()
        time.sleep(0.2)
        parent.send_signal(ends)
        parent.wait(10)
    late = time.monotonic() + 10
    while time.monotonic() < late and running(int(pid)):
        time.sleep(0.05)
    assert not running(int(pid))
    if ends == signal.SIGINT:
        assert not os.path.exists(folder)
    else:
        os.rmdir(folder)  # it is empty


def running(pid: int) -> bool:
    """Whether a process is there that is no mere entry in a table."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""A run as a process of its own: started, watched from elsewhere, stopped, resumed, refused."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from ltf_lite import presets
from ltf_lite.core import progress
from ltf_lite.core.files import read_as, write_json
from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.progress import Progress
from ltf_lite.harvest import read
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.graph import STAGES, stage_of
from ltf_lite.pipeline.run import jobs
from ltf_lite.pipeline.run.folder import around
from ltf_lite.pipeline.run.jobs import RunState
from ltf_lite.pipeline.run.lock import locked, signed
from ltf_lite.pipeline.run.state import log_lines
from ltf_lite.pipeline.train import finish
from tests.conftest import SMALL

QUICK = {
    **SMALL,
    "name": "quick",
    "problems": {"train": 200, "validation": 2, "test": 4},
    "search": [{"name": "dfs", "paths": 4, "failures": 1}],
    "tuning": {**SMALL["tuning"], "steps": 4, "batch": 4, "eval_every": 2, "warmup": 1},
    "evaluation": [{"name": "cot", "n": 1, "max_tokens": 40}],
    "retention": {"problems": 2},
    "export": {"greedy_problems": 2, "success_points": 100},
}
RUN = Path("runs/quick")
AROUND = sorted(around(RUN))


def write_preset(**changes: Any) -> None:
    data = {**copy.deepcopy(QUICK), **changes}
    Path("presets").mkdir(exist_ok=True)
    Path("presets", f"{data['name']}.yaml").write_text(yaml.safe_dump(data))


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a preset, in which nothing works any more when the test ends."""
    monkeypatch.chdir(tmp_path)
    write_preset()
    yield
    for folder in Path("runs").glob("*"):
        if jobs.working(folder) not in (None, os.getpid()):
            jobs.stop(folder)


def start() -> RunState:
    return jobs.start("quick", Path("runs"))


def wait(true: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, jobs.state(RUN)
        time.sleep(0.05)


def statuses(folder: Path = RUN) -> dict[str, str]:
    return {stage.name: stage.status for stage in jobs.state(folder).stages}


def gone(pid: int) -> bool:
    """Whether a process ended; one that nobody waited for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def held() -> Iterator[None]:
    """The run as it is while this process trains it."""
    with locked(RUN), signed(RUN):
        yield


# ---- from the beginning to the end


@pytest.mark.slow(seconds=36)
def test_a_run_outlives_its_starter_and_is_watched_stopped_and_resumed():
    code = "from pathlib import Path; from ltf_lite.pipeline.run import jobs; "
    code += "print(jobs.start('quick', Path('runs')).working)"
    starter = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert starter.stdout.strip() == "True", starter.stderr
    assert jobs.state(RUN).working
    seen = []
    wait(lambda: seen.append(jobs.state(RUN).progress) or statuses()["tune"] == "running")
    progressed = [each for each in seen if each]
    assert any(each.title.startswith("search") for each in progressed)
    assert all(abs(each.at - time.time()) < 60 for each in progressed)
    assert statuses() == {
        "problems": "done",
        "baseline": "done",
        "search": "done",
        "tune": "running",
        "merge": "waiting",
        "evaluate": "waiting",
        "export": "waiting",
        "report": "waiting",
    }
    wait(lambda: jobs.curves(RUN))
    pid = jobs.working(RUN)
    jobs.stop(RUN)
    assert gone(pid)
    found = jobs.state(RUN)
    assert not found.working
    assert found.progress is None
    assert found.ended is None
    assert "stopped" in found.log[-1]
    assert statuses()["tune"] == "stopped"
    harvest = [file.stat().st_mtime_ns for file in RUN.glob("harvest/*")]

    assert start().working
    wait(lambda: not jobs.state(RUN).working, 120)
    found = jobs.state(RUN)
    assert set(statuses().values()) == {"done"}, found
    assert found.ended is None
    assert all(stage.seconds > 0 and stage.peak_bytes > 1e6 for stage in found.stages)
    assert [line.step for line in jobs.curves(RUN)] == [2, 4]
    assert harvest == [file.stat().st_mtime_ns for file in RUN.glob("harvest/*")]
    assert len(list(read(RUN / "harvest"))) > 200
    assert {path.name for path in RUN.iterdir()} & set(AROUND) <= {
        ".lock",
        ".work",
        ".starting",
        "train.log",
        ".hashes",
    }
    assert not start().working  # nothing is left to do
    assert f"[8/8] {STAGES[-1].title}: done before" in jobs.state(RUN).log


@pytest.mark.slow
def test_of_eight_that_start_at_once_exactly_one_does():
    def attempt(_: int) -> str:
        try:
            return str(start().working)
        except RunError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(attempt, range(8)))
    refusals = [text for text in said if text != "True"]
    assert len(refusals) == 7
    assert all("is being worked on already" in text for text in refusals)
    pid = jobs.working(RUN)
    jobs.stop(RUN)
    assert gone(pid)
    assert "already" not in (RUN / "train.log").read_text()


@pytest.mark.slow
def test_of_two_processes_that_start_at_once_exactly_one_does():
    code = (
        "from pathlib import Path; from ltf_lite.pipeline import RunError\n"
        "from ltf_lite.pipeline.run import jobs\n"
        "try: print(jobs.start('quick', Path('runs')).working)\n"
        "except RunError as error: print(error)"
    )
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert said[0] == "True"
    assert "is being worked on already" in said[1]


SEARCH = """
from pathlib import Path
from ltf_lite import presets
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.train import run_stage
if __name__ == "__main__":
    run = Run.prepare(Path("runs/quick"), presets.load("quick"), False)
    for stage in STAGES[0], STAGES[2]:
        run_stage(run, stage, "input")
"""


@pytest.mark.slow
def test_the_processes_of_a_search_end_with_the_run():
    write_preset(
        threads=2,
        problems={"train": 1100, "validation": 2, "test": 2},
        task={**SMALL["task"], "count": 6},
        search=[{"name": "dfs", "paths": 300, "failures": 300}],
    )
    RUN.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", SEARCH], start_new_session=True)
    try:
        wait(lambda: len(others(process.pid)) >= 3)  # the stage and those that it has search
        process.kill()
        process.wait()
        wait(lambda: not others(process.pid), 30)
    finally:
        process.kill()
        for pid in others(process.pid):
            os.kill(pid, signal.SIGKILL)


def others(session: int) -> list[int]:
    """The living processes of a session that work, but for its first."""
    listed = ["ps", "-ww", "-s", str(session), "-o", "pid=,stat=,args="]
    lines = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.splitlines()
    ours = ("spawn_main", "multiprocessing.forkserver")  # begun anew, or as copies
    rows = [line.split(None, 2) for line in lines if any(one in line for one in ours)]
    return [int(pid) for pid, stat, _ in rows if stat[0] != "Z" and int(pid) != session]


# ---- a run in a terminal, and processes that do not end by themselves


@pytest.mark.slow
def test_a_run_in_a_terminal_is_seen_and_stopped_too():
    command = [sys.executable, "-m", "ltf_lite", "train", "quick"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait(lambda: jobs.working(RUN))
    assert jobs.working(RUN) == process.pid
    with pytest.raises(RunError, match="being worked on already"):
        start()
    jobs.stop(RUN)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said.strip().endswith("ltf: stopped; the same command goes on where it stopped")
    assert jobs.state(RUN).log == ()


def test_who_looks_does_not_disturb_who_starts():
    """However often: the lock is never taken to see whether it is held."""
    with held():
        assert {jobs.working(RUN) for _ in range(200)} == {os.getpid()}
    assert jobs.working(RUN) is None
    descriptor = os.open(RUN / ".lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    jobs.state(RUN)
    os.close(descriptor)


@pytest.mark.slow
def test_a_run_that_does_not_heed_is_killed_and_resumable(monkeypatch):
    monkeypatch.setattr(jobs, "GENTLE", 1.0)
    start()
    pid = jobs.working(RUN)
    os.kill(pid, signal.SIGSTOP)
    jobs.stop(RUN)
    wait(lambda: gone(pid), 5)
    assert (RUN / ".pid").exists()  # it had no time to tidy up
    assert jobs.working(RUN) is None
    assert start().working


@pytest.mark.slow
def test_a_starter_that_ignores_interrupts_does_not_make_its_runs_ignore_them():
    code = "from pathlib import Path; from ltf_lite.pipeline.run import jobs; "
    code += "jobs.start('quick', Path('runs'))"
    script = f"trap '' INT; exec {sys.executable} -c \"{code}\""
    subprocess.run(["sh", "-c", script], timeout=60, check=True)
    began = time.monotonic()
    jobs.stop(RUN)
    assert time.monotonic() - began < 5
    assert "stopped" in jobs.state(RUN).log[-1]


def test_a_process_that_does_not_hold_the_run_is_never_signalled():
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        RUN.mkdir(parents=True)
        (RUN / ".pid").write_text(f"{bystander.pid}\n")  # a kill left it; the number is another's
        assert jobs.working(RUN) is None
        with pytest.raises(RunError, match="nothing is working on runs/quick"):
            jobs.stop(RUN)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


# ---- refusals


def test_what_cannot_start_is_one_sentence():
    with pytest.raises(RunError, match="no preset 'qick'; did you mean quick"):
        jobs.start("qick", Path("runs"))
    assert not Path("runs").exists()
    Path("file").write_text("")
    with pytest.raises(RunError, match="cannot write to file/quick: a file is where a folder"):
        jobs.start("quick", Path("file"))
    write_preset(name="never", task={"name": "countdown", "numbers": [1, 1], "targets": [50, 60]})
    with pytest.raises(RunError, match="never did not start: countdown: found only 0") as caught:
        jobs.start("never", Path("runs"))
    assert "\n" not in str(caught.value)
    assert "found only 0" in jobs.state(Path("runs/never")).ended
    with pytest.raises(RunError, match="nothing is working on nowhere"):
        jobs.stop(Path("nowhere"))


def test_the_run_of_another_preset_is_refused_and_kept():
    RUN.mkdir(parents=True)
    Run.prepare(RUN, presets.parse({**QUICK, "name": "other"}, "here"), False)
    before = (RUN / "manifest.json").read_bytes()
    with pytest.raises(RunError, match="holds a run of the preset 'other'"):
        start()
    assert (RUN / "manifest.json").read_bytes() == before


def test_a_yaml_file_can_be_started_too():
    os.rename("presets/quick.yaml", "-own.yaml")
    assert jobs.start("-own.yaml", Path("runs")).working


@pytest.mark.slow
def test_the_short_form_of_a_preset_is_a_run_of_its_own():
    write_preset(quick={"tuning.steps": 2})
    names = list(presets.choices())
    assert names[:2] == ["quick", "quick-quick"]  # those of the folder one works in come first
    assert "tiny-quick" in names
    assert "smollm2-chat-quick" not in names
    working = jobs.start("quick-quick", Path("runs"))
    assert working.run == str(Path("runs", "quick-quick"))
    assert jobs.until(lambda: Run.load(Path("runs/quick-quick")).preset.tuning.steps == 2, 60)
    jobs.stop(Path("runs/quick-quick"))
    with pytest.raises(RunError, match="did you mean smollm2-chat"):
        jobs.start("smollm2-chat-quick", Path("runs"))


def test_force_new_sets_all_aside_but_what_the_process_holds():
    preset = presets.parse(QUICK, "here")
    with held():
        Run.prepare(RUN, preset, False)
        for name in ("train.log", "progress.json", "mine.txt"):
            (RUN / name).write_text("x")
        Run.prepare(RUN, preset, True)
        assert jobs.working(RUN) == os.getpid()
    (aside,) = [path for path in Path("runs").iterdir() if path.name != "quick"]
    assert {path.name for path in aside.iterdir()} == {"manifest.json", "mine.txt"}
    assert (RUN / "train.log").exists()


def test_what_starting_leaves_in_a_folder_does_not_make_it_foreign():
    RUN.mkdir(parents=True)
    for name in AROUND:
        (RUN / name).write_text("")
    Run.prepare(RUN, presets.parse(QUICK, "here"), False)
    assert set(statuses().values()) == {"waiting"}


# ---- state, of whatever lies in the folder


def manifest(**stages: Any) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    write_json(RUN / "manifest.json", {"preset": {"name": "quick"}, "stages": stages})


@pytest.mark.parametrize(
    "content", [None, b"", b'{"preset": {"na', b"[]", b"\xff", b'{"stages": 3}', b"[" * 100_000]
)
def test_a_manifest_that_cannot_be_read_is_a_sentence(content):
    RUN.mkdir(parents=True)
    if content is not None:
        (RUN / "manifest.json").write_bytes(content)
    found = jobs.state(RUN)
    assert "manifest.json" in found.ended
    assert [stage.status for stage in found.stages] == ["waiting"] * len(STAGES)
    assert jobs.state(Path("nowhere")).ended == "nowhere is no run: it has no manifest.json"


@pytest.mark.parametrize(
    "entry", [None, 3, {"status": 7}, {"status": "sleeping"}, {"seconds": "x"}, {"files": []}]
)
def test_a_manifest_with_odd_entries_is_a_sentence_too(entry):
    manifest(problems=entry)
    assert "manifest.json is truncated or damaged" in jobs.state(RUN).ended
    assert set(statuses().values()) == {"waiting"}


def test_a_manifest_of_a_preset_that_cannot_be_says_where_its_stages_stand():
    manifest(problems={"status": "done"}, tune={"status": "running"})
    assert statuses() == {
        s.name: {"problems": "done", "tune": "stopped"}.get(s.name, "waiting") for s in STAGES
    }


def test_a_stage_that_failed_says_why():
    preset = presets.parse(QUICK, "here")
    RUN.mkdir(parents=True)
    run = Run.prepare(RUN, preset, False)
    with pytest.raises(RunError) as caught:
        finish(run, [stage_of("merge")])
    found = jobs.state(RUN)
    assert found.ended == str(caught.value)
    assert statuses()["merge"] == "failed"
    with held():
        assert jobs.state(RUN).ended is None  # somebody tries again
        assert statuses()["merge"] == "waiting"


def test_a_stage_done_with_other_settings_has_yet_to_be_run():
    preset = presets.parse(QUICK, "here")
    RUN.mkdir(parents=True)
    run = Run.prepare(RUN, preset, False)
    stage = STAGES[0]
    wanted = run.input_hash(stage.parts, stage.upstream)
    run.stages["problems"] = StageEntry(status="done", input=wanted, output="x")
    run.save()
    assert statuses()["problems"] == "done"
    Run.prepare(RUN, presets.parse({**QUICK, "seed": 7}, "here"), False)
    assert statuses()["problems"] == "waiting"


def test_only_a_running_stage_of_a_run_at_work_has_progress_and_its_time_passes():
    manifest(problems={"status": "running", "seconds": 5.0}, tune={"status": "running"})
    write_json(RUN / "progress.json", {"title": "problems", "done": 1, "total": 2})
    assert jobs.state(RUN).progress is None
    with held():
        first = jobs.state(RUN)
        assert first.progress == Progress("problems", 1, 2)
        assert statuses()["problems"] == "running"
        assert statuses()["tune"] == "stopped"  # left behind by a kill
        time.sleep(0.1)
        assert jobs.state(RUN).stages[0].seconds > first.stages[0].seconds >= 5.0
        for content in ('{"title": ', "[]", '{"title": "problems"}'):
            (RUN / "progress.json").write_text(content)
            assert jobs.state(RUN).progress is None


def test_the_log_is_shown_as_a_terminal_would_and_never_whole():
    RUN.mkdir(parents=True)
    lines = [f"line {n}" for n in range(20_000)]
    tail = "10 %\r50 %\r100 %\r\n\x1b[1;31mred\x1b[0m \x1b]0;title\x07end\nbad \xff byte\x00\n\n"
    (RUN / "train.log").write_bytes("\n".join([*lines, tail]).encode("latin-1"))
    shown = log_lines(RUN)
    assert shown[-3:] == ["100 %", "red end", "bad \ufffd byte"]
    assert len(shown) == 40
    assert shown[0] == "line 19963"
    (RUN / "train.log").write_bytes(b"x" * 1_000_000)
    assert log_lines(RUN) == []
    (RUN / "train.log").write_bytes(b"y" * 1000 + b"\n")
    assert log_lines(RUN) == ["y" * 400]


def test_an_old_log_says_nothing_of_a_newer_attempt():
    RUN.mkdir(parents=True)
    (RUN / "train.log").write_text("ltf: an old failure\n")
    os.utime(RUN / "train.log", (1, 1))
    manifest(problems={"status": "done"})
    assert jobs.state(RUN).ended is None
    os.utime(RUN / "train.log")
    assert jobs.state(RUN).ended == "an old failure"


def test_curves_leave_out_what_is_half_written():
    assert jobs.curves(RUN) == []
    (RUN / "tuning").mkdir(parents=True)
    line = '{"step": %d, "learning": 1, "forgetting": 2, "rate": 0.1, "seconds": 3, '
    line += '"validation": {"success": 0.5}}'
    log = "\n".join([line % 1, line % 2, (line % 3)[:40]])
    (RUN / "tuning/log.jsonl").write_text(log)
    assert [found.step for found in jobs.curves(RUN)] == [1, 2]
    (RUN / "tuning/log.jsonl").write_bytes(b"\xff\n")
    assert jobs.curves(RUN) == []


def test_runs_are_listed_newest_first_and_no_link_leads_out(tmp_path_factory):
    assert jobs.runs_in(Path("nowhere")) == []
    outside = tmp_path_factory.mktemp("outside")
    write_json(outside / "manifest.json", {})
    for age, name in enumerate(["new", "older", "oldest"]):
        write_json(Path("runs", name, "manifest.json"), {})
        os.utime(Path("runs", name, "manifest.json"), (1e9 - age, 1e9 - age))
    write_json(Path("runs/new.sweep/shared/manifest.json"), {})
    Path("runs/link").symlink_to(outside)
    Path("runs/half").mkdir()
    Path("runs/half/manifest.json").symlink_to(outside / "manifest.json")
    assert [folder.name for folder in jobs.runs_in(Path("runs"))] == ["new", "older", "oldest"]


# ---- progress on disk


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "progress.json"
    progress.record_to(file)
    yield file
    progress.record_to(None)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_recorded_at_its_beginning_once_a_second_and_at_its_end(
    record, monkeypatch, terminal
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with progress.bar("search", 10, 2) as advance:
        found = read_as(record, Progress)
        assert (found.title, found.done, found.total) == ("search", 2, 10)
        assert found.left is None
        assert abs(found.at - time.time()) < 5
        clock[0] += 0.5
        advance(1, "soon")
        assert read_as(record, Progress).done == 2
        clock[0] += 1.5
        advance(1, "now")
        found = read_as(record, Progress)
        assert (found.done, found.note) == (4, "now")
        assert found.left == pytest.approx(6.0)  # two in two seconds, six to go
        advance(2)
    assert read_as(record, Progress).done == 6  # where it was left
    progress.forget(record)
    assert list(record.parent.glob("progress*")) == []


def test_a_record_that_cannot_be_written_hurts_nobody(record, capsys):
    progress.record_to(record.parent / "nowhere" / "progress.json")
    with progress.bar("tune", 1) as advance:
        advance()
    assert "tune: 1/1" in capsys.readouterr().err


def test_nothing_heavy_is_imported():
    code = "import sys, ltf_lite.pipeline.run.jobs; print(*{*sys.argv[1:]} & {*sys.modules})"
    heavy = ["torch", "transformers", "peft", "llama_cpp", "gradio", "matplotlib", "pyarrow"]
    result = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.split() == []
    assert json.dumps(asdict(jobs.state(RUN)))  # plain data


WITHOUT = """
import sys
for name in ("fcntl", "resource"):
    sys.modules[name] = None  # as where a system has none of it
from pathlib import Path
from ltf_lite.pipeline.run import jobs, spending
from ltf_lite.core.manifest import StageEntry
with spending.telling(Path("spent.json"), "tune", StageEntry(input="a"), 0.0):
    pass
print(spending.spent(Path("spent.json"), "tune", "a").seconds > 0, jobs.working(Path("runs/quick")))
"""


def test_a_system_without_file_locks_and_resource_counts_can_watch():
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.split() == ["True", "None"], result.stderr


@pytest.mark.slow(seconds=20)
def test_a_run_without_an_output_goes_on():
    """As of a service that closed its own: no stage takes a file of the run for it."""
    write_preset()
    command = f'exec "{sys.executable}" -m ltf_lite train quick >&- 2>&-'
    subprocess.run(["bash", "-c", command], timeout=300, check=False)
    assert jobs.state(RUN).stages[0].status == "done"
    spoken = [
        file for file in RUN.iterdir() if file.is_file() and b"problems: " in file.read_bytes()
    ]
    assert spoken == []


@pytest.mark.parametrize("seconds", [1, 3, 5])
@pytest.mark.slow
def test_ctrl_c_in_a_terminal_says_one_sentence_however_early(seconds):
    """A terminal sends it to every process, also to one that is still importing."""
    command = [sys.executable, "-m", "ltf_lite", "train", "quick"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait(lambda: jobs.working(RUN))
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip().endswith("ltf: stopped; the same command goes on where it stopped")
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_run_that_is_told_to_terminate_says_one_sentence_too():
    command = [sys.executable, "-m", "ltf_lite", "train", "quick"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait(lambda: jobs.working(RUN))
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert said.strip().endswith(
        "ltf: ended from outside; the same command goes on where it stopped"
    )
    assert "Traceback" not in said
    assert not (RUN / ".pid").exists()
    assert start().working


LEAVES = """
import os, signal, sys, multiprocessing
from ltf_lite.pipeline.begin import context
def killed():
    global held
    held = multiprocessing.Lock()
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    process = context().Process(target=killed)
    process.start()
    process.join()
    print(process.exitcode)
"""


@pytest.mark.slow
def test_what_a_killed_stage_leaves_is_removed_without_a_word(tmp_path):
    file = tmp_path / "leaves.py"
    file.write_text(LEAVES)
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("-9", "")

"""The search on a Ray cluster: the shards of one machine, whatever is lost meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
import yaml

from ltf_lite.core.manifest import StageEntry
from ltf_lite.engines import open_engine, resolve
from ltf_lite.engines import used as engines_used
from ltf_lite.harvest import read
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.asking import Question
from ltf_lite.pipeline.executors.ray import Ray, pool
from ltf_lite.pipeline.executors.ray import cluster as clusters
from ltf_lite.pipeline.executors.ray.asking import Asking
from ltf_lite.pipeline.executors.ray.cluster import Node, Shape
from ltf_lite.pipeline.executors.ray.job import Garbage
from ltf_lite.pipeline.executors.ray.slot import Slot
from ltf_lite.pipeline.run import spending
from ltf_lite.pipeline.stages import baseline, search
from ltf_lite.presets import PresetError, parse
from ltf_lite.reasoners import get_reasoner
from ltf_lite.tasks import get_task
from tests.conftest import SMALL, ltf, one_sentence
from tests.ray_cluster import PATIENCE, cluster, joined, processes, spoilt, until
from tests.test_many_servers import spent
from tests.test_search_stage import prepared

SEARCH = [
    {"name": "cot"},
    {"name": "tot", "beam": 2, "problems": 120},
    {"name": "bfs", "paths": 2},
    {"name": "cot", "n": 4, "temperature": 1.0},
]
TRAIN = 560  # two parts of each
# Right and wrong by chance alone, so that a wrong path has right ones of other parts beside it.
TASK = """
def problems():
    for k in range(3000):
        yield {"question": f"{k % 90 + 5},{k // 7 % 40 + 3},7,{k % 13 + 2}:{k % 70 + 20}"}

def prompt(problem):
    return problem["question"] + "\\n"

def steps(text):
    return text.splitlines()

def verify(problem, text):
    return len(text) % 3 == 0
"""


@pytest.fixture(scope="module")
def two() -> Iterator[object]:
    """A cluster of two nodes with a core each."""
    with cluster() as found, joined(found):
        yield found


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[Run, tuple[int, int, int]]:
    """The same search on this machine, and its calls, tokens read and tokens written."""
    run = prepared(tmp_path_factory.mktemp("alone") / "run", SEARCH, TRAIN)
    return run, spent(lambda: search.main(run))


@pytest.fixture(scope="module")
def alone(searched) -> Run:
    return searched[0]


@pytest.fixture(scope="module")
def counted(searched) -> tuple[int, int, int]:
    return searched[1]


@pytest.fixture
def opened(monkeypatch) -> list[pool.Pool]:
    """The executors that a test opens, to look at from another thread."""
    found: list[pool.Pool] = []
    enter = pool.Pool.__enter__

    def entered(self):
        found.append(self)
        return enter(self)

    monkeypatch.setattr(pool.Pool, "__enter__", entered)
    return found


def at_work(opened: list[pool.Pool]) -> list[Slot]:
    """The workers that are known to be in the middle of a part."""
    slots = opened[0].slots if opened else []
    return [each for each in slots if each.state == "working" and each.beats > 3 and each.hello]


def on(found, **settings) -> dict[str, object]:
    return {"name": "ray", "address": found.address, **settings}


def shards(run: Run) -> dict[str, bytes]:
    """Name → content of each shard: they are to be the same in every byte."""
    return {file.name: file.read_bytes() for file in run.at.harvest.glob("*.parquet")}


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Something is done meanwhile, and was."""
    failed: list[BaseException] = []

    def go() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not failed


@pytest.mark.slow(seconds=40)
def test_shards_and_counts_are_those_of_one_machine(
    tmp_path, two, alone, counted, capfd, opened, monkeypatch
):
    run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(two))
    used: list[Slot] = []
    began, file = time.monotonic(), tmp_path / "spent.json"
    monkeypatch.setattr(spending, "_elsewhere", {})  # of other tests
    with (
        spending.telling(file, "search", StageEntry(input="x"), began),
        meanwhile(lambda: used.extend(until(lambda: both(opened)))),
    ):
        search.main(run)
    assert shards(run) == shards(alone)
    assert len(used) == 2
    told, here = spending.spent(file, "search", "x"), engines_used()
    asked = told.engine_calls - here.calls, told.tokens_in - here.tokens_in
    assert (*asked, told.tokens_out - here.tokens_out) == counted
    assert told.engine_seconds > here.seconds + 1
    assert told.seconds < time.monotonic() - began + 1
    said = capfd.readouterr()
    assert said.out == ""
    assert "search 4/4, cot n=4 temperature=1.0: problems: 560/560" in said.err
    assert "raylet" not in said.err
    assert "warning" not in said.err


def both(opened: list[pool.Pool]) -> list[Slot]:
    """Two workers, once both are at work."""
    found = at_work(opened)
    return found if len(found) == 2 else []


@pytest.mark.slow(seconds=40)
def test_a_part_builds_on_earlier_ones_that_are_not_on_its_disk(tmp_path, two, monkeypatch):
    """A wrong path has its right brothers in other reasoners' parts, which no worker holds."""
    (tmp_path / "own.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)  # the preset names it as it lies here
    each = {"name": "cot", "max_tokens": 40}
    sections = [each, {**each, "n": 3, "temperature": 1.0}]
    parts = {
        "task": "own.py",
        "harvest": {"fatal_step": "brother"},
        "evaluation": [{"name": "cot"}],
    }
    found = {}
    for name, executor in (("one", {}), ("many", on(two))):
        run = prepared(tmp_path / name, sections, 520, executor=executor, **parts)
        search.main(run)
        found[name] = [replace(row, fatal_seconds=0.0) for row in read(run.at.harvest)]
    assert found["one"] == found["many"]
    assert sum(row.fatal_by == "brother" for row in found["one"]) > 100
    assert {row.engine for row in found["many"]} == {"tiny-base"}


EVALUATION = [
    {"name": "cot"},
    {"name": "tot", "beam": 2},
    {"name": "cot", "n": 2, "temperature": 1.0, "problems": 60},
]


def records(run: Run) -> dict[str, dict]:
    """Record → what it says but for times, and for what depends on how many are asked at once."""
    found = {}
    for file in run.at.evaluation("base").rglob("*.test.json"):
        data = json.loads(file.read_text())
        for scored in data["scored"]:
            scored["cost"] = scored["cost"]["tokens"]
        assert data.pop("seconds") > 0
        assert (data.pop("alone") is not None) == (file.parent.name != "budgets")
        found[str(file.relative_to(run.folder))] = {
            name: data[name] for name in data if name not in ("calls", "tokens_in", "content")
        }
    return found


@pytest.mark.slow(seconds=30)
def test_the_test_problems_are_answered_as_on_one_machine(tmp_path, two, opened, monkeypatch):
    found = {}
    for name, executor in (("one", {}), ("many", on(two))):
        parts = {"executor": executor, "evaluation": EVALUATION, "budgets": {"tokens": [150]}}
        run = prepared(tmp_path / name, SEARCH, 4, test=120, **parts)
        monkeypatch.setattr(spending, "_elsewhere", {})
        tokens = engines_used().tokens_out
        baseline.main(run)
        own, others = engines_used().tokens_out - tokens, spending.others()
        found[name] = records(run), own, sum(each.tokens_out for each in others)
    assert found["one"][0] == found["many"][0]
    assert len(found["one"][0]) == 4
    # what this machine writes is what is validated; all else was written by the workers
    assert found["many"][2] >= found["one"][1] - found["many"][1] > 10_000
    sizes = sorted(len(part.problems) for (each,) in [opened] for part in each.parts.values())
    assert sizes == [20, 60, 100, 120]


def test_answers_that_are_none_are_not_believed():
    task, engine = get_task("countdown"), open_engine("tiny-base")
    first, second = (tuple(task.problems("test", n, 1)) for n in (2, 3))
    question = Question(0, get_reasoner("cot", max_tokens=5), first, 1)
    answers = question.asked(task, engine)
    job = Asking(task)
    assert job.checked(question, answers) is answers
    for wrong in (
        "nonsense",
        replace(answers, solutions=answers.solutions[:1]),
        replace(answers, solutions=answers.solutions[::-1]),
        replace(answers, solutions=["a", "b"]),
        replace(answers, sooner={5: answers.solutions}),
    ):
        with pytest.raises(Garbage):
            job.checked(question, wrong)
    with pytest.raises(Garbage):
        job.checked(replace(question, problems=second), answers)


# Of a machine that has nothing at the paths of this one.
ELSEWHERE = """
import dataclasses
work, here = own, module.Parcel.here
module.Parcel.here = lambda self: here(dataclasses.replace(self, path="/nowhere" + self.path))
"""


@pytest.mark.slow(seconds=30)
def test_files_that_a_machine_lacks_are_sent_to_it_once(tmp_path, monkeypatch, capfd):
    """The task's and the model's; of where they lie there, nothing is seen in the rows."""
    (tmp_path / "own.py").write_text(TASK)
    shutil.copytree(resolve("tiny-base").place, tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    parts = {
        "task": "own.py",
        "model": {"base": "./base"},
        "harvest": {"fatal_step": "brother"},
        "evaluation": [{"name": "cot"}],
    }
    sections = [{"name": "cot", "max_tokens": 40, "n": n, "temperature": 0.5} for n in (1, 2)]
    cache = tmp_path / "cache"
    env = spoilt(tmp_path / "spoilt", ELSEWHERE) | {"XDG_CACHE_HOME": str(cache)}
    one = prepared(tmp_path / "one", sections, 20, **parts)
    search.main(one)
    many = prepared(tmp_path / "many", sections, 20, **parts)
    with cluster(cores=0) as found, joined(found, env=env), joined(found, env=env):
        many.preset = many.preset.model_copy(
            update={"executor": many.preset.executor.model_copy(update=on(found))}
        )
        search.main(many)
    rows = [
        [replace(row, fatal_seconds=0.0) for row in read(run.at.harvest)] for run in (one, many)
    ]
    assert rows[0] == rows[1]
    assert {row.engine for row in rows[1]} == {"./base"}
    kept = {file.name for file in cache.glob("ltf_lite/sent/*/*") if file.name != ".lock"}
    assert kept == {"own.py", "base"}
    assert capfd.readouterr().err.count("is sent to the workers that lack it") == 2


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_hangs_costs_its_part_a_second_try(
    tmp_path, two, alone, capfd, opened, how
):
    patience = {} if how == signal.SIGKILL else {"patience": 40}
    run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(two, **patience))
    with meanwhile(lambda: os.kill(until(lambda: both(opened))[0].hello.process, how)):
        search.main(run)
    assert shards(run) == shards(alone)
    (said,) = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    why = "its process was ended" if how == signal.SIGKILL else "it did nothing for "
    assert "was lost: " + why in said
    assert "is done again" in said


@pytest.mark.slow(seconds=30)
def test_a_node_that_is_lost_and_one_that_joins_late(tmp_path, alone, capfd, opened):
    """The one that is lost has a worker at work; the one that joins is used."""
    with cluster() as found, joined(found) as doomed, ExitStack() as later:
        run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(found))
        with meanwhile(lambda: search.main(run)):
            slots = {slot.hello.node: slot for slot in until(lambda: both(opened))}
            lost = slots.pop(doomed.node_id)
            (other,) = (slot.hello.process for slot in slots.values())
            os.kill(other, signal.SIGSTOP)  # so that there is work left for the late one
            found.remove_node(doomed, allow_graceful=False)
            late = later.enter_context(joined(found))
            until(lambda: lost.hello and lost.hello.node == late.node_id)
            os.kill(other, signal.SIGCONT)
    assert shards(run) == shards(alone)
    said = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert len(said) == 1
    assert "is done again" in said[0]


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("def work(self, part, earlier): return 'nonsense'", "what it was not asked for"),
        (
            "import dataclasses\n"
            "def work(self, part, earlier):\n"
            "    done = own(self, part, earlier)\n"
            "    found = dataclasses.replace(done.found, table=done.found.table.select(['text']))\n"
            "    return dataclasses.replace(done, found=found)",
            "rows that can't be read",
        ),
        (
            "import dataclasses\n"
            "def work(self, part, earlier):\n"
            "    done = own(self, part, earlier)\n"
            "    table = done.found.table\n"
            "    ids = ['x' * 8] * table.num_rows\n"
            "    at = table.schema.get_field_index('problem_id')\n"
            "    import pyarrow\n"
            "    table = table.set_column(at, table.schema.field(at), pyarrow.array(ids))\n"
            "    found = dataclasses.replace(done.found, table=table)\n"
            "    return dataclasses.replace(done, found=found)",
            "rows of problems that it was not asked",
        ),
    ],
)
def test_a_worker_that_gives_back_nonsense_is_not_believed(tmp_path, alone, capfd, body, why):
    """It is ended three times, and the other one does the work."""
    with cluster() as found, joined(found, env=spoilt(tmp_path / "spoilt", body)):
        run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(found))
        search.main(run)
    assert shards(run) == shards(alone)
    said = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert 1 <= len(said) <= pool.TRIES
    assert all(why in line for line in said)


@pytest.mark.slow(seconds=20)
def test_a_part_that_ends_every_worker_ends_the_search(tmp_path):
    body = "import os\ndef work(self, part, earlier): os._exit(1)"
    env = spoilt(tmp_path / "spoilt", body)
    with cluster(cores=0) as found, joined(found, env=env), joined(found, env=env):
        run = prepared(tmp_path / "run", SEARCH[:1], 20, executor=on(found))
        with pytest.raises(RunError) as caught:
            search.main(run)
    assert "3 workers were lost with the same part (cot, 20 problems from " in str(caught.value)
    assert "goes on where it stopped" in str(caught.value)
    assert not shards(run)


@pytest.mark.slow(seconds=20)
def test_what_searches_refuses_with_its_own_sentence(tmp_path, two):
    """As it does on one machine; no worker is begun without end."""
    engine = {"name": "server", "url": "http://127.0.0.1:1", "model": "m"}
    run = prepared(tmp_path / "run", SEARCH[:1], 20, engine=engine, executor=on(two))
    with pytest.raises(RunError, match=r"server at http://127\.0\.0\.1:1"):
        search.main(run)


@pytest.mark.slow(seconds=70)
def test_without_the_head_of_the_cluster_the_search_ends(tmp_path):
    with cluster() as found, joined(found):
        at = found.address
        run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(found))
        command = [sys.executable, "-c", DRIVER, str(run.folder)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: shards(run) or process.poll() is not None)
        found.head_node.kill_gcs_server(check_alive=False)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert f"the head of the Ray cluster at {at} is lost; the same" in said
    assert shards(run)


DRIVER = """
import os
import sys
from pathlib import Path
from ltf_lite.pipeline import Run, RunError
from ltf_lite.pipeline.stages import baseline, search
try:
    search.main(Run.load(Path(sys.argv[1])))
except RunError as error:  # as a stage's process does, which tells it through a pipe
    print(error, file=sys.stderr, flush=True)
    os._exit(1)  # Ray's own leave-taking waits a minute for the head
"""


@pytest.mark.slow(seconds=40)
def test_a_search_that_is_killed_goes_on_from_its_shards(tmp_path, two, alone):
    run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(two))
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(run.folder)])
    until(lambda: len(shards(run)) >= 3 or process.poll() is not None)
    process.kill()
    process.wait(30)
    # A part is done with its shard of paths: what the model said is written before that.
    before = {f.name: f.stat().st_mtime_ns for f in run.at.harvest.glob("part-*.parquet")}
    assert 1 <= len(before) < len(shards(alone))
    search.main(run)  # the workers of the one that was killed leave their places
    assert shards(run) == shards(alone)
    for name, written in before.items():
        assert (run.at.harvest / name).stat().st_mtime_ns == written  # not made again
    until(lambda: not processes(two))


@pytest.mark.slow(seconds=20)
def test_fewer_workers_than_asked_for_do_the_work(tmp_path, two, alone, capfd, monkeypatch):
    monkeypatch.setattr(pool, "FEWER", 0.0)
    run = prepared(tmp_path / "run", SEARCH, TRAIN, executor=on(two, workers=5))
    search.main(run)
    assert shards(run) == shards(alone)
    assert "of 5 workers have a place: each takes 1 core, and " in capfd.readouterr().err


@pytest.mark.slow(seconds=20)
def test_a_cluster_without_room_is_refused_before_anything_is_done(tmp_path, two, monkeypatch):
    wanted = Ray(address=two.address, gpus=1)
    with pytest.raises(RunError) as caught:
        wanted.check(None)
    assert "no worker has a place on the Ray cluster at " in str(caught.value)
    assert "each takes 1 core and 1 card, and " in str(caught.value)
    assert "has 1 core and no cards" in str(caught.value)
    # there is room, and another's work in it
    monkeypatch.setattr(pool, "PLACE", 3.0)
    run = prepared(tmp_path / "run", SEARCH[:1], 20, executor=on(two))
    with busy(two), pytest.raises(RunError, match="has had a place on the Ray cluster for 3 sec"):
        search.main(run)


BUSY = """
import ray, sys, time
ray.init(address=sys.argv[1])
class Other:
    def go(self): pass
others = [ray.remote(num_cpus=1)(Other).remote() for _ in range(2)]
ray.get([each.go.remote() for each in others])
print("ready", flush=True)
time.sleep(600)
"""


@contextmanager
def busy(found) -> Iterator[None]:
    """Another program has all cores of a cluster."""
    command = [sys.executable, "-c", BUSY, found.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        until(lambda: b"ready" in process.stdout.readline())
        yield
    finally:
        process.kill()
        process.wait(30)


def test_a_preset_is_refused_that_no_executor_understands(tmp_path, small_preset, monkeypatch):
    out = tmp_path / "run"
    one_sentence(
        ltf("train", small_preset, "--out", out, "--executor", "rey"), 2, "did you mean 'ray'"
    )
    told = ltf("train", small_preset, "--out", out, "--executor", "{name: ray, worker: 2}")
    one_sentence(told, 2, "executor: there is no setting 'worker' of ray; did you mean 'workers'")
    told = ltf("train", small_preset, "--out", out, "--executor", "{name: ray")
    one_sentence(told, 2, "--executor", "settings are written like '{name: ray, address")
    nowhere = "{name: ray, address: '127.0.0.1:1'}"
    told = ltf("train", small_preset, "--out", out, "--executor", nowhere)
    one_sentence(told, 1, "no Ray cluster answers at 127.0.0.1:1", "ray start --head")
    assert not (out / "manifest.json").exists()
    assert not out.exists() or not list(out.rglob("*.jsonl"))


def test_without_ray_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    from ltf_lite.pipeline import train
    from tests.test_presets import changed

    monkeypatch.setattr("ltf_lite.pipeline.executors.ray.find_spec", lambda name: None)
    preset = parse(changed("executor", {"name": "ray"}), "here")
    with pytest.raises(PresetError) as caught:
        train(preset, tmp_path / "run")
    assert 'pip install "ltf-lite[ray]"' in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_doctor_says_what_a_cluster_has_and_why_a_preset_does_not_fit(two, tmp_path):
    told = ltf("doctor", "--cluster", two.address)
    assert told.returncode == 0, told.stderr
    assert f"Ray cluster {two.address}: 2 machines, 2 cores, no cards" in told.stdout
    facts = json.loads(ltf("doctor", "--cluster", two.address, "--json").stdout)
    assert [node["cores"] for node in facts["nodes"]] == [1, 1]
    preset = tmp_path / "own.yaml"
    preset.write_text(yaml.safe_dump({**SMALL, "executor": on(two, workers=3)}))
    told = ltf("doctor", "--cluster", two.address, "--preset", preset)
    assert told.returncode == 0, told.stderr
    assert "A worker takes 1 core: 2 have a place." in told.stdout
    assert "3 workers are asked for: 2 begin, the others wait for room." in told.stdout
    preset.write_text(yaml.safe_dump({**SMALL, "executor": on(two, gpus=1)}))
    told = ltf("doctor", "--cluster", two.address, "--preset", preset)
    assert told.returncode == 1
    assert "no machine has room for a worker, which takes 1 core and 1 card." in told.stdout
    one_sentence(ltf("doctor", "--preset", "tiny"), 2, "--cluster")
    one_sentence(ltf("doctor", "--cluster", "127.0.0.1:1"), 1, "no Ray cluster answers at")
    # an address that is told stands, whatever Ray is told elsewhere
    elsewhere = {**os.environ, "RAY_ADDRESS": two.address}
    auto = ltf("doctor", "--cluster", env=elsewhere)
    assert f"Ray cluster {two.address}" in auto.stdout, auto.stderr
    for wrong in ("foo", "foo:", ":6379"):
        told = ltf("doctor", "--cluster", wrong, env=elsewhere)
        one_sentence(told, 1, f"'{wrong}' is no address of a Ray cluster: write HOST:PORT")


# -- how large a worker is ------------------------------------------------------------------------


def node(cores: int, cards: int = 0) -> Node:
    return Node("n", "host", cores, cards, "", 2**34)


@pytest.mark.parametrize(
    ("found", "settings", "threads", "shape", "places"),
    [
        ([node(1), node(1)], {}, None, Shape(None, 1, 0), 2),
        ([node(16), node(16)], {}, None, Shape(None, 16, 0), 2),
        ([node(16), node(4)], {"workers": 4}, None, Shape(4, 4, 0), 5),
        ([node(0), node(8)], {}, None, Shape(None, 8, 0), 1),
        ([node(8), node(8)], {"workers": 4}, 2, Shape(4, 2, 0), 8),
        ([node(8, 2), node(8, 4)], {}, None, Shape(None, 1, 1), 6),
        ([node(8, 2)], {"gpus": 0, "workers": 2}, None, Shape(2, 4, 0), 2),
        ([node(2)], {"workers": 9}, None, Shape(9, 1, 0), 2),
    ],
)
def test_a_worker_takes_what_leaves_the_others_a_place(
    monkeypatch, found, settings, threads, shape, places
):
    monkeypatch.setattr(clusters, "nodes", lambda: found)
    assert clusters.shape(Ray(**settings), threads) == shape
    assert shape.places(found) == places

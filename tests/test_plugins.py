"""One file adds one thing: each is written into a copy of the package and used from outside."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import ltf_lite
from ltf_lite.harvest import read
from tests.another_package import another_package, on_path
from tests.conftest import ltf, one_sentence

HOUSE = Path(ltf_lite.__file__).parent

UPPER = '''
"""Say a word in capital letters."""

import random
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.tasks.contract import Line, Path, Problem, Task, TaskError, Verdict, share

LETTERS = "abcdefgh"


class Upper(Task):
    title: ClassVar[str] = "capital letters"
    kinds: ClassVar[Mapping[str, str]] = {"no_shout": "It is not in capital letters."}

    name: Literal["upper"] = "upper"
    length: int = Field(3, ge=2, le=9)

    def problems(self, split, n, seed):
        rng, found = random.Random(f"{split}:{seed}"), {}
        while len(found) < n:
            word = "".join(rng.choices(LETTERS, k=self.length))
            at = share(word)
            if split == ("test" if at < 0.2 else "validation" if at < 0.3 else "train"):
                found[word] = self.problem(word)
        return list(found.values())

    def problem(self, data):
        word = data.get("word") if isinstance(data, Mapping) else data
        if not isinstance(word, str) or not word.isalpha():
            raise TaskError("a problem is a word")
        return Problem("upper", f"upper:{word}", word, {"word": word})

    def prompt(self, problem, dialect):
        return f"{problem.text}\\n"

    def parse(self, problem, text):
        said = text.strip().partition("\\n")[0]
        return Path((), Line(said, 0, len(said), 0, len(said), said) if said else None)

    def verify(self, problem, path):
        right = path.answer is not None and path.answer.text == problem.text.upper()
        return Verdict(right, None if right else "no_shout", None if right else 0, "as it is")

    def room(self, problem, dialect):
        return 16
'''

CONTAINS = '''
"""The answer has the gold answer somewhere in it."""

from typing import ClassVar, Literal

from ltf_lite.tasks.verifiers import Verifier


class Contains(Verifier):
    title: ClassVar[str] = "contains it"

    name: Literal["contains"] = "contains"
    anywhere: bool = True

    def right(self, answer: str, gold: str) -> bool:
        return gold in answer if self.anywhere else answer.startswith(gold)


PLUGIN = Contains
'''

COIN = '''
"""Tosses a coin: says a word in capital letters, or as it is."""

import random
from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.reasoners.base import Reasoner
from ltf_lite.reasoners.choice import Choice


class Coin(Reasoner):
    title: ClassVar[str] = "the toss of a coin"
    asks_model: ClassVar[bool] = False

    name: Literal["coin"] = "coin"
    heads: float = Field(0.5, ge=0, le=1)

    def search(self, growth):
        word, toss = growth.problem.text, random.Random(growth.problem.id).random()
        for said in (word.upper(), word) if toss < self.heads else (word, word.upper()):
            growth.attempts.append(growth.attempt(f"{said}\\n"))
        yield from ()

    def choices(self, growth):
        return {Choice("search", picker="chance"): 0}


PLUGIN = Coin
'''

HALF = '''
"""Learns from successes at half the weight."""

from typing import ClassVar, Literal

from pydantic import Field

from ltf_lite.tuning.settings import Tuning


class Half(Tuning):
    title: ClassVar[str] = "half-hearted tuning"
    sentence: ClassVar[str] = "Half-hearted tuning on successes"

    method: Literal["half"] = "half"
    share: float = Field(0.5, gt=0, le=1)

    def forgetting(self, parts):
        return parts.good.nll.new_zeros(())

    def weights(self):
        return self.share, 0.0


PLUGIN = Half
'''

ECHO = '''
"""Writes its prompt again, in capital letters: no model at all."""

from typing import ClassVar, Literal

from ltf_lite.engines.base import Completion, Score, counted
from ltf_lite.engines.dialect import Dialect
from ltf_lite.engines.plugin import EnginePlugin


class Echoing:
    name, listener = "echo", None

    def __init__(self, dialect, loud):
        self.dialect, self.loud, self.usage = dialect or Dialect("compact"), loud, counted()

    def generate(self, prompts, sampling, seeds=None):
        with self.usage.call():
            said = [prompt.upper() if self.loud else prompt for prompt in prompts]
            found = [[Completion(text, len(text), -1.0, True)] * sampling.n for text in said]
        self.usage.tokens_out += sum(one.tokens for row in found for one in row)
        return found

    def score(self, prompts, continuations):
        return [Score(-float(len(text)), len(text)) for text in continuations]

    def clear(self): ...

    def close(self): ...


class Echo(EnginePlugin):
    title: ClassVar[str] = "an echo"

    name: Literal["echo"] = "echo"
    loud: bool = True

    def open(self, ref, dialect, exact=False, load_in_4bit=False, adapter=None):
        return Echoing(dialect, self.loud)

    def for_base(self, base, dialect, load_in_4bit):
        return Echoing(dialect, self.loud)


PLUGIN = Echo
'''

NOTE = '''
"""A note beside the files."""

from typing import ClassVar, Literal

from ltf_lite.export.formats import Exporter


class Note(Exporter):
    title: ClassVar[str] = "a note"

    name: Literal["note"] = "note"
    greeting: str = "Hello"

    def write(self, exported):
        path = exported.folder / "NOTE.txt"
        path.write_text(f"{self.greeting} from {exported.name}, {', '.join(exported.files)}\\n")
        return [path]

    def hint(self, exported):
        return "A note: read `NOTE.txt`"


PLUGIN = Note
'''


class Added(NamedTuple):
    """A plugin: its one file, and where a preset names it with one of its settings."""

    name: str
    file: str
    source: str
    place: tuple[str | int, ...]
    section: dict[str, Any]


REFERENCE = {"name": "reference", "file": "asked.jsonl"}
ADDED = (
    Added("upper", "tasks/upper.py", f"{UPPER}\n\nPLUGIN = Upper\n", ("task",), {"length": 4}),
    Added(
        "contains",
        "tasks/verifiers/contains.py",
        CONTAINS,
        ("task", "verifier"),
        {"anywhere": False},
    ),
    Added("coin", "reasoners/coin.py", COIN, ("search", 0), {"heads": 0.9}),
    Added("half", "tuning/methods/half.py", HALF, ("tuning",), {"share": 0.25}),
    Added("echo", "engines/echo.py", ECHO, ("engine",), {"loud": False}),
    Added("note", "export/formats/note.py", NOTE, ("export", "also", 0), {"greeting": "Bye"}),
)
LEAST: dict[str, Any] = {
    "name": "plugins",
    "about": "one of each",
    "threads": 1,
    "model": {"base": "tiny-base"},
    "problems": {"train": 24, "validation": 4, "test": 4},
    "tuning": {
        "steps": 4,
        "batch": 4,
        "learning_rate": 1e-3,
        "warmup": 1,
        "eval_every": 2,
        "max_length": 64,
    },
    "evaluation": [{"name": "cot", "max_tokens": 8}],
    "retention": {"problems": 2},
    "export": {"greedy_problems": 2, "success_points": 100},
}


def preset(*added: Added, **settings: Any) -> dict[str, Any]:
    """A preset that names these plugins, each with `settings`, or with one of its own."""
    data: dict[str, Any] = {
        **json.loads(json.dumps(LEAST)),
        "task": {"name": "countdown"},
        "search": [{"name": "cot", "max_tokens": 8}],
        "engine": {"name": "torch"},
    }
    data["export"]["also"] = [{"name": "ollama"}]
    for one in added:
        if one.name == "contains":
            data["task"] = dict(REFERENCE)
        *way, last = one.place
        at: Any = data
        for key in way:
            at = at[key]
        key = "method" if one.name == "half" else "name"
        own = {**at[last], **one.section} if one.name == "half" else one.section
        at[last] = {**own, **settings, key: one.name}
    return data


def copy(folder: Path) -> Path:
    """A copy of the package, as it would lie in a checkout."""
    house = folder / "ltf_lite"
    shutil.copytree(HOUSE, house, ignore=shutil.ignore_patterns("__pycache__"))
    return house


def contents(house: Path) -> dict[str, str]:
    """Every file of a copy, with a hash of what is in it."""
    return {
        file.relative_to(house).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in house.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def add(house: Path, plugin: Added) -> None:
    (house / plugin.file).write_text(plugin.source)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with a file of questions."""
    folder = tmp_path_factory.mktemp("work")
    asked = [{"question": f"{k} + {k}", "answer": str(2 * k)} for k in range(200)]
    lines = "".join(json.dumps(each) + "\n" for each in asked)
    (folder / "asked.jsonl").write_text(lines)
    return folder


# -- each alone --------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", ADDED, ids=[plugin.name for plugin in ADDED])
@pytest.mark.slow
def test_one_file_is_enough(tmp_path, work, plugin):
    """The name and a setting work in a preset, and what the plugin does not know is refused."""
    house = copy(tmp_path)
    before = contents(house)
    known = tmp_path / "known.yaml"
    known.write_text(yaml.safe_dump(preset(plugin)))
    told = ltf("train", known, "--dry-run", cwd=work, env=on_path(tmp_path))
    assert told.returncode == 2
    assert plugin.name in told.stderr

    add(house, plugin)
    told = ltf("train", known, "--dry-run", cwd=work, env=on_path(tmp_path))
    assert told.returncode == 0, told.stderr

    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(preset(plugin, colour="red")))
    told = ltf("train", wrong, "--dry-run", cwd=work, env=on_path(tmp_path))
    one_sentence(told, 2, "colour", plugin.name)

    after = contents(house)
    assert set(after) - set(before) == {plugin.file}
    assert {file: after[file] for file in before} == before


# -- all of them in a run ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that has them all."""
    folder = tmp_path_factory.mktemp("grown")
    house = copy(folder)
    for plugin in ADDED:
        add(house, plugin)
    return folder


@pytest.fixture(scope="module")
def run(grown: Path, work: Path) -> Path:
    """The folder of a run that uses all but the verifier, which is of another task."""
    used = [plugin for plugin in ADDED if plugin.name != "contains"]
    data = preset(*used)
    data["search"].insert(0, {"name": "cot", "max_tokens": 8})
    data["evaluation"] += [{"name": "coin"}]
    (work / "all.yaml").write_text(yaml.safe_dump(data))
    result = ltf("train", "all.yaml", "--out", "run", cwd=work, env=on_path(grown))
    assert result.returncode == 0, result.stderr
    return work / "run"


def said(grown: Path, *args: object, cwd: Path | None = None, **options) -> str:
    """What a command of the copy says; in a checkout, Python would take that instead."""
    result = ltf(*args, cwd=cwd or grown, env=on_path(grown), **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def cells(run: Path) -> set[str]:
    with open(run / "report" / "results.csv", newline="", encoding="utf-8") as file:
        return {cell for row in csv.reader(file) for cell in row}


@pytest.mark.slow(seconds=21)
def test_the_task_is_solved_verified_and_reported(grown, run):
    answer = json.loads(said(grown, "solve", "upper", "abcd", "--model", run, "--json"))
    assert answer["problem"]["text"] == "abcd"
    line = json.dumps({"problem": {"word": "abc"}, "text": "ABC\n"}) + "\n"
    assert json.loads(said(grown, "verify", "upper", input=line))["correct"]
    assert "upper" in said(grown, "solve", "--help")
    assert "no_shout" in cells(run)
    assert len((run / "problems" / "test.jsonl").read_text().splitlines()) == 4


def test_a_setting_of_the_task_is_given_on_the_command_line(grown):
    wrong = ("solve", "upper", "abcd", "--task-set", "lenght=4")
    told = ltf(*wrong, cwd=grown, env=on_path(grown))
    one_sentence(told, 2, "lenght", "length")


@pytest.mark.slow
def test_the_verifier_judges_answers(grown, work):
    asked = {"question": "2 + 2", "answer": "4"}
    line = json.dumps({"problem": asked, "text": "Answer: it is 4, I think"}) + "\n"
    common = ("verify", "reference", "--task-set", "file=asked.jsonl")
    exact = json.loads(said(grown, *common, input=line, cwd=work))
    assert not exact["correct"]
    own = ("--task-set", "verifier.name=contains")
    assert json.loads(said(grown, *common, *own, input=line, cwd=work))["correct"]
    own = (*own, "--task-set", "verifier.anywhere=false")
    assert not json.loads(said(grown, *common, *own, input=line, cwd=work))["correct"]


@pytest.mark.slow
def test_the_reasoner_answers_and_is_called_by_its_title(grown, run):
    asked = ("solve", "upper", "abc", "--reasoner", "coin", "--set", "heads=1", "--json")
    answer = json.loads(said(grown, *asked))
    assert answer["text"] == "ABC\n"
    assert answer["verdict"]["correct"]
    assert "the toss of a coin" in said(grown, "solve", "--help")
    assert "the toss of a coin" in (run / "report" / "index.html").read_text()
    wrong = ("search", "upper", "abc", "--reasoner", "coin", "--set", "tails=1")
    told = ltf(*wrong, cwd=grown, env=on_path(grown))
    one_sentence(told, 2, "tails", "coin")


@pytest.mark.slow
def test_the_method_tunes_and_its_sentence_is_in_the_card(run):
    card = (run / "gguf" / "README.md").read_text()
    assert "Half-hearted tuning on successes, share 0.25" in card


@pytest.mark.slow
def test_the_engine_searches_and_is_a_model_by_its_name(grown, run):
    written = list(read(run / "harvest", reasoners=["cot"]))
    assert written
    assert {row.engine for row in written} == {"echo"}
    assert all(row.text == row.prompt for row in written)  # it is not loud in this preset
    told = ("solve", "upper", "abc", "--model", "echo:", "--json")
    answer = json.loads(said(grown, *told))
    assert answer["text"].strip() == "ABC"
    assert answer["verdict"]["correct"]


@pytest.mark.slow
def test_the_exporter_writes_beside_the_files_and_into_the_card(run):
    assert (run / "gguf" / "NOTE.txt").read_text() == "Bye from plugins, f16, q8_0\n"
    assert "read `NOTE.txt`" in (run / "gguf" / "README.md").read_text()
    assert not (run / "gguf" / "Modelfile").exists()


# -- another package ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a task, a reasoner, one that cannot be imported, one that is none of ours,
    and one that takes the name of ours."""
    return another_package(
        tmp_path_factory.mktemp("other"),
        {
            "other_task": UPPER,
            "other_coin": COIN,
            "other_broken": "import there_is_no_such_module\n",
            "other_dfs": COIN.replace("coin", "dfs").replace("the toss", "not the toss"),
        },
        {
            "ltf_lite.tasks": {"upper": "other_task:Upper"},
            "ltf_lite.reasoners": {
                "coin": "other_coin:Coin",
                "broken": "other_broken:Broken",
                "upper": "other_task:Upper",
                "dfs": "other_dfs:Coin",
            },
        },
    )


def test_another_package_adds_a_task_and_a_reasoner(other):
    asked = ("solve", "upper", "abc", "--reasoner", "coin", "--set", "heads=1", "--json")
    told = ltf(*asked, env=on_path(other))
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["text"] == "ABC\n"


@pytest.mark.slow
def test_what_cannot_be_loaded_is_told_and_left_out(other):
    told = ltf("solve", "upper", "abc", "--reasoner", "coin", "--json", env=on_path(other))
    assert told.returncode == 0, told.stderr
    for name, why in (("broken", "there_is_no_such_module"), ("upper", "Reasoner")):
        (line,) = [each for each in told.stderr.splitlines() if f"reasoner {name} " in each]
        assert "left out" in line
        assert why in line
    told = ltf("solve", "upper", "abc", "--reasoner", "broken", env=on_path(other))
    assert told.returncode == 2
    assert "broken" in told.stderr.splitlines()[-1]


def test_none_of_ours_is_replaced(other):
    asked = ("search", "countdown", "3 4 -> 7", "--reasoner", "dfs", "--json")
    told = ltf(*asked, env=on_path(other))
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["attempts"][0]["verdict"]["correct"]

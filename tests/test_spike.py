"""A task of free text goes everywhere: an answer and a verifier, no steps, no solver.

It comes from another package by an entry point, and with it a reasoner that asks no model: the
base is of random weights, asked few-shot, and its tuned copy learns zero-shot.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ltf_lite.evaluation.types import read_record
from ltf_lite.harvest import read
from tests.another_package import another_package, on_path
from tests.conftest import ltf, one_sentence

TASK = '''
"""Which of two words is longer."""

import random
from collections.abc import Mapping
from itertools import permutations
from typing import ClassVar, Literal

from ltf_lite.tasks.contract import Line, Path, Problem, Task, TaskError, Verdict, share

WORDS = ("ox", "eel", "cat", "mule", "wolf", "horse", "zebra", "donkey", "gorilla", "elephant")


class Longer(Task):
    title: ClassVar[str] = "the longer word"
    kinds: ClassVar[Mapping[str, str]] = {
        "unsaid": "No line says which word it is.",
        "shorter": "It is the shorter word.",
        "invented": "It is neither of the two words.",
    }

    name: Literal["longer"] = "longer"

    def problems(self, split, n, seed):
        pairs = [pair for pair in permutations(WORDS, 2) if len(pair[0]) != len(pair[1])]
        pool = [self._of(*pair) for pair in pairs if self._split(*pair) == split]
        if n > len(pool):
            raise TaskError(f"longer: there are {len(pool)} {split} problems, not {n}")
        return random.Random(f"{split}:{seed}").sample(pool, n)

    def _split(self, *pair):
        at = share(" ".join(sorted(pair)))
        return "test" if at < 0.25 else "validation" if at < 0.45 else "train"

    def _of(self, first, second):
        data = {"first": first, "second": second}
        return Problem("longer", f"longer:{first}-{second}", f"{first} or {second}", data)

    def problem(self, data):
        if isinstance(data, str):
            first, found, second = data.removesuffix("?").partition(" or ")
            data = {"first": first.strip(), "second": second.strip()} if found else {}
        words = [data.get(key) for key in ("first", "second")] if isinstance(data, Mapping) else []
        if len(words) != 2 or not all(isinstance(w, str) and w.isalpha() for w in words):
            raise TaskError("a problem is written like 'cat or horse'")
        return self._of(*words)

    def prompt(self, problem, dialect):
        shot = "ant or bee?\\nNo.\\n\\n" if dialect == "few_shot" else ""
        return f"{shot}{problem.text}?\\n"

    def parse(self, problem, text):
        lines, at = [], 0
        for line in text.splitlines(keepends=True):
            start, end = at, at + len(line.rstrip("\\n"))
            at += len(line)
            said = line.strip()
            if said.startswith("Longer:"):
                word = said.removeprefix("Longer:").strip()
                return Path(tuple(lines), Line(said, start, end, end - len(word), end, word))
            if said:
                lines.append(Line(said, start, end, start, end))
        return Path(tuple(lines), None)

    def verify(self, problem, path):
        words = sorted(problem.data.values(), key=len)
        at = len(path.lines)
        if path.answer is None:
            return Verdict(False, "unsaid", at, "no line begins with Longer:")
        word = path.answer.step
        if word == words[1]:
            return Verdict(True, None, None, f"correct: {word} is longer")
        kind = "shorter" if word == words[0] else "invented"
        return Verdict(False, kind, at, f"{word!r} is not the longer word")

    def room(self, problem, dialect):
        return 48

    def answer(self, path):
        return path.answer.step if path.answer else None
'''

REASONER = '''
"""Says what is right, and what is wrong in every way, without a model."""

from typing import ClassVar, Literal

from ltf_lite.reasoners.base import Reasoner
from ltf_lite.reasoners.choice import Choice


class Told(Reasoner):
    title: ClassVar[str] = "told by the test"
    asks_model: ClassVar[bool] = False

    name: Literal["told"] = "told"

    def search(self, growth):
        words = sorted(growth.problem.data.values(), key=len)
        for said in (words[1], words[0], "cow"):
            growth.attempts.append(growth.attempt(f"so\\nLonger: {said}\\n"))
        growth.attempts.append(growth.attempt("who knows\\n"))
        yield from ()

    def choices(self, growth):
        return {Choice("search", picker="chance"): 0}
'''

KINDS = ("unsaid", "shorter", "invented")
TRAIN, VALIDATION, TEST = 30, 4, 6

PRESET = {
    "name": "spike",
    "about": "which word is longer",
    "threads": 1,
    "task": {"name": "longer"},
    "model": {"base": "base"},
    "problems": {"train": TRAIN, "validation": VALIDATION, "test": TEST},
    "search": [
        {"name": "told"},
        {"name": "cot", "problems": 4, "max_tokens": 16},
        {"name": "cot", "n": 2, "temperature": 1.0, "problems": 4, "max_tokens": 16},
    ],
    "tuning": {
        "alpha": 1e-4,
        "steps": 40,
        "batch": 8,
        "learning_rate": 2e-3,
        "warmup": 5,
        "eval_every": 20,
        "max_length": 96,
    },
    "evaluation": [
        {"name": "told"},
        {"name": "cot", "max_tokens": 32},
        {"name": "cot", "n": 4, "temperature": 1.0, "max_tokens": 32},
        {
            "name": "tot",
            "beam": 1,
            "samples": 1,
            "votes": 1,
            "max_tokens": 8,
            "problems": 1,
        },
    ],
    "retention": {"problems": 1},
    "export": {"greedy_problems": 2, "success_points": 100},
}
ASKED = ("longer", "cat or horse")


@pytest.fixture(scope="module")
def spike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other package, with a task and a reasoner."""
    return another_package(
        tmp_path_factory.mktemp("spike"),
        {"spike_task": TASK, "spike_reasoner": REASONER},
        {
            "ltf_lite.tasks": {"longer": "spike_task:Longer"},
            "ltf_lite.reasoners": {"told": "spike_reasoner:Told"},
        },
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers that has room for what a search on free text asks."""
    import torch
    from transformers import LlamaForCausalLM

    from ltf_lite.tiny import pretrain, tokenizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("random") / "base"
    config = pretrain.config(64, 2, 128)
    config.max_position_embeddings = 1024
    model = LlamaForCausalLM(config)
    model.get_input_embeddings().weight.data.mul_(10)  # else no adapter makes a token likely
    model.save_pretrained(folder)
    tokenizer.build().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(spike: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the task."""
    folder = tmp_path_factory.mktemp("runs")
    preset = {**PRESET, "model": {"base": str(model)}}
    (folder / "spike.yaml").write_text(yaml.safe_dump(preset))
    result = ltf("train", folder / "spike.yaml", "--out", folder / "spike", env=on_path(spike))
    assert result.returncode == 0, result.stderr
    return folder / "spike"


def said(spike: Path, *args: object, **options) -> str:
    result = ltf(*args, env=on_path(spike), **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow(seconds=20)
def test_a_run_harvests_paths_of_every_kind(run):
    rows = list(read(run / "harvest"))
    assert {row.kind for row in rows} == {None, *KINDS}
    assert {row.reasoner for row in rows} == {"told", "cot"}
    right = [row for row in rows if row.correct]
    assert len({row.problem.id for row in right}) == TRAIN
    row = right[0]
    assert row.prompt == f"ant or bee?\nNo.\n\n{row.problem.text}?\n"  # as the base was asked
    assert row.answer == max(row.problem.data.values(), key=len)


def kinds_of_models(run: Path) -> set[str]:
    """The failure kinds that base and tuned model came to: pictures show models alone."""
    files = [*run.glob("evaluation/base/*.test.json"), *run.glob("evaluation/tuned/*.test.json")]
    records = [read_record(file) for file in files]
    found = {kind for each in records if each.model != "none" for kind in each.kinds} - {"success"}
    assert found
    assert found <= set(KINDS)
    return found


@pytest.mark.slow
def test_its_kinds_stand_in_the_tables_and_pictures_of_the_report(run):
    with open(run / "report" / "results.csv", newline="", encoding="utf-8") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert set(KINDS) <= cells
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    pictures = "".join(part.partition("</svg>")[0] for part in page.split("<svg")[1:])
    tables = "".join(part.partition("</table>")[0] for part in page.split("<table")[1:])
    for kind in KINDS:
        assert kind in tables
    for kind in kinds_of_models(run):
        assert kind in pictures
    assert (run / "report" / "kinds.png").is_file()
    assert "It is the shorter word" in page or "is not the longer word" in page


@pytest.mark.slow
def test_its_report_is_written_again(spike, run):
    (run / "report" / "index.html").unlink()
    assert "report" in said(spike, "report", run)
    assert (run / "report" / "index.html").is_file()


@pytest.mark.slow
def test_the_tuned_model_is_asked(spike, run):
    answer = json.loads(said(spike, "solve", *ASKED, "--model", run, "--json"))
    assert answer["problem"]["text"] == "cat or horse"
    verdict = answer["verdict"]
    assert verdict["correct"] or verdict["kind"] in KINDS
    assert json.loads((run / "model" / "ltf.json").read_text()) == {"dialect": "zero_shot"}


def test_it_is_solved_without_a_model(spike):
    answer = json.loads(said(spike, "solve", *ASKED, "--reasoner", "told", "--json"))
    assert answer["verdict"]["correct"]
    assert answer["text"].endswith("Longer: horse\n")


@pytest.mark.parametrize(
    ("reasoner", "settings"),
    [
        ("cot", ["max_tokens=24"]),
        ("tot", ["beam=1", "samples=1", "votes=1", "max_tokens=8"]),
        ("rap", ["iterations=1", "samples=1", "votes=1", "max_tokens=8"]),
    ],
)
@pytest.mark.slow
def test_every_reasoner_that_asks_a_model_searches_it(spike, run, reasoner, settings):
    told = [part for each in settings for part in ("--set", each)]
    asked = ("search", *ASKED, "--model", run, "--reasoner", reasoner, *told)
    found = said(spike, *asked, "--json")
    solution = json.loads(found)
    assert solution["problem"]["text"] == "cat or horse"
    assert solution["tokens"] > 0
    assert len(solution["tree"]) > 1
    assert all(a["verdict"]["kind"] in (None, *KINDS) for a in solution["attempts"])
    assert "cat or horse" in said(spike, *asked)


def test_its_paths_are_verified(spike):
    asked = {"first": "cat", "second": "horse"}
    texts = ["Longer: horse", "Longer: cat", "Longer: cow", "hm"]
    lines = "".join(json.dumps({"problem": asked, "text": text}) + "\n" for text in texts)
    found = [json.loads(v) for v in said(spike, "verify", "longer", input=lines).splitlines()]
    assert [v["correct"] for v in found] == [True, False, False, False]
    assert [v["kind"] for v in found] == [None, "shorter", "invented", "unsaid"]


@pytest.mark.parametrize("reasoner", ["dfs", "bfs", "random"])
@pytest.mark.parametrize("verb", ["solve", "search"])
def test_a_reasoner_that_needs_a_solver_is_refused_by_name(spike, verb, reasoner):
    result = ltf(verb, *ASKED, "--reasoner", reasoner, env=on_path(spike))
    needs = f"{reasoner} needs an exact solver, which longer has none of; use "
    one_sentence(result, 2, needs, "cot", "tot", " or ", "rap")
    assert not result.stdout


def test_a_preset_with_one_is_refused_before_anything_is_written(spike, tmp_path):
    wrong = {
        **PRESET,
        "model": {"base": "tiny-base"},
        "search": [*PRESET["search"], {"name": "dfs"}],
    }
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    result = ltf("train", "wrong.yaml", cwd=tmp_path, env=on_path(spike))
    one_sentence(result, 2, "dfs needs an exact solver, which longer has none of; use cot, ")
    assert [file.name for file in tmp_path.iterdir()] == ["wrong.yaml"]


APP = """
import json, sys, threading
from pathlib import Path

from ltf_lite.app.answer import live
from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web import asked, cards, catalogue, failures, runs, sections, ways
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import speaker
from ltf_lite.core.errors import LtfError
from ltf_lite.harvest import browse
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.run import jobs

folder = Path(sys.argv[1])
say = speaker(sys.argv[2])
desk, run = Desk(Shelf(folder.parent), Pool(1), say), Run.load(folder)
tuned = next(name for name, model in desk.shelf.models().items() if model.tuned)
form = asked.Form("longer", "cat or horse", tuned, "tiny-base", "told", 2, 1, 1, 300, 0)
task, problem = asked.task_of(desk, form), asked.problem_of(desk, form)
single, search = asked.sides_of(desk, form, task)
*_, (one, other) = live.compare(problem, task, (single, search), desk.pool, threading.Event())
desk.pool.close()


def refused(**other):
    wrong = form._replace(**other)
    try:
        asked.sides_of(desk, wrong, asked.task_of(desk, wrong))
        asked.problem_of(desk, wrong)
    except LtfError as error:
        return str(error)


rows, total, _ = browse.failures(run.at.harvest, kind="invented", limit=1)
print(json.dumps({
    "title": catalogue.title_of_task("longer", say),
    "way": ways.title_of_way("told", say),
    "drawn": asked.drawn(desk, form).text,
    "examples": [each.task for _, each in asked.examples(desk)],
    "states": [one.state, other.state],
    "panes": [cards.pane(each, "side", task, say, problem.text) for each in (one, other)],
    "no_solver": refused(way="dfs"),
    "no_problem": refused(problem="cat"),
    "kinds": failures.kinds_of_run(run, say),
    "card": failures.card(rows[0], run.preset.task, say),
    "invented": total,
    "stages": runs.stages(jobs.state(folder), say),
    "sections": {s.name: sections.html(s, say) for s in sections.of_run(run, say)},
}))
"""


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.slow
def test_the_app_has_all_of_it(spike, run, language):
    result = subprocess.run(
        [sys.executable, "-c", APP, str(run), language],
        env=on_path(spike),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["title"] == "The longer word"
    assert found["way"] == "Told by the test"
    assert " or " in found["drawn"]
    assert "longer" in found["examples"]
    assert found["states"] == ["done", "done"]
    assert "Longer: horse" in found["panes"][1]
    assert "ltf-good" in found["panes"][1]
    assert "dfs needs an exact solver, which longer has none of" in found["no_solver"]
    assert "cat or horse" in found["no_problem"]
    assert found["invented"] == TRAIN
    assert "neither" in found["card"] or "not the longer word" in found["card"]
    for kind in kinds_of_models(run):
        assert kind in found["kinds"]
        assert kind in found["sections"]["failures"]
    assert "headline" in found["sections"]
    assert found["stages"]

"""Nobody waits in silence: what a long call does is shown while it goes on."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
import torch

from ltf_lite.core import progress
from ltf_lite.core.folder import RunFolder
from ltf_lite.engines import open_engine, resolve
from ltf_lite.pipeline import Run, abilities, hearing
from ltf_lite.pipeline.executors.local import Here
from ltf_lite.pipeline.executors.part import Search
from ltf_lite.pipeline.opening import Opening
from ltf_lite.pipeline.pilot.measure import pilot
from ltf_lite.pipeline.stages.evaluate import evaluate
from ltf_lite.pipeline.stages.search import parts_of
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import get_task

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
PROBLEMS = TASK.problems("validation", 20, 3)


class Bar:
    """What a bar hears: units, and notes."""

    def __init__(self) -> None:
        self.units, self.notes = 0, list[str]()

    def __call__(self, n: int = 1, note: str = "") -> None:
        self.units += n
        self.notes.append(note)

    def tokens(self, what: str) -> list[int]:
        """The tokens that were told of something, in their order."""
        found = (re.fullmatch(rf"{what}: ([\d,]+) tokens", note) for note in self.notes)
        return [int(each[1].replace(",", "")) for each in found if each]


@pytest.fixture(scope="module", params=["torch", "llamacpp"])
def engine(request):
    torch.set_num_threads(1)
    model = "tiny-base" if request.param == "torch" else request.getfixturevalue("base_gguf")
    opened = open_engine(model)
    yield opened
    opened.close()


@pytest.fixture
def often(monkeypatch):
    """What is told once a second is told at once."""
    monkeypatch.setattr(hearing, "RECORDED", 0.0)


@pytest.fixture
def run(small_run: Path, tmp_path) -> Run:
    return Run.load(shutil.copytree(small_run, tmp_path / "run"))


# -- a bar in which nothing advances -------------------------------------------------------------


@pytest.mark.slow
def test_a_bar_speaks_while_nothing_advances(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.2)
    monkeypatch.setattr(progress, "RECORDED", 0.05)
    with progress.bar("work", 2) as advance:
        advance(0, "thinking")
        time.sleep(1)
        said = capsys.readouterr().err.splitlines()
        assert len(said) >= 2
        assert all(re.fullmatch(r"  work: 0/2, [\d.]+ s so far, thinking", line) for line in said)
        advance(2, "done")
    assert re.fullmatch(r"  work: 2/2 in [\d.]+ s, done\n", capsys.readouterr().err)
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_what_is_left_shrinks_while_nothing_advances_and_is_not_told_once_it_is_over(
    monkeypatch, capsys
):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with progress.bar("work", 3) as advance:
        for seconds, n, words in (
            (100, 1, "1/3, 3 min 20 s left"),  # two as long as the first
            (150, 0, "1/3, 2 min 30 s left"),
            (310, 0, "1/3, 5 min 10 s so far"),
            (400, 1, "2/3, 3 min 20 s left"),
            (500, 1, "3/3 in 8 min 20 s"),
        ):
            clock[0] = seconds
            advance(n)
            assert capsys.readouterr().err.splitlines()[0] == f"  work: {words}"


def test_what_is_done_after_the_last_unit_does_not_end_the_bar_once_more(capsys):
    with progress.bar("work", 1) as advance:
        advance(1, "first")
        for _ in range(5):
            advance(0, "looking back")
    assert capsys.readouterr().err.count("work: 1/1") == 1


# -- one call of an engine -----------------------------------------------------------------------


def test_within_one_call_the_tokens_are_told_as_they_are_written(engine, often):
    bar, calls = Bar(), engine.usage.calls
    with hearing.hearing(engine, bar, "cot"):
        found = list(solve(get_reasoner("cot"), PROBLEMS, TASK, engine, 0))
    assert engine.usage.calls == calls + 1
    told = bar.tokens("cot")
    assert len(told) > 10
    assert told == sorted(told)
    assert told[-1] == sum(each.tokens for each in found)
    assert bar.notes[0] == "cot"
    assert bar.units == 0


def test_over_many_calls_the_tokens_add_up_and_nothing_is_answered_otherwise(engine, often):
    bar, reasoner = Bar(), get_reasoner("tot", beam=2)
    engine.clear()
    with hearing.hearing(engine, bar, "tot"):
        heard = list(solve(reasoner, PROBLEMS[:5], TASK, engine, 0))
    engine.clear()
    alone = list(solve(reasoner, PROBLEMS[:5], TASK, engine, 0))
    assert [each.attempts for each in heard] == [each.attempts for each in alone]
    assert 0 < bar.tokens("tot")[-1] <= sum(each.tokens for each in heard)
    assert engine.listener is None


# -- where a run waits ---------------------------------------------------------------------------


@pytest.mark.slow
def test_every_ability_is_told_while_it_is_measured_and_once_it_is(run, often):
    bar, engine = Bar(), open_engine("tiny-base")
    found = abilities.validate(run, engine, bar)
    names = {each.name for each in found} - {"valid_steps"}  # of the answers of the single pass
    assert {"single_pass", "sample", "tot", "rap", "sibling", "heldout_nll"} == names
    assert names <= set(bar.notes)
    assert bar.units == len(names)
    assert bar.units == len(abilities.named(run.preset.evaluation)) + abilities.besides(run.preset)
    assert all(bar.tokens(name) for name in names - {"heldout_nll"})
    bar = Bar()
    abilities.write_elsewhere(run, engine, "base", bar)  # which is there
    assert bar.units == abilities.besides(run.preset) == 2


def test_a_reasoner_of_the_evaluation_is_told_in_bulk_and_alone(run, often, tmp_path):
    bar, reasoner = Bar(), get_reasoner("cot", max_tokens=40)
    evaluate(run, open_engine("tiny-base"), "base", reasoner, tmp_path, alone=3, advance=bar)
    assert bar.notes[0] == reasoner.label
    assert len(bar.tokens(reasoner.label)) > 10
    assert [note for note in bar.notes if "alone" in note] == [
        f"{reasoner.label}: {k} of 3 asked alone" for k in range(3)
    ]
    assert bar.units == 0


def test_a_part_of_the_search_is_told_before_its_shard_is_there(run, often):
    bar, (part, *_) = Bar(), parts_of(run)[0]
    shutil.rmtree(RunFolder(run.folder).harvest)
    search = Search(run.preset.task, "compact", run.at.harvest, run.preset.harvest.fatal_step)
    with Here(search, 1, Opening(resolve("tiny-base"))) as executor:
        list(executor.run([part], bar))
    assert bar.tokens(f"a shard of {len(part.problems)}")


def test_a_pilot_tells_what_it_is_at(often):
    bar = Bar()
    pilot(TASK, "tiny-base", 3, advance=bar)
    assert bar.units == 3
    assert bar.tokens("cot")

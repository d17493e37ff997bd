"""The fatal step without a solver: brothers, rollouts, their cost, and a search that is killed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest

from ltf_lite.core.files import whole
from ltf_lite.engines import Dialect
from ltf_lite.evaluation.success import wilson
from ltf_lite.harvest import Row, found_fatal, marked, read, shard, write_shard
from ltf_lite.harvest.fatal import COMPLETIONS, MORE, PATHS, Way, find, halving, prefixes
from ltf_lite.harvest.store import ADDED, SCHEMA, read_shard
from ltf_lite.pipeline.executors.part import Part, Search, work
from ltf_lite.presets.schema import HarvestSection
from ltf_lite.reasoners import get_reasoner
from ltf_lite.report.tables.kinds import fatal_table
from ltf_lite.tasks import Problem, get_task
from tests.fake_engine import FakeEngine
from tests.free_text import Sums

TASK = Sums()
PROBLEM = TASK.problem({"sum": [2, 2]})
OTHER = TASK.problem({"sum": [2, 3]})
RIGHT = "We add.\nTwo and two.\nSo four.\nAnswer: 4\n"


def row(text: str, problem: Problem = PROBLEM, **more: Any) -> Row:
    path = TASK.parse(problem, text)
    verdict = TASK.verify(problem, path)
    facts: dict[str, Any] = {
        "problem": problem,
        "prompt": TASK.prompt(problem, "zero_shot"),
        "text": text,
        "answer": TASK.answer(path),
        "correct": verdict.correct,
        "kind": verdict.kind,
        "fatal_step": verdict.fatal_step,
        "reasoner": "cot",
        "settings": "{}",
        "label": "cot",
        "round": 0,
        "engine": "fake",
        "logprob": None,
        "tokens": 9,
        "seed": 1,
    }
    return Row(**(facts | more))


class Hopes(FakeEngine):
    """Completes a beginning rightly as often as `chances` says of its number of lines."""

    dialect = Dialect("zero_shot")

    def __init__(self, chances: Mapping[int, float]) -> None:
        super().__init__(self._write)
        self.chances = chances

    def _write(self, prompt: str, rng: random.Random) -> str:
        a, b = (int(n) for n in prompt.split("?")[0].split(": ")[1].split(" + "))
        right = rng.random() < self.chances.get(prompt.count("\n") - 1, 0.0)
        return f"Answer: {a + b if right else 0}\n"


def told(rows: list[Row]) -> list[tuple[int | None, str | None]]:
    return [(each.fatal_step, each.fatal_by) for each in rows]


# -- brothers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("We add.\nTwo and two.\nSo five.\nAnswer: 5\n", 2),
        ("1. we  add .\n- Two and two.\nSo five.\nAnswer: 5\n", 2),  # as `same` spells them
        ("We take away.\nTwo and two.\nSo four.\nAnswer: 5\n", 0),
        ("We add.\nTwo and two.\nSo four.\nAnswer: 5\n", 3),  # only the answer is wrong
        ("We add.\nTwo and two.\n", 2),  # all of it is right: the rest is missing
        ("Answer: 5\n", 0),
    ],
)
def test_a_path_breaks_where_it_leaves_the_right_path_it_goes_along_with_longest(text, step):
    rows = [row(text), row("We guess.\nAnswer: 4\n"), row(RIGHT)]
    found = find(rows, TASK, "brother")
    assert told(found) == [(step, "brother"), (None, None), (None, None)]
    assert found[1:] == rows[1:]
    assert (found[0].fatal_completions, found[0].fatal_tokens) == (0, 0)


def test_a_brother_is_of_the_same_problem_and_prompt():
    lost = row("We add.\nAnswer: 5\n")
    elsewhere = [row("We add.\nAnswer: 5\n", OTHER), row(RIGHT, prompt="another")]
    assert all(each.correct for each in elsewhere)
    assert told(find([lost], TASK, "brother", others=elsewhere)) == [(None, "whole")]
    assert told(find([lost], TASK, "brother", others=[row(RIGHT)])) == [(1, "brother")]


def test_what_the_verdict_knows_is_not_looked_for():
    again = row("We add.\n" + "So.\n" * 6)
    assert (again.kind, again.fatal_step) == ("repetition", 2)
    engine = Hopes({})
    assert find([again, row(RIGHT)], TASK, "auto", engine) == [again, row(RIGHT)]
    countdown = get_task("countdown")
    problem = countdown.problem({"numbers": [1, 2, 3, 4], "target": 24})
    own = replace(row("1+1=2,2,3"), problem=problem)
    assert find([own], countdown, "auto", engine) == [own]
    assert engine.usage.calls == 0

    class Spares(Sums):
        spared = frozenset({"wrong_answer"})

    assert find([row("Answer: 5\n")], Spares(), "auto") == [row("Answer: 5\n")]


# -- rollouts --------------------------------------------------------------------------------

EIGHT = "".join(f"Thought {k}.\n" for k in range(8)) + "Answer: 5\n"


def chances(last: int, chance: float = 0.5) -> dict[int, float]:
    """Of beginnings up to so many lines; longer ones have none."""
    return dict.fromkeys(range(last + 1), chance)


@pytest.mark.parametrize("last", range(9))
def test_rollouts_find_the_step_after_which_there_is_no_hope(last):
    engine = Hopes(chances(last))
    (found,) = find([row(EIGHT)], TASK, "rollouts", engine, 1)
    assert told([found]) == [(last, "rollouts")]
    asked = 1 + math.ceil(math.log2(9))
    assert engine.usage.calls <= 2 * asked
    assert found.fatal_completions <= asked * COMPLETIONS * (1 + MORE)
    assert found.fatal_completions == COMPLETIONS * sum(map(len, engine.asked))
    assert found.fatal_tokens == engine.usage.tokens_out
    assert found.fatal_seconds >= engine.usage.seconds > 0


def test_a_beginning_without_hope_is_asked_four_times_as_often_before_it_is_given_up():
    engine = Hopes({})
    (found,) = find([row(EIGHT)], TASK, "rollouts", engine)
    assert told([found]) == [(None, "whole")]  # not even the problem has hope
    assert [len(prompts) for prompts in engine.asked] == [1, MORE]
    assert found.fatal_completions == COMPLETIONS * (1 + MORE) == 32


def test_rare_hope_is_found_as_often_as_that_many_draws_find_it():
    chance, n = 0.03, 60
    engine = Hopes({0: chance})
    problems = [TASK.problem({"sum": [k, 1]}) for k in range(n)]
    found = find([row("Answer: 0\n", each) for each in problems], TASK, "rollouts", engine, 5)
    low, high = wilson(sum(each.fatal_by == "rollouts" for each in found), n)
    assert low < 1 - (1 - chance) ** 32 < high
    assert engine.usage.calls == 2  # for all of them together


def test_what_paths_share_is_asked_once_and_one_of_them_pays():
    engine = Hopes(chances(3, 1.0))
    texts = [EIGHT, EIGHT.replace("Thought 7", "Thought seven")]
    found = find([row(text) for text in texts], TASK, "rollouts", engine)
    assert told(found) == [(3, "rollouts")] * 2
    asked = [prompt for prompts in engine.asked for prompt in prompts]
    assert sum(each.fatal_completions for each in found) == COMPLETIONS * len(asked)
    assert found[1].fatal_completions == 0
    assert max(map(asked.count, asked)) == 1 + MORE


def test_where_a_right_path_goes_along_there_is_hope_and_nobody_asks():
    engine = Hopes(chances(2, 1.0))
    lost = row("We add.\nTwo and two.\nSo five.\nAnswer: 5\n")
    right = row("We add.\nSo four.\nAnswer: 4\n")
    (found,) = find([lost], TASK, "rollouts", engine, others=[right])
    assert told([found]) == [(2, "rollouts")]
    assert not any(p.endswith(("?\n", "add.\n")) for prompts in engine.asked for p in prompts)
    assert told(find([lost], TASK, "auto", engine, others=[right])) == [(1, "brother")]
    assert told(find([lost], TASK, "auto", engine)) == [(2, "rollouts")]
    assert told(find([lost], TASK, "auto")) == told(find([lost], TASK, "whole", engine))


def test_a_path_without_an_answer_may_still_have_hope_at_its_end():
    cut = row("We add.\nTwo and two.\n")
    assert prefixes(cut, TASK) == ["", "We add.\n", "We add.\nTwo and two.\n"]
    assert told(find([cut], TASK, "rollouts", Hopes(chances(2, 1.0)))) == [(2, "rollouts")]
    assert told(find([cut], TASK, "rollouts", Hopes(chances(0, 1.0)))) == [(0, "rollouts")]
    assert told(find([row("")], TASK, "rollouts", Hopes(chances(9)))) == [(None, "whole")]


def test_so_many_paths_of_a_problem_are_rolled_out_whoever_is_beside_it():
    lost = [row(f"Way {k}.\nAnswer: 5\n") for k in range(PATHS + 5)]
    found = find(lost, TASK, "rollouts", Hopes(chances(1, 1.0)), 2)
    assert [each.fatal_by for each in found].count("rollouts") == PATHS
    assert told(found).count((None, "whole")) == 5
    beside = [row(EIGHT, OTHER), *lost]
    again = find(beside, TASK, "rollouts", Hopes(chances(1, 1.0)), 2)[1:]
    assert told(again) == told(found)


def test_halving_asks_no_more_than_it_must():
    for steps in range(1, 33):
        for last in range(steps):
            asking = halving([str(k) for k in range(steps)])
            asked, step = 0, None
            at = next(asking)
            while step is None:
                asked += 1
                try:
                    at = asking.send(int(at) <= last)
                except StopIteration as end:
                    step = end.value
            assert step == last
            assert asked <= 1 + math.ceil(math.log2(steps))


# -- on disk ---------------------------------------------------------------------------------


def test_the_preset_knows_the_same_ways():
    annotation = HarvestSection.model_fields["fatal_step"].annotation
    assert get_args(annotation) == get_args(Way)
    assert HarvestSection().fatal_step == "auto"


def test_shards_of_an_earlier_version_are_read(tmp_path):
    rows = [row(RIGHT), row("Answer: 5\n")]
    write_shard(tmp_path, 0, rows)
    file = shard(tmp_path, 0)
    old = pq.read_table(file).drop_columns(list(ADDED))
    with whole(file) as half:
        pq.write_table(old, half)
    assert list(read(tmp_path)) == rows
    assert read_shard(file, ("fatal_by", "text")).column_names == ["fatal_by", "text"]
    assert read_shard(file).schema == SCHEMA
    assert found_fatal(tmp_path) == []


def test_what_was_found_and_what_it_cost_is_told(tmp_path):
    lost = [row(EIGHT), row("Answer: 0\n", OTHER)]
    found = find(lost, TASK, "auto", Hopes(chances(3, 1.0)), others=[row(RIGHT)])
    write_shard(tmp_path, 0, found)
    told = found_fatal(tmp_path)
    assert [(each.by, each.paths) for each in told] == [("brother", 1), ("rollouts", 1)]
    assert told[0].tokens == 0
    assert told[1].tokens == found[1].fatal_tokens > 0
    assert told[1].completions == found[1].fatal_completions
    table = fatal_table(told)
    assert [line[0].shown for line in table.rows] == ["brother", "rollouts"]
    lines, _ = marked(found[0], TASK)
    assert [line.state for line in lines][:2] == ["fatal", "after"]


class Killed(Exception):
    pass


class Mortal(Hopes):
    """Dies in the call of that number."""

    def __init__(self, chances: Mapping[int, float], last: int) -> None:
        super().__init__(chances)
        self.last = last

    def generate(self, prompts, sampling, seeds=None):
        if self.usage.calls >= self.last:
            raise Killed
        return super().generate(prompts, sampling, seeds)


def made(folder: Path, engine: FakeEngine) -> list[Row]:
    """Make the shards that are not there yet, as the search stage does."""
    problems = tuple(TASK.problems("train", 6, 0))
    reasoners = [get_reasoner("cot", n=3, temperature=1.0), get_reasoner("cot")]
    search = Search(TASK, "zero_shot", folder)
    parts = [
        Part(2 * k + half, each, problems[3 * half : 3 * half + 3], 7 + k)
        for k, each in enumerate(reasoners)
        for half in (0, 1)
    ]
    for part in parts:
        if not search.is_done(part):
            write_shard(folder, part.number, work(part, search, engine))
    return [replace(own, fatal_seconds=0.0) for part in parts for own in _rows(folder, part.number)]


def _rows(folder: Path, number: int) -> list[Row]:
    from ltf_lite.harvest.store import as_rows

    file = shard(folder, number)
    return as_rows(read_shard(file), file)


def test_a_search_that_is_killed_at_any_call_goes_on_with_nothing_doubled(tmp_path):
    hopes = {0: 0.1, 1: 0.1}
    engine = Hopes(hopes)
    unharmed = made(tmp_path / "whole", engine)
    assert {each.fatal_by for each in unharmed if not each.correct} >= {"brother", "rollouts"}
    calls = engine.usage.calls
    assert calls > 6
    for last in range(calls):
        folder = tmp_path / str(last)
        with pytest.raises(Killed):
            made(folder, Mortal(hopes, last))
        assert made(folder, Hopes(hopes)) == unharmed
        assert made(folder, Mortal(hopes, 0)) == unharmed  # nothing is left to do


def test_a_right_path_of_an_earlier_part_is_a_brother(tmp_path):
    problem = TASK.problems("train", 1, 0)[0]
    search = Search(TASK, "zero_shot", tmp_path, "brother")
    right, wrong = Hopes(chances(9, 1.0)), Hopes({})
    lost = Part(1, get_reasoner("cot"), (problem,), 0)
    assert told(work(lost, search, wrong)) == [(None, "whole")]
    good = work(Part(0, get_reasoner("cot"), (problem,), 0), search, right)
    write_shard(tmp_path, 0, good)
    write_shard(tmp_path, 2, good)
    assert told(work(lost, search, wrong)) == [(0, "brother")]
    shard(tmp_path, 0).unlink()
    assert told(work(lost, search, wrong)) == [(None, "whole")]  # the later one is as if not there

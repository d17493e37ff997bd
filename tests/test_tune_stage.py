"""The tuning stage on harvests that lack a side."""

from __future__ import annotations

from contextlib import closing

import pytest

from ltf_lite.core.files import read_as
from ltf_lite.harvest import rows_of, write_shard
from ltf_lite.pipeline.common import problems_of
from ltf_lite.pipeline.opening import engine_of
from ltf_lite.pipeline.stages import baseline, tune
from ltf_lite.reasoners import Solution, attempt_of, get_reasoner, solve
from ltf_lite.tuning import TuningError
from ltf_lite.tuning.checkpoints import Claim
from ltf_lite.tuning.types import TuningResult
from tests.conftest import SMALL
from tests.test_search_stage import prepared

TUNING = SMALL["tuning"] | {"steps": 2, "eval_every": 2, "batch": 4}


def harvested(folder, right: bool, **tuning):
    """A run whose search found only right, or only wrong, paths."""
    sections = [{"name": "cot"}, {"name": "dfs"}]
    own = TUNING | tuning
    if own.get("method") == "simpo":
        own = {name: value for name, value in own.items() if name != "alpha"}  # it knows none
    run = prepared(folder, sections, 12, tuning=own)
    task, dialect, rows = run.preset.task, "compact", []
    problems, exact = problems_of(run, "train"), get_reasoner("dfs")
    for solution in solve(exact, problems, task, dialect=dialect):
        if not right:
            wrong = attempt_of(task, solution.problem, "1+1=3\n")
            solution = Solution(solution.problem, [wrong], {})
        rows += rows_of(solution, task, dialect, get_reasoner("cot"), "none", 0)
    write_shard(run.folder / "harvest", 0, rows)
    return run


def test_nothing_to_follow_shows_what_each_reasoner_solved(tmp_path):
    run = harvested(tmp_path / "run", right=False)
    with pytest.raises(TuningError, match=r"\(cot: 0 of 12; dfs: 0 of 12\).*name: dfs") as caught:
        tune.main(run)
    assert "\n" not in str(caught.value)
    assert not run.at.tuning.exists()


@pytest.mark.parametrize("method", ["uft", "simpo"])
@pytest.mark.slow
def test_nothing_to_forget_is_sft_and_said_to_be(method, tmp_path, capfd):
    run = harvested(tmp_path / "run", right=True, method=method)
    with closing(engine_of(run, "base")) as engine:
        baseline.measure(run, engine)
    tune.main(run)
    assert f"this is sft, not {method}" in capfd.readouterr().err
    assert read_as(run.at.tuning_run, Claim).method == "sft"
    assert read_as(run.at.tuning_result, TuningResult).tokens.failed == 0


def test_the_seed_of_tuning_is_its_own_if_it_has_one(tmp_path):
    runs = [harvested(tmp_path / str(n), right=True, seed=n) for n in (None, 0, 7)]
    seeds = [tune.tuning_of(run).seed for run in runs]
    assert seeds[0] == seeds[1] != seeds[2]

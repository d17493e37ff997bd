"""The tuning stage on harvests that lack a side."""

from __future__ import annotations

import pytest

from ltf_lite.files import read_json
from ltf_lite.harvest import rows_of, write_shard
from ltf_lite.pipeline.common import problems_of, task_of
from ltf_lite.pipeline.stages import tune
from ltf_lite.reasoners import Solution, attempt_of, get_reasoner
from ltf_lite.tuning import TuningError
from tests.conftest import SMALL
from tests.test_search_stage import prepared

TUNING = SMALL["tuning"] | {"steps": 2, "eval_every": 2, "batch": 4}


def harvested(folder, right: bool, alpha: float):
    """A run whose search found only right, or only wrong, paths."""
    sections = [{"name": "cot"}, {"name": "dfs"}]
    run = prepared(folder, sections, 12, tuning=TUNING | {"alpha": alpha})
    task, rows = task_of(run), []
    for solution in get_reasoner("dfs").solve(problems_of(run, "train"), task, None, 0):
        if not right:
            wrong = attempt_of(task, solution.problem, "1+1=3\n")
            solution = Solution(solution.problem, [wrong], {})
        rows += rows_of(solution, task, "compact", "cot n=1", "none", 0)
    write_shard(run.folder / "harvest", 0, rows)
    return run


def test_nothing_to_follow_shows_what_each_reasoner_solved(tmp_path):
    run = harvested(tmp_path / "run", right=False, alpha=0.1)
    with pytest.raises(TuningError, match=r"cot n=1: 0 of 12.*name: dfs") as caught:
        tune.main(run)
    assert "\n" not in str(caught.value)
    assert not (run.folder / "tuning").exists()


def test_nothing_to_forget_is_sft_and_said_to_be(tmp_path, capfd):
    run = harvested(tmp_path / "run", right=True, alpha=0.1)
    tune.main(run)
    assert "this is SFT (alpha 0)" in capfd.readouterr().err
    assert read_json(run.folder / "tuning" / "run.json")["settings"]["alpha"] == 0
    assert read_json(run.folder / "tuning" / "result.json")["tokens"]["failed"] == 0

"""The search stage: any list of reasoners, any engine, and what is left when a server dies."""

from __future__ import annotations

import copy
import re
import threading
import time
from pathlib import Path

import pytest

from ltf_lite.engines import EngineError
from ltf_lite.harvest import Row, read
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.stages import problems, search
from ltf_lite.presets import parse
from tests.conftest import SMALL
from tests.llama_server import free_port, serving

ALL = [
    *(
        {"name": "cot", "n": 2, "temperature": t, "top_p": p}
        for t in (0.5, 0.7, 1.0)
        for p in (0.7, 0.9, 1.0)
    ),
    *({"name": "tot", "beam": beam} for beam in (1, 3, 5)),
    *({"name": "rap", "iterations": 4, "exploration": w} for w in (0.5, 1.0, 2.0)),
    {"name": "bfs"},
    {"name": "dfs", "failures": 2},
]


def prepared(folder: Path, sections: list[dict], train: int, test: int = 4, **parts) -> Run:
    """A run whose problems are drawn and whose search has not begun."""
    data = copy.deepcopy(SMALL) | {"search": sections} | parts
    data["problems"] = {"train": train, "validation": 4, "test": test}
    folder.mkdir()
    run = Run.prepare(folder, parse(data, "test"), False)
    problems.main(run)
    return run


def key(row: Row) -> tuple:
    return row.problem.id, row.text, row.label, row.kind, row.seed


def shared(parts: list) -> dict[int, set[int]]:
    """Part → the parts before it with problems of its own, by looking at all of them."""
    asked = {part.number: {problem.id for problem in part.problems} for part in parts}
    return {n: {m for m in asked if m < n and asked[m] & own} for n, own in asked.items()}


def test_a_part_knows_the_earlier_ones_with_problems_of_its_own(tmp_path):
    ways = [{"name": "cot"}, {"name": "tot", "problems": 730}, {"name": "dfs"}]
    run = prepared(tmp_path / "run", [*ways, {"name": "bfs", "problems": 1001}], 1200)
    parts = [part for own in search.parts_of(run) for part in own]
    assert len(parts) == 3 + 8 + 3 + 3
    assert {part.number: set(part.before) for part in parts} == shared(parts)
    assert [len(part.before) for part in parts] == [0] * 3 + [1] * 8 + [6, 4, 1, 7, 5, 2]


@pytest.mark.slow
def test_any_list_of_reasoners_is_searched_and_told_apart(tmp_path, capfd):
    run = prepared(tmp_path / "run", ALL, 6)
    search.main(run)
    rows = list(read(run.folder / "harvest"))
    wanted = {section.label for section in run.preset.search}
    assert len(wanted) == len(ALL)
    # paths that several found are read once, under the first of their names
    assert {row.reasoner for row in rows} == {"cot", "tot", "rap", "bfs", "dfs"}
    assert len({row.label for row in rows}) > 9
    assert {True, False} == {row.correct for row in rows}
    finished = [row for row in rows if row.reasoner == "rap" and row.text.count("\n") == 3]
    assert any(row.correct for row in rows if row.reasoner in ("rap", "tot", "cot"))
    assert all(row.tokens > 0 and row.logprob < 0 for row in finished if row.correct)
    told = capfd.readouterr().err
    assert "search 1/17, cot n=2 temperature=0.5 top_p=0.7: problems: 6/6" in told
    assert "search 13/17, rap" in told
    assert re.search(r"tot beam=3.* paths, \d+ % of problems solved, [\d,]+ tokens/s", told)


def test_the_search_can_use_a_gguf_file(tmp_path, base_gguf):
    sections = [{"name": "tot", "beam": 2}, {"name": "cot", "n": 2, "temperature": 1.0}]
    engine = {"name": "llamacpp", "file": str(base_gguf)}
    run = prepared(tmp_path / "run", sections, 6, engine=engine)
    search.main(run)
    rows = list(read(run.folder / "harvest"))
    assert {row.engine for row in rows} == {str(base_gguf)}
    assert {row.reasoner for row in rows} == {"tot", "cot"}
    assert all(row.prompt.count(":") == 1 for row in rows)  # in the base's own dialect


@pytest.mark.slow(seconds=30)
def test_a_server_that_dies_loses_nothing_that_was_finished(tmp_path, base_gguf):
    sections = [
        {"name": "cot"},
        {"name": "cot", "n": 2, "temperature": 0.7},
        {"name": "tot", "beam": 2},
        {"name": "cot", "n": 3, "temperature": 1.0},
    ]
    port = free_port()
    engine = {"name": "server", "url": f"http://127.0.0.1:{port}", "model": "base"}
    run = prepared(tmp_path / "run", sections, 5, engine=engine)
    folder = run.folder / "harvest"

    def kill_after_two_shards() -> None:
        while len(list(folder.glob("*.parquet"))) < 2:
            time.sleep(0.002)
        server.kill()

    with serving(base_gguf, port) as server:
        watcher = threading.Thread(target=kill_after_two_shards, daemon=True)
        watcher.start()
        with pytest.raises(EngineError, match=f"127.0.0.1:{port}") as caught:
            search.main(run)
        watcher.join()
    assert "\n" not in str(caught.value)
    finished = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}
    assert 2 <= len(finished) < len(sections)
    with serving(base_gguf, port):
        search.main(run)
    for name, written in finished.items():
        assert (folder / name).stat().st_mtime_ns == written  # not made again
    whole = prepared(tmp_path / "whole", sections, 5, engine=engine)
    with serving(base_gguf, port):
        search.main(whole)
    assert list(map(key, read(folder))) == list(map(key, read(whole.folder / "harvest")))

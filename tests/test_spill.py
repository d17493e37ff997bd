"""Sequences on disk: what they give back, and that tuning reads a harvest larger than memory."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltf_lite.core.errors import disk_full, sentence
from ltf_lite.core.prompt import Prompt
from ltf_lite.core.spill import Chain, Picked, Spill
from ltf_lite.harvest import (
    Example,
    Limits,
    Row,
    by_problem,
    examples,
    read,
    shard,
    shards,
    write_shard,
)
from ltf_lite.tasks import Problem, get_task

MB = 1 << 20
PROBLEMS, FAILURES, LETTERS = 2500, 100, 2000  # of the large harvest, half a gigabyte
ROOM = PROBLEMS * FAILURES * LETTERS // 10  # bytes: a tenth of what its failures' texts come to


def test_a_sequence_on_disk_gives_back_what_it_was_given():
    kept = Spill(str.encode, bytes.decode)
    assert len(kept) == 0
    with pytest.raises(IndexError):
        kept[0]
    assert kept.extend(["a", "b", "a"]) == 3
    assert kept.extend(f"{n}" for n in range(100_000)) == 100_000
    assert (kept[0], kept[-1], kept[2:5], len(kept)) == ("a", "99999", ["a", "0", "1"], 100_003)
    with pytest.raises(IndexError):
        kept[100_003]
    some = Picked(kept, [100_002, 1, 1])
    assert list(some) == ["99999", "b", "b"]
    assert list(Chain(some, ["z"])) == ["99999", "b", "b", "z"]
    assert Chain(some, ["z"])[-1] == "z"
    assert Chain(some, ["z"])[2:] == ["b", "z"]


def test_what_is_to_be_there_once_is_there_once_in_the_order_in_which_it_came():
    kept = Spill(str.encode, bytes.decode, once=True)
    assert kept.extend("abca") == 3
    assert kept.extend("bd") == 1
    assert list(kept) == ["a", "b", "c", "d"]


def test_shards_come_in_the_order_of_their_numbers(tmp_path):
    for part in (100_000, 99_999, 7):
        write_shard(tmp_path, part, rows_of_problem(part))
    assert shards(tmp_path) == [shard(tmp_path, part) for part in (7, 99_999, 100_000)]
    assert [row.problem.text for row in read(tmp_path) if row.text == "old"] == [
        "7?",
        "99999?",
        "100000?",
    ]


def test_an_example_is_the_same_after_the_disk():
    for prompt in ("27:33\n", Prompt("7 + 5?", "7", False, [("1 + 1?", "2")]), "\ud800"):
        example = Example(prompt, "né\ud800", False, 1, 2, ends=False)
        again = Example.read(example.told())
        assert again == example
        assert repr(again) == repr(example)
        assert vars(again.prompt) == vars(prompt) if isinstance(prompt, Prompt) else True


def test_a_full_disk_is_told_as_one(tmp_path):
    """A file may not grow here: to SQLite that is a disk without room."""
    told = "import resource, signal, sys\n"
    told += "from ltf_lite.core.spill import Spill\n"
    told += "from ltf_lite.core.errors import sentence\n"
    told += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    told += "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    told += "kept = Spill(bytes, bytes)\n"
    told += "try: kept.extend(bytes(100_000) for _ in range(1000))\n"
    told += "except OSError as error: print(sentence(error))\n"
    env = {**os.environ, "SQLITE_TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", told], env=env, capture_output=True, text=True)
    assert done.stdout == f"the disk is full: make room for {tmp_path}\n", done.stderr
    assert disk_full(OSError(errno.ENOSPC, "x"))
    assert "full" in sentence(OSError(errno.ENOSPC, "x"))


def rows_of_problem(n: int, failures: int = 3, letters: int = 8) -> list[Row]:
    problem = Problem("reference", f"p{n * 7919 % 10_000:05d}", f"{n}?", {"question": f"{n}?"})

    def row(text: str, correct: bool, round: int) -> Row:
        kind = None if correct else "wrong_answer"
        asked = "cot", "{}", "cot n=4", round, "none", None, 5, 0
        return Row(problem, f"{n}?\n", text, "1", correct, kind, None, *asked)

    wrong = [row(f"{k} ".ljust(letters, "x"), False, 0) for k in range(failures)]
    return [*wrong, row("old", True, 0), row("new", True, 1)]


def test_problem_after_problem_it_is_what_the_harvest_has(tmp_path):
    for part in range(3):
        found = [row for n in range(part * 4, part * 4 + 6) for row in rows_of_problem(n)]
        write_shard(tmp_path, part, found)
    every = list(read(tmp_path))
    groups = list(by_problem(tmp_path, None, "reference"))
    assert [row for group in groups for row in group] == sorted(every, key=lambda r: r.problem.id)
    assert [len({row.problem.id for row in group}) for group in groups] == [1] * 14
    newest = next(iter(by_problem(tmp_path, ["cot"], "reference", True)))
    assert newest[0].text == "new"
    for reasoners in (["tot"], []):
        assert list(by_problem(tmp_path, reasoners, "reference")) == []
        assert list(read(tmp_path, reasoners)) == []


@pytest.mark.slow(seconds=60)
@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process takes from /proc")
def test_tuning_reads_a_harvest_ten_times_larger_than_its_memory(tmp_path):
    """The process may take a tenth of what the texts of the failures alone come to."""
    parts = 25
    each = PROBLEMS // parts
    for part in range(parts):
        own = range(part * each, (part + 1) * each)
        write_shard(tmp_path, part, [r for n in own for r in rows_of_problem(n, FAILURES, LETTERS)])
    env = {
        **os.environ,
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve gigabytes that they never touch
        "MALLOC_ARENA_MAX": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["too", "large", str(PROBLEMS), str(2 * PROBLEMS)]


def within_a_tenth(folder: Path) -> None:
    from ltf_lite.engines import Dialect
    from ltf_lite.tiny import tokenizer
    from ltf_lite.tuning.data import rows_of

    task = get_task("reference", file=str(asked(folder)))
    told = tokenizer.build()

    def rows(count: int):
        problems = by_problem(folder, None, "reference")
        some = (group for _, group in zip(range(count), problems, strict=False))
        drawn, _ = examples(some, task, "whole", Limits(1, 2), 0, "zero_shot")
        return rows_of(drawn, told, 10_000, Dialect("zero_shot"))

    rows(3)  # what is made once is there
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    try:
        list(read(folder))
    except MemoryError:
        print("too large")
    good, bad, dropped = rows(PROBLEMS)
    assert (dropped.success, dropped.failed) == (0, 0)
    assert all(good[n].ids and bad[n].ids for n in range(0, len(good), 500))
    print(len(good), len(bad))


def asked(folder: Path) -> Path:
    file = folder / "asked.jsonl"
    file.write_text('{"question": "1?", "answer": "1"}\n')
    return file


if __name__ == "__main__":
    begun = time.monotonic()
    within_a_tenth(Path(sys.argv[1]))
    print(f"{time.monotonic() - begun:.1f} s", file=sys.stderr)

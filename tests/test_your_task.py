"""docs/your-task.md: every command of it, from an empty folder to a tuned GGUF."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ltf_lite.tasks import get_task
from ltf_lite.tasks.example import write_example
from tests.conftest import ltf
from tests.half_taught import make

DOCUMENT = Path(__file__).parents[1] / "docs" / "your-task.md"


def commands():
    block = re.search(r"```\n(ltf init\n.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line)[1:] for line in block[1].strip().splitlines()]


@pytest.mark.slow(seconds=234)
def test_every_command_of_the_document_runs_to_the_end(tmp_path):
    """The model is a base of 1.2 M weights that half learnt these very sums, and nothing else."""
    aside = tmp_path / "aside"
    aside.mkdir()
    write_example(aside)
    task = get_task(str(aside / "my_task" / "my_task.py"))
    base = make(task, tmp_path / "base", steps=700)
    empty = tmp_path / "empty"
    empty.mkdir()
    told = {}
    for words in commands():
        given = [str(base) if word == "MODEL" else word for word in words]
        result = ltf(*given, cwd=empty)
        assert result.returncode == 0, (given, result.stderr)
        told[words[0]] = result.stdout
    assert list(told) == ["init", "task", "pilot", "train", "solve", "report"]
    assert "headroom" in told["pilot"]
    assert "Worth it" in told["pilot"]
    assert "Add 56, 26 and 50.: " in told["solve"]
    assert list((empty / "runs" / "mine" / "gguf").glob("*.q8_0.gguf"))
    rates = re.findall(r"single pass.*?(\d+\.\d) %", told["report"])
    assert rates

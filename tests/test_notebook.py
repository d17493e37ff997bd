"""docs/colab.ipynb: every cell runs, in order; the training is the small run of these tests."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import ltf

NOTEBOOK = Path(__file__).parents[1] / "docs" / "colab.ipynb"
TRAIN = "train tiny --quick"


def cells() -> list[str]:
    told = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in told["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_cells_run_in_their_order(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    install, *rest = cells()
    assert "!pip install" in install
    done = []
    for cell in rest:
        python = []
        for line in cell.splitlines():
            if not line.startswith("!"):
                python.append(line)
                continue
            name, *words = shlex.split(line[1:])
            assert name == "ltf"
            if " ".join(words) == TRAIN:
                shutil.copytree(small_run, "runs/tiny-quick")
                continue
            told = ltf(*words, cwd=tmp_path)
            assert told.returncode == 0, told.stderr
            done.append(words[0])
        code = "\n".join(python)
        if "IPython" in code:  # shows a picture, which must be there
            (shown,) = (part for part in code.split('"') if part.endswith(".png"))
            assert Path(shown).stat().st_size > 10_000
            continue
        exec(compile(code, "colab.ipynb", "exec"), {})
    assert done == ["demo", "solve"]
    told = capsys.readouterr().out
    assert "single pass, tuned:" in told
    assert "tree of thoughts, base:" in told

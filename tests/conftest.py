"""One small real run on the embedded base, made once and shared by the tests that look at it."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import once, warm
from tests.app_server import BROWSERS, App, app

if TYPE_CHECKING:
    from ltf_lite.app.web.desk import Desk

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# As many threads as there are cores would make what a test finds depend on the machine, and on what
# ran before it; a test of threads says how many.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SMALL = {
    "name": "small",
    "about": "a run small enough for a test",
    "threads": 1,
    "task": {"name": "countdown", "numbers": [1, 50], "max_intermediate": 999},
    "model": {"base": "tiny-base"},
    "problems": {"train": 600, "validation": 20, "test": 40},
    "search": [
        {"name": "cot", "n": 1, "problems": 60, "max_tokens": 40},
        {"name": "cot", "n": 4, "temperature": 1.0, "problems": 60, "max_tokens": 40},
        {"name": "bfs", "paths": 2, "failures": 1, "problems": 40},
        {"name": "dfs", "paths": 4, "failures": 1},
        {"name": "tot", "beam": 2, "problems": 20},
    ],
    "tuning": {
        "alpha": 1e-4,
        "steps": 30,
        "batch": 16,
        "learning_rate": 2e-3,
        "warmup": 5,
        "eval_every": 10,
        "max_length": 96,
    },
    "evaluation": [
        {"name": "random"},
        {"name": "cot", "n": 1, "max_tokens": 40},
        {"name": "cot", "n": 4, "temperature": 0.7, "max_tokens": 40},
        {"name": "tot", "beam": 2},
        {"name": "rap", "iterations": 2, "oracle": True, "problems": 10},
        {"name": "dfs"},
    ],
    "export": {"greedy_problems": 10, "success_points": 10},
}


def ltf(
    *args: object, cwd: Path | None = None, input: str | None = None, **options
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, in a process of its own.

    With options of a process (`env`, ...) it is a new one, else a copy of one that is warm.
    """
    if not options and warm.can_copy():
        return warm.ltf([str(arg) for arg in args], cwd, input)
    command = [sys.executable, "-m", "ltf_lite", *map(str, args)]
    options |= {"cwd": cwd, "input": input, "capture_output": True, "text": True}
    return subprocess.run(command, timeout=600, check=False, **options)


def one_sentence(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed with this code and one clear line that names these words."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert lines, "nothing was said"
    assert lines[-1].startswith("ltf: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[-1], result.stderr


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist keep the order of the files: by itself it takes those of many tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)  # of what is left to be run
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, or at the end one process waits for the other.

    One file that needs the small run begins, and makes it; the others come behind those that don't.
    """
    takes: dict[Path, float] = {}
    small = dict[Path, bool]()
    for item in items:
        takes[item.path] = takes.get(item.path, 0.0) + _seconds(item)
        small[item.path] = small.get(item.path, False) or "small_run" in getattr(
            item, "fixturenames", ()
        )
    first = max((path for path in takes if small[path]), key=takes.__getitem__, default=None)
    items.sort(key=lambda item: (item.path != first, small[item.path], -takes[item.path]))


def _seconds(item: pytest.Item) -> float:
    """About how long a test takes."""
    mark = item.get_closest_marker("slow")
    return 0.1 if mark is None else mark.kwargs.get("seconds", 2.0)


@pytest.fixture
def as_served() -> Iterator[None]:
    """What is in memory when a test begins is not collected, as the app does when it begins."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def small_preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("presets") / "small.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    return file


@pytest.fixture(scope="session")
def small_run(
    small_preset: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Path:
    """The folder of a finished run, a copy for each worker."""

    def make(folder: Path) -> None:
        result = ltf("train", small_preset, "--out", folder)
        assert result.returncode == 0, result.stderr

    kept = pytestconfig.cache.mkdir("small_run")
    known = once.key(small_preset.read_text())
    return once.once(kept, known, make, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def base_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded base as a GGUF file in 32 bits."""
    from ltf_lite.engines import model_path
    from ltf_lite.export.gguf.write import write_gguf

    folder = tmp_path_factory.mktemp("base")
    return write_gguf(model_path("tiny-base"), folder / "base.f32.gguf", "f32", "base")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with the embedded base's tokenizer, to be tuned."""
    import torch
    from transformers import LlamaForCausalLM

    from ltf_lite.tiny import pretrain, tokenizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("random")
    model = LlamaForCausalLM(pretrain.config(64, 2, 128))
    # The tied head stays frozen: at its usual 0.02 no adapter could make any token likely.
    model.get_input_embeddings().weight.data.mul_(10)
    model.save_pretrained(folder)
    tokenizer.build().save_pretrained(folder)
    return folder


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """What the tabs of the app share, over a folder of its own, without a page."""
    from ltf_lite.app.answer.pool import Pool
    from ltf_lite.app.web.desk import Desk  # gradio, which takes seconds
    from ltf_lite.app.web.shelf import Shelf
    from ltf_lite.app.web.words import speaker

    return Desk(Shelf(tmp_path), Pool(), speaker("en"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app over an empty folder of runs, in a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    (home / "runs").mkdir()
    with app(home / "runs", cwd=home) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window; who asks for it has found one of BROWSERS."""
    from playwright.sync_api import sync_playwright  # not everywhere

    with sync_playwright() as driver:
        file = next(filter(None, map(shutil.which, BROWSERS)))
        found = driver.chromium.launch(executable_path=file, args=["--no-sandbox"])
        yield found
        found.close()

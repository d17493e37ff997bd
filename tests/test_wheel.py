"""The wheel, installed where there is no checkout: all that a user does works from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest
import yaml

from tests.app_server import free_port
from tests.conftest import SMALL

ROOT = Path(__file__).parent.parent

# The least that goes through every stage; what it learns does not matter here.
LEAST = {
    **SMALL,
    "name": "least",
    "problems": {"train": 60, "validation": 8, "test": 8},
    "search": [
        {"name": "cot", "n": 1, "problems": 20, "max_tokens": 40},
        {"name": "dfs", "paths": 1, "failures": 1},
    ],
    "tuning": {**SMALL["tuning"], "steps": 4, "eval_every": 2, "warmup": 1},
    "evaluation": [{"name": "cot", "n": 1, "max_tokens": 40}, {"name": "dfs"}],
    "retention": {"problems": 4},
    "export": {"greedy_problems": 2, "success_points": 100},
}


class Installed(NamedTuple):
    """An environment with the wheel in it, and an empty folder to work in."""

    bin: Path
    packages: Path
    work: Path

    @property
    def environment(self) -> dict[str, str]:
        """Nothing that leads to a checkout."""
        own = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return {**own, "PYTHONUNBUFFERED": "1"}

    def run(self, *command: object) -> str:
        result = subprocess.run(
            list(map(str, command)),
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def ltf(self, *args: object) -> str:
        """The command as pip installed it."""
        return self.run(self.bin / "ltf", *args)

    def module(self, *args: object) -> str:
        return self.run(self.bin / "python", "-m", "ltf_lite", *args)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling, of the extra `test`, builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=300)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A fresh environment: the wheel, and the dependencies of the one that runs the tests.

    A `.pth` line is no site folder: what the running environment has installed as a link to the
    checkout is not followed.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "env", symlinks=True)
    bin = folder / "env" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(bin / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, timeout=300)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith("-packages")]
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    (folder / "work").mkdir()
    return Installed(bin, packages, folder / "work")


@pytest.mark.slow
def test_a_wheel_holds_what_the_package_reads_and_nothing_else(wheel):
    names = set(ZipFile(wheel).namelist())
    for name in ("report/page.html", "app/web/style.css", "app/web/page.js"):
        assert f"ltf_lite/{name}" in names
    for name in ("config.json", "model.safetensors", "tokenizer.json", "ltf.json", "heldout.txt"):
        assert f"ltf_lite/tiny/weights/{name}" in names
    presets = {f"ltf_lite/presets/files/{file.name}" for file in ROOT.glob("presets/*.yaml")}
    assert len(presets) > 5
    example = "ltf_lite/tasks/example/"
    assert {f"{example}preset.yaml", f"{example}questions.jsonl"} <= names
    yaml = {name for name in names if name.endswith(".yaml")}
    assert presets == {name for name in yaml if not name.startswith(example)}
    house = ROOT / "ltf_lite"
    modules = {f"ltf_lite/{file.relative_to(house)}" for file in house.rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}
    assert not [name for name in names if "/resume." in name or "__pycache__" in name]
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"ltf_lite"}


@pytest.mark.slow
def test_python_runs_the_installed_package(installed):
    code = "import ltf_lite; print(ltf_lite.__file__)"
    where = Path(installed.run(installed.bin / "python", "-c", code).strip())
    assert where == installed.packages / "ltf_lite" / "__init__.py"


@pytest.mark.slow
def test_its_presets_are_listed_by_both_commands(installed):
    listed = {line.split()[0] for line in installed.module("presets").splitlines()}
    assert listed == {file.stem for file in ROOT.glob("presets/*.yaml")}
    assert {line.split()[0] for line in installed.ltf("presets").splitlines()} == listed


@pytest.mark.slow
def test_a_preset_of_the_wheel_can_be_named(installed):
    said = json.loads(installed.ltf("train", "tiny", "--dry-run", "--json"))
    assert said
    assert not list(installed.work.glob("runs/*"))


@pytest.mark.slow
def test_doctor_knows_the_package(installed):
    found = json.loads(installed.module("doctor", "--json"))
    assert found["packages"]["ltf-lite"] == "0.1.0"


@pytest.mark.slow
def test_the_embedded_base_answers(installed):
    said = installed.ltf("solve", "countdown", "25 5 5 33", "--target", "27", "--json")
    answer = json.loads(said)
    assert answer["problem"]["text"] == "25 5 5 33 -> 27"
    assert answer["text"].strip()


@pytest.mark.slow(seconds=33)
def test_a_run_goes_to_its_end(installed):
    preset = installed.work / "least.yaml"
    preset.write_text(yaml.safe_dump(LEAST))
    said = json.loads(installed.ltf("train", preset, "--json").splitlines()[-1])
    folder = installed.work / "runs" / "least"
    assert (folder / "report" / "index.html").is_file()
    assert sorted(file.name for file in folder.glob("gguf/*.gguf"))
    assert said["parity"]
    asked = ("solve", "countdown", "3 4", "--target", "7", "--model", folder, "--json")
    answer = json.loads(installed.ltf(*asked))
    assert answer["problem"]["text"] == "3 4 -> 7"


@pytest.mark.slow
def test_the_app_answers(installed):
    port = free_port()
    command = [str(installed.bin / "ltf"), "app", "--port", str(port), "--runs", "runs"]
    with open(installed.work / "app.log", "w+") as log:
        process = subprocess.Popen(
            command, cwd=installed.work, env=installed.environment, stdout=log, stderr=log
        )
        try:
            page = _first_page(f"http://127.0.0.1:{port}", process, Path(log.name))
        finally:
            process.terminate()
            process.wait(30)
    assert "ltf_lite" in page


def _first_page(url: str, process: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return page.read().decode()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

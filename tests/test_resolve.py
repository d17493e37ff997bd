"""Every Python that the package allows finds wheels of all its dependencies."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import metadata, requires

import pytest

from ltf_lite.core.machine import NEWEST, OLDEST

PYTHONS = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
SOURCE_ALONE = ("llama-cpp-python",)  # has no wheels for any Python: it is compiled where it goes


def needed() -> list[str]:
    """What the package itself depends on, extras and what comes as source left out."""
    lines = [line for line in requires("ltf-lite") or [] if "extra ==" not in line]
    return [line for line in lines if not line.startswith(SOURCE_ALONE)]


def resolve(requirements: list[str], python: str) -> subprocess.CompletedProcess[str]:
    """Versions that go together, each with a wheel for that Python."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--python-version", python]
    return subprocess.run(
        [*command, "--only-binary", ":all:", "--no-header", "--no-annotate", "--no-progress"],
        input="\n".join(requirements),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def index() -> None:
    """Skips where no package index answers."""
    pytest.importorskip("uv", reason="uv, of the extra `test`, resolves")
    found = resolve(["pyyaml"], PYTHONS[0])
    if found.returncode:
        pytest.skip(f"no package index can be reached: {found.stderr.strip()[-300:]}")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.slow(seconds=11)
def test_the_dependencies_resolve(index, python):
    wanted = needed()
    assert len(wanted) > 15
    found = resolve(wanted, python)
    assert found.returncode == 0, found.stderr
    for line in wanted:
        if "==" in line:
            assert line in found.stdout.split()


@pytest.mark.slow
def test_a_dependency_without_a_wheel_would_be_seen(index):
    found = resolve(["numpy==1.26.4"], "3.14")  # whose newest wheel is of Python 3.12
    assert found.returncode != 0
    assert "numpy" in found.stderr


def test_the_oldest_python_let_in_is_the_oldest_resolved():
    assert metadata("ltf-lite")["Requires-Python"] == f">={PYTHONS[0]}"

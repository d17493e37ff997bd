"""The package on a system that lacks what only Unix has: it imports, lists, and answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

UNIX_ALONE = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")

# Python runs it before anything else. It looks at who imports: what a library needs of the system
# it runs on is its own business.
BLOCK = f"""
import builtins, importlib, sys

BLOCKED = {UNIX_ALONE!r}
given, by_name = builtins.__import__, importlib.import_module


def refuse(name, importer):
    if name.split(".")[0] in BLOCKED and str(importer).split(".")[0] == "ltf_lite":
        raise ModuleNotFoundError(f"No module named {{name!r}}: blocked", name=name)


def block(name, globals=None, locals=None, fromlist=(), level=0):
    if not level:
        refuse(name, (globals or {{}}).get("__name__"))
    return given(name, globals, locals, fromlist, level)


def block_by_name(name, package=None):
    refuse(name, sys._getframe(1).f_globals.get("__name__"))
    return by_name(name, package)


builtins.__import__, importlib.import_module = block, block_by_name
"""

EVERY = """
import importlib, pkgutil, ltf_lite
names = [m.name for m in pkgutil.walk_packages(ltf_lite.__path__, "ltf_lite.")]
for name in names:
    if not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"{name}: {error!r}")
print(len(names))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory):
    """Runs Python on such a system, in an empty folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(BLOCK)
    (folder / "work").mkdir()
    way = [str(folder / "site"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, way))}

    def python(*args: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=folder / "work",
            env=env,
            input=said,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return python


def ltf(elsewhere, *args: str, said: str = "") -> str:
    result = elsewhere("-m", "ltf_lite", *args, said=said)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("module", UNIX_ALONE)
@pytest.mark.parametrize("line", ["import {}", "import importlib; importlib.import_module('{}')"])
def test_our_files_find_no_such_module_and_others_do(elsewhere, module, line):
    line = line.format(module)
    code = f"exec({line!r}, {{'__name__': 'ltf_lite.core.x'}})"
    assert "ModuleNotFoundError" in elsewhere("-c", code).stderr
    assert elsewhere("-c", line).returncode == 0


@pytest.mark.slow
def test_every_module_can_be_imported(elsewhere):
    result = elsewhere("-c", EVERY)
    assert result.returncode == 0, result.stderr
    *failed, count = result.stdout.splitlines()
    assert not failed
    assert int(count) > 100


def test_the_help_is_shown(elsewhere):
    said = ltf(elsewhere, "--help")
    for verb in ("train", "solve", "presets", "doctor"):
        assert verb in said


def test_the_presets_are_listed(elsewhere):
    assert "tiny " in ltf(elsewhere, "presets")


def test_the_doctor_looks_at_the_machine(elsewhere):
    assert json.loads(ltf(elsewhere, "doctor", "--json"))["cores"]


@pytest.mark.slow
def test_the_embedded_base_answers(elsewhere):
    said = ltf(elsewhere, "solve", "countdown", "25 5 5 33", "--target", "27", "--json")
    assert json.loads(said)["problem"]["text"] == "25 5 5 33 -> 27"


def test_a_path_is_verified(elsewhere):
    line = json.dumps({"problem": {"numbers": [3, 4], "target": 7}, "text": "3+4=7\n"})
    said = ltf(elsewhere, "verify", "countdown", said=line)
    assert json.loads(said)["correct"]

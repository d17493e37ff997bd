"""The import rule of the house: a room imports only from the rooms above it."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import ltf_lite

HOUSE = Path(ltf_lite.__file__).parent

# From top to bottom; rooms on one line never import each other. `solving` is what the commands
# and the app share; `live` is what the app watches, over `pool` and `answering`.
ORDER: tuple[tuple[str, ...], ...] = (
    ("tasks", "engines"),
    ("reasoners",),
    ("harvest",),
    ("tuning",),
    ("evaluation",),
    ("export",),
    ("report",),
    ("pipeline",),
    ("solving", "pool"),
    ("answering",),
    ("live",),
    ("ui",),
    ("cli_common",),
    ("cli_ask",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
ROOMS = {*RANK, "tiny", "presets"}


def room_of(module: str) -> str:
    """The room of `ltf_lite.tasks.text` is `tasks`; of the package itself, nothing."""
    return [*module.split("."), ""][1]


def imported(file: Path, house: Path = HOUSE) -> set[str]:
    """Full names of the house's modules that a file imports, wherever in it."""
    package = [house.name, *file.relative_to(house).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from ltf_lite import tasks` imports a room too
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == house.name}


def forbidden(room: str, other: str) -> bool:
    """Whether a file of a room may not import from another."""
    if other == room or other not in ROOMS:
        return False  # its own, or a file at the top that imports no room, such as errors.py
    if room == "presets" or room not in ROOMS:
        return True
    if room == "tiny":
        return other != "tasks"
    if other == "presets":  # read by what runs it
        return RANK[room] < RANK["pipeline"]
    if other == "tiny":  # a model like any other: opened by name, never imported
        return RANK[room] < RANK["pipeline"]
    return RANK[other] >= RANK[room]


def breaches(house: Path = HOUSE) -> list[str]:
    """Every import that breaks the rule, as a sentence."""
    found = []
    for file in sorted(house.rglob("*.py")):
        place = file.relative_to(house)
        room = place.parts[0].removesuffix(".py")
        if room == "__init__":
            room = ""
        for name in sorted(imported(file, house)):
            if forbidden(room, room_of(name)):
                found.append(f"{place} imports {name}")
    return found


def test_a_room_imports_only_from_rooms_above_it():
    assert not breaches()


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("tasks/x.py", "import ltf_lite.engines"),
        ("engines/x.py", "from ltf_lite.tasks import Problem"),
        ("tasks/x.py", "def f():\n    from ltf_lite import reasoners"),
        ("harvest/x.py", "from ..tuning import losses"),
        ("tiny/x.py", "from ltf_lite.engines.base import Engine"),
        ("presets.py", "from ltf_lite.tasks import Task"),
        ("errors.py", "from .tasks import Task"),
        ("__init__.py", "from .tasks import Task"),
        ("ui/x.py", "if True:\n    import ltf_lite.cli as cli"),
        ("pipeline/stages/x.py", "from ...cli import main"),
    ],
)
def test_the_rule_would_see_a_breach(tmp_path, place, line):
    house = tmp_path / "ltf_lite"
    file = house / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(line + "\n")
    assert len(breaches(house)) == 1


def test_every_room_has_its_place():
    """A new folder is a new room: it has to be given its rank here and in the design."""
    folders = {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    assert folders <= ROOMS


HEAVY = ("torch", "transformers", "peft", "llama_cpp", "gradio", "matplotlib", "datasets")


@pytest.mark.parametrize(
    "module",
    ["ltf_lite.tasks", "ltf_lite.tasks.batch", "ltf_lite.presets", "ltf_lite.cli",
     "ltf_lite.engines", "ltf_lite.reasoners", "ltf_lite.live", "ltf_lite.pipeline.jobs"],
)  # fmt: skip
def test_what_answers_in_under_a_second_imports_nothing_heavy(module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there")
    code = f"import sys, {module}; print(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.split() == []

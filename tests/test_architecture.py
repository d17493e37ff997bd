"""The import rule of the house: a room imports only from the rooms before it."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

import ltf_lite

HOUSE = Path(ltf_lite.__file__).parent

# From first to last; rooms on one line never import each other.
ORDER: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("tasks", "engines"),
    ("reasoners",),
    ("harvest",),
    ("tuning",),
    ("evaluation",),
    ("export",),
    ("presets",),
    ("report",),
    ("pipeline",),
    ("app",),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
ROOMS = {*RANK, "tiny"}
MOST_ROOMS = 14
FRONT = ("__init__", "__main__")  # the package itself and `python -m`: both lead to the app
SHARED = ("__version__",)  # what any room may take from the package itself
NUMBERS = "tasks.numbers"  # known to itself and to the base that was trained on it
IMPORTERS = ("import_module", "__import__", "find_spec", "resolve_name")


class Named(NamedTuple):
    """A module of the house that a file names, and where."""

    name: str  # full, of a name that is built only what can be read of it
    late: bool  # not while the file itself is imported
    text: bool  # named in a string


def named(file: Path, house: Path = HOUSE) -> list[Named]:
    """Every module of the house that a file names in an import or in a string."""
    package = [house.name, *file.relative_to(house).parent.parts]
    found: list[Named] = []

    def look(node: ast.AST, late: bool) -> None:
        for name, text in _names(node, package):
            if name.split(".")[0] == house.name:
                found.append(Named(name, late, text))
        skipped = [node.left, node.right] if isinstance(node, ast.BinOp) and _folded(node) else []
        for child in ast.iter_child_nodes(node):
            if child not in skipped:
                function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                look(child, late or function or _checked_only(node))

    look(ast.parse(file.read_text(encoding="utf-8")), False)
    return found


def _checked_only(node: ast.AST) -> bool:
    """Whether this is `if TYPE_CHECKING:`, which no running program goes into."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _names(node: ast.AST, package: list[str]) -> Iterator[tuple[str, bool]]:
    """The modules that a node names, relative names made full; true for those in a string."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, False) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        # `from ltf_lite import tasks` imports a room too
        yield from ((f"{module}.{alias.name}", False) for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and _called(node) in IMPORTERS:
        text = _folded(node.args[0]) or ""
        dots = len(text) - len(text.lstrip("."))
        if dots:
            yield ".".join([*package[: len(package) - dots + 1], text.lstrip(".")]), True
        elif text.rstrip(".") == package[0]:
            yield f"{package[0]}.", True
    elif (text := _folded(node)) and re.fullmatch(rf"{package[0]}\.\S*", text):
        prefix = isinstance(node, ast.Constant) and text == f"{package[0]}."  # of a comparison
        if not prefix:
            yield re.split(r"[^\w.]", text)[0], True  # up to what is put in


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _folded(node: ast.AST) -> str | None:
    """A string as far as it can be read: whole, or its beginning where the rest is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        text = ""
        for part in node.values:
            if not isinstance(part, ast.Constant):
                return text
            text += part.value
        return text
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left = _folded(node.left)
        return None if left is None else left + (_folded(node.right) or "")
    if isinstance(node, ast.Call) and _called(node) == "join" and node.args:
        between = _folded(getattr(node.func, "value", node.func))
        parts = [_folded(part) for part in getattr(node.args[0], "elts", [])]
        return between and between.join(takewhile(lambda part: part is not None, parts))
    return None


def forbidden(room: str, each: Named) -> bool:
    """Whether a file of a room may not name this module."""
    other = [*each.name.split("."), ""][1]
    if room in FRONT:
        lazy = each.late or each.text or room == "__main__"
        return not (other == "app" and lazy) and other not in SHARED
    if other in SHARED or other == room:
        return False
    if other not in ROOMS or room not in ROOMS:
        return True  # nobody ranked it, or it takes the whole house
    if room == "tiny":
        return other not in ("core", "tasks")
    if other == "tiny":  # a model like any other: opened by its name, never imported
        return RANK[room] < RANK["pipeline"]
    return RANK[other] >= RANK[room]


def knows_numbers(place: Path, each: Named, house: Path = HOUSE) -> bool:
    """Whether a file that should know tasks in general names the number games."""
    own = place.as_posix().startswith((NUMBERS.replace(".", "/"), "tiny/"))
    name = each.name.removeprefix(f"{house.name}.")
    return not own and (name == NUMBERS or name.startswith(f"{NUMBERS}."))


def breaches(house: Path = HOUSE) -> list[str]:
    """Every import that breaks the rule, and every file of no room, as a sentence."""
    found = []
    for file in sorted(house.rglob("*.py")):
        place = file.relative_to(house)
        room = place.parts[0].removesuffix(".py")
        if room not in (FRONT if len(place.parts) == 1 else ROOMS):
            found.append(f"{place} is in no room: rank it here and in the design")
            continue
        for each in sorted(set(named(file, house))):
            if forbidden(room, each) or knows_numbers(place, each, house):
                found.append(f"{place} imports {each.name}")
    return found


def test_a_room_imports_only_from_rooms_before_it():
    assert not breaches()


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("tasks/x.py", "import ltf_lite.engines"),
        ("engines/x.py", "from ltf_lite.tasks import Problem"),
        ("core/x.py", "from ltf_lite.tasks import Problem"),
        ("tasks/x.py", "def f():\n    from ltf_lite import reasoners"),
        ("harvest/x.py", "from ..tuning import losses"),
        ("export/x.py", "from ltf_lite.presets import Preset"),
        ("export/card.py", "from ltf_lite.report.results import headline"),
        ("presets/x.py", "import ltf_lite.report.page"),
        ("tiny/x.py", "from ltf_lite.engines.base import Engine"),
        ("evaluation/x.py", "from ltf_lite.tiny import corpus"),
        ("tuning/methods/x.py", "if TYPE_CHECKING:\n    from ltf_lite.export import merge"),
        ("pipeline/stages/x.py", "from ...app.cli import main"),
        # files of no room
        ("presets.py", ""),
        ("errors.py", "from .tasks import Task"),
        ("corner/__init__.py", "import os"),
        ("corner/deep/x.py", ""),
        ("tasks/x.py", "from ltf_lite import corner"),
        ("tasks/x.py", "import ltf_lite"),
        # the front door
        ("__init__.py", "from .tasks import Task"),
        ("__init__.py", "from ltf_lite.app.api import load"),
        ("__init__.py", "def f():\n    from ltf_lite.tasks import Task"),
        ("__init__.py", "HOMES = {'Task': 'ltf_lite.tasks'}"),
        ("__main__.py", "from ltf_lite.pipeline import train"),
        # by name
        ("tasks/x.py", "import_module('ltf_lite.engines')"),
        ("tasks/x.py", "importlib.import_module('..engines', __package__)"),
        ("tasks/x.py", "__import__('ltf_lite.engines.torch.engine')"),
        ("tasks/x.py", "__import__('ltf_lite')"),
        ("tuning/x.py", "HOMES = {'write': 'ltf_lite.export.gguf.write'}"),
        ("engines/x.py", "def f(name):\n    return import_module(f'ltf_lite.tasks.{name}')"),
        ("engines/x.py", "import_module(f'ltf_lite.{name}')"),
        ("engines/x.py", "import_module('ltf_lite.' + name)"),
        ("engines/x.py", "import_module('ltf_lite.' + 'tasks.' + name)"),
        ("engines/x.py", "import_module('ltf_lite.%s' % name)"),
        ("engines/x.py", "import_module('ltf_lite.tasks.{}'.format(name))"),
        ("engines/x.py", "import_module('.'.join(['ltf_lite', 'tasks', name]))"),
        # number games
        ("tasks/x.py", "from ltf_lite.tasks.numbers.game import NumbersGame"),
        ("tasks/x.py", "from .numbers import rules"),
        ("reasoners/x.py", "from ltf_lite.tasks import numbers"),
        ("app/web/x.py", "GAME = 'ltf_lite.tasks.numbers.countdown'"),
    ],
)
def test_the_rule_would_see_a_breach(tmp_path, place, line):
    house = tmp_path / "ltf_lite"
    file = house / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(line + "\n")
    assert len(breaches(house)) == 1


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("__init__.py", "def __getattr__(name):\n    return import_module('ltf_lite.app.api')"),
        ("__init__.py", "if TYPE_CHECKING:\n    from ltf_lite.app.api import load"),
        ("__main__.py", "from ltf_lite.app.cli.main import main"),
        ("core/x.py", "from ltf_lite import __version__"),
        ("core/x.py", "own = name.startswith('ltf_lite.')"),
        ("core/x.py", "'''How ltf_lite.app is called.'''"),
        ("reasoners/x.py", "from ltf_lite import tasks, engines"),
        ("pipeline/x.py", "import_module(f'ltf_lite.pipeline.stages.{name}')"),
        ("pipeline/x.py", "from ltf_lite.tiny import corpus"),
        ("tiny/x.py", "from ltf_lite.tasks.numbers.countdown import Countdown"),
        ("tasks/numbers/x.py", "from ltf_lite.tasks.numbers.rules import Rules"),
    ],
)
def test_the_rule_lets_through_what_is_in_order(tmp_path, place, line):
    house = tmp_path / "ltf_lite"
    file = house / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(line + "\n")
    assert not breaches(house)


def test_there_are_few_rooms_and_nothing_loose_between_them():
    """A new room has to be given its rank here and in the design."""
    rooms = {path.name for path in HOUSE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert rooms == ROOMS
    assert len(rooms) <= MOST_ROOMS
    assert {path.stem for path in HOUSE.glob("*.py")} == set(FRONT)


# -- what a problem holds is its task's own business -------------------------------------------

NUMBERS_DATA = ("numbers", "target")


def read_keys(file: Path) -> Iterator[tuple[int, str]]:
    """Every string key that a file looks up, and its line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript):
            key = node.slice
        elif isinstance(node, ast.Call) and _called(node) in ("get", "pop") and node.args:
            key = node.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.lineno, key.value


def readers_of_numbers(house: Path = HOUSE) -> list[str]:
    found = []
    for file in sorted(house.rglob("*.py")):
        place = file.relative_to(house).as_posix()
        if not place.startswith(("tasks/numbers/", "tiny/")):
            lines = [line for line, key in read_keys(file) if key in NUMBERS_DATA]
            found += [f"{place}:{line}" for line in lines]
    return found


def test_nobody_but_the_number_games_reads_the_numbers_of_a_problem():
    assert not readers_of_numbers()


@pytest.mark.parametrize(
    "line", ["problem.data['numbers']", "row.data.get('target')", "data['target'] + 1"]
)
def test_a_reader_of_numbers_would_be_seen(tmp_path, line):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "x.py").write_text(line)
    assert readers_of_numbers(tmp_path) == ["app/x.py:1"]


# -- what is asked often answers at once -------------------------------------------------------

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "llama_cpp",
    "gradio",
    "matplotlib",
    "datasets",
    "scipy",
)
LIGHT = (
    "ltf_lite",
    "ltf_lite.tasks",
    "ltf_lite.tasks.batch",
    "ltf_lite.engines",
    "ltf_lite.reasoners",
    "ltf_lite.presets",
    "ltf_lite.pipeline.run.jobs",
    "ltf_lite.app.answer.live",
    "ltf_lite.app.cli.main",
)


@pytest.mark.parametrize("module", LIGHT)
def test_what_answers_in_under_a_second_imports_nothing_heavy(module):
    assert importlib.util.find_spec(module) is not None
    code = f"import sys, {module}; print(*sorted(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.split() == []


def test_the_document_has_the_rooms_in_their_order():
    text = (HOUSE.parent / "docs" / "architecture.md").read_text()
    told = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert told == [room for rooms in ORDER for room in rooms]

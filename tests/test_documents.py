"""README and docs: their links lead somewhere, their commands are commands, their code runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ltf_lite.app.cli.main import parser

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(document: Path) -> set[str]:
    """What a link can name in a document, as GitHub makes it of a title."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", document.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(document: Path) -> list[str]:
    """Every `ltf ...` of the document's blocks."""
    blocks = "\n".join(body for kind, body in BLOCK.findall(document.read_text()) if not kind)
    parts = (part.strip().removeprefix("$ ") for part in re.split(r"\n|&&", blocks))
    return [each for each in parts if each.startswith("ltf ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document):
    for link in LINK.findall(document.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_one(document):
    top, names = parser()
    for command in commands(document):
        top.parse_args(shlex.split(command.split(" < ")[0], comments=True)[1:])
    text = BLOCK.sub("", document.read_text())
    assert set(re.findall(r"`ltf ([a-z]+)", text)) <= set(names)


def test_the_readme_is_short():
    assert len(README.read_text().split()) <= 1300


def test_the_code_of_the_readme_runs(capsys):
    (code,) = (body for kind, body in BLOCK.findall(README.read_text()) if kind == "python")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.rstrip().endswith("of 20")

"""README and docs: their links lead somewhere, their commands are commands, their code runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from ltf_lite.app.cli.main import parser
from ltf_lite.presets import schema
from ltf_lite.reasoners import REASONERS
from ltf_lite.tuning.methods import METHODS

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


def python_blocks(name: str) -> list[str]:
    """The Python of a page of the documents."""
    text = (ROOT / "docs" / name).read_text()
    return [body for kind, body in BLOCK.findall(text) if kind == "python"]


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


def settings() -> dict[str, list[tuple[str, str]]]:
    """Title of a table of docs/presets.md → (setting, default as it stands there) of its rows."""
    found: dict[str, list[tuple[str, str]]] = {}
    part = ""
    for line in (ROOT / "docs" / "presets.md").read_text().splitlines():
        part = line[3:] if line.startswith("## ") else part
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `"):
            continue
        names = re.findall(r"`(\w+)`(?!:)", re.sub(r"\(.*?\)", "", cells[0]))
        alike = re.findall(r"`(.*?)`", cells[1]) if len(names) > 1 else [cells[1].strip("`")]
        alike = alike if len(alike) == len(names) else [cells[1]] * len(names)
        found.setdefault(part, []).extend(zip(names, alike, strict=True))
    return found


SCHEMA: dict[str, list[type[BaseModel]]] = {
    "The run": [schema.Preset],
    "Model": [schema.ModelSection],
    "Reasoners": [REASONERS.get(name) for name in ("cot", "tot", "rap")],
    "Harvest": [schema.HarvestSection],
    "Tuning": METHODS.all(),
    "Retention": [schema.RetentionSection],
    "Export": [schema.ExportSection],
}


@pytest.mark.parametrize("part", SCHEMA)
def test_every_setting_stands_in_the_document_with_its_default(part):
    rows, models = settings()[part], SCHEMA[part]
    fields = {name for each in models for name in each.model_fields}
    common = {"name", "method", "problems", "budget"} if part == "Reasoners" else set()
    assert {name for name, _ in rows} >= fields - common
    for name, told in rows:
        known = [each.model_fields[name] for each in models if name in each.model_fields]
        if told == "needed":
            assert all(field.is_required() for field in known)
        elif known and re.fullmatch(r"[\d.\[\], ]+|true|false", told):
            usual = [list(d) if isinstance(d := each.default, tuple) else d for each in known]
            assert yaml.safe_load(told) in usual, name


def test_the_code_for_llama_cpp_python_runs(capsys):
    from ltf_lite.engines import resolve
    from ltf_lite.engines.llama.model import opened_safely

    body, file = python_blocks("after-training.md")[1], resolve("tiny-tuned").place
    body = body.replace("runs/tiny/gguf/tiny.q8_0.gguf", file)
    with opened_safely(file):  # which the block need not do on most machines
        exec(compile(body, "after-training.md", "exec"), {})
    assert capsys.readouterr().out.split("\n")[:3] == ["31+20=51,12,7", "51-12=39,7", "39+7=46"]

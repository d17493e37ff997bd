"""Presets: one YAML file that says a whole run. Unknown keys are refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from ltf_lite.preset_reasoners import AnyReasoner, ReasonerSection, Section
from ltf_lite.preset_schema import Preset

FOLDERS = (Path("presets"), Path(__file__).resolve().parent.parent / "presets")


class PresetError(ValueError):
    """A preset that cannot be, with a sentence for the user."""


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The sections that an annotation speaks of, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def _follow(location: tuple, top: Any) -> tuple[list[type[Section]], list[Any], str]:
    """The sections that a location ends in, the location as the file has it, and a section's name.

    In pydantic's locations, a section that goes by its name is followed by that name, which is no
    key of the file.
    """
    at, way, name = list(_sections(top)), list[Any](), ""
    for part in location:
        fields = [each.model_fields[part] for each in at if part in each.model_fields]
        named = [each for each in at if "name" in each.model_fields
                 and part in get_args(each.model_fields["name"].annotation)]  # fmt: skip
        if isinstance(part, str) and not fields and named:
            at, name = named, f" of {part}"
            continue
        way.append(part)
        if not isinstance(part, int):
            at, name = [s for field in fields for s in _sections(field.annotation)], ""
    return at, way, name


def _sentence(error: ValidationError, where: str, top: Any) -> str:
    # An unknown key comes first: it is often why another one seems to be missing.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    kind, said = first["type"], first["input"]
    _, way, _ = _follow(first["loc"], top)
    path = ".".join(map(str, way))
    place = f"{where}: {path}" if path else where
    if kind == "extra_forbidden":
        beside, _, name = _follow(first["loc"][:-1], top)
        keys = [key for section in beside for key in section.model_fields]
        return f"{where}: there is no setting {path!r}{name}{_nearest(str(way[-1]), keys)}"
    if kind in ("missing", "union_tag_not_found"):
        name = path if kind == "missing" else f"{path}.name"
        return f"{where}: the setting {name!r} is missing"
    if kind in ("literal_error", "union_tag_invalid"):
        said = first["ctx"].get("tag", said)
        expected = first["ctx"].get("expected_tags") or first["ctx"]["expected"]
        choices = re.findall(r"'([^']*)'", expected)
        return (
            f"{place}: there is no {said!r}{_nearest(str(said), choices)} "
            f"(there are {', '.join(choices)})"
        )
    reason = first["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(said, (dict, list)) else f", not {said!r}"
    return f"{place}: {reason}{shown}"


def _nearest(word: str, words: list[str]) -> str:
    near = get_close_matches(word, words, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse(data: Any, where: str) -> Preset:
    """The preset of loaded YAML; raises PresetError that names the setting."""
    if not isinstance(data, dict):
        raise PresetError(f"{where}: a preset is a YAML mapping of settings")
    try:
        return Preset.model_validate(data)
    except ValidationError as error:
        raise PresetError(_sentence(error, where, Preset)) from error


def reasoner(data: dict[str, Any], where: str) -> ReasonerSection:
    """The checked settings of one reasoner; raises PresetError that names the setting."""
    try:
        return TypeAdapter(AnyReasoner).validate_python(data)
    except ValidationError as error:
        raise PresetError(_sentence(error, where, AnyReasoner)) from error


def find(name: str) -> Path:
    """The file of a preset: a path to a YAML file, or a name in presets/; raises PresetError."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise PresetError(f"there is no preset file {name}")
        return Path(name)
    files = available()
    if name in files:
        return files[name]
    near = get_close_matches(name, files, 1, 0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(files) or 'none'}"
    raise PresetError(f"there is no preset {name!r}; {hint}")


def available() -> dict[str, Path]:
    """Name → file of every preset in the folders presets are looked for in."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for file in sorted(folder.glob("*.yaml"), key=lambda file: file.stem):
            found.setdefault(file.stem, file)
    return found


def load(name: str) -> Preset:
    """Read and check a preset; raises PresetError with one sentence."""
    file = find(name)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = re.sub(r"\s+", " ", str(error))
        raise PresetError(f"cannot read the preset {file}: {reason}") from error
    return parse(data, str(file))


__all__ = [
    "FOLDERS", "Preset", "PresetError", "ReasonerSection", "available", "find", "load", "parse",
    "reasoner",
]  # fmt: skip

"""Presets are read from YAML; what is wrong with one is said in a sentence that names it."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.validation import sentence
from ltf_lite.core.yaml_text import YamlError, read_yaml
from ltf_lite.presets.schema import AnyReasoner, Preset
from ltf_lite.reasoners import Reasoner

_HERE = Path(__file__).resolve()
# The folder one works in, what came with the installed package, the checkout's.
FOLDERS = (Path("presets"), _HERE.parent / "files", _HERE.parents[2] / "presets")


class PresetError(LtfError, ValueError):
    """A preset that cannot be."""

    code = USAGE


def parse(data: Any, where: str) -> Preset:
    """The preset of loaded YAML; raises PresetError that names the setting."""
    if not isinstance(data, dict):
        raise PresetError(f"{where}: a preset is a YAML mapping of settings")
    try:
        return Preset.model_validate(data)
    except ValidationError as error:
        raise PresetError(sentence(error, where, Preset)) from error


def reasoner(data: Any, where: str) -> Reasoner:
    """The reasoner of these settings; raises PresetError that names the setting."""
    try:
        return TypeAdapter(AnyReasoner).validate_python(data)
    except ValidationError as error:
        raise PresetError(sentence(error, where, AnyReasoner)) from error


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
        return parse(read_yaml(file), str(file))
    except YamlError as error:
        raise PresetError(str(error)) from error

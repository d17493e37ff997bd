"""Presets are read from YAML; what is wrong with one is said in a sentence that names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.places import open_regular, place
from ltf_lite.core.validation import sentence
from ltf_lite.core.yaml_text import BYTES, YamlError, read_yaml
from ltf_lite.presets.schema import AnyReasoner, Preset
from ltf_lite.reasoners import Reasoner

_HERE = Path(__file__).resolve()
# The folder one works in, what came with the installed package, the checkout's.
FOLDERS = (Path("presets"), _HERE.parent / "files", _HERE.parents[2] / "presets")
ENDINGS = (".yaml", ".yml")  # a name with one is a path
SECTIONS = [name for name, field in Preset.model_fields.items() if field.is_required()]
MOST = len(SECTIONS) // 2 + 1
SHORT = "-quick"  # behind the name of a preset: its short form's
OWN = ("name", "previous", "quick")  # what a preset and its short form do not share, or both have
# A word before a colon, at the beginning of a line or of what stands in braces.
_SECTION = re.compile(
    rf"""(?:^|[{{,])[ \t]*["']?({"|".join(SECTIONS)})["']?[ \t]*:""", re.MULTILINE
)


_QUICK = re.compile(r"^quick[ \t]*:", re.MULTILINE)


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
    if name.lower().endswith(ENDINGS):
        file = place(name)
        if not file.exists():
            raise PresetError(f"there is no preset file {name}")
        return file  # what is no file is named where it is read
    files = available()
    if name in files:
        return files[name]
    if (file := FOLDERS[0] / f"{name}.yaml") in foreign():
        raise PresetError(f"{file} is no preset: one has the sections {', '.join(SECTIONS)}")
    near = get_close_matches(name, files, 1, 0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(files) or 'none'}"
    raise PresetError(f"there is no preset {name!r}; {hint}")


def available() -> dict[str, Path]:
    """Name → file of every preset in the folders presets are looked for in.

    In the folder one works in, the YAML of other programs is no preset and hides none.
    """
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for file in sorted(folder.glob("*.yaml"), key=lambda file: file.stem):
            if folder != FOLDERS[0] or is_preset(file):
                found.setdefault(file.stem, file)
    return found


def choices() -> dict[str, Path]:
    """Name → file of every preset, and of every short form behind its own, as NAME-quick."""
    found: dict[str, Path] = {}
    for name, file in available().items():
        found[name] = file
        if _QUICK.search(read_text(file)):
            found.setdefault(f"{name}{SHORT}", file)
    return found


def choose(name: str) -> tuple[Path, Preset, bool]:
    """One of `choices`, or a YAML file: its file, its preset, and whether it is a short form.

    Raises PresetError.
    """
    files = available()
    if name in files or not (name.endswith(SHORT) and name in choices()):
        return find(name), load(name), False
    whole = name.removesuffix(SHORT)
    return files[whole], quick(whole), True


def foreign() -> list[Path]:
    """The YAML files of the folder one works in that are no presets."""
    return [file for file in sorted(FOLDERS[0].glob("*.yaml")) if not is_preset(file)]


def in_place_of(name: str) -> Path | None:
    """The preset that came with ltf_lite and that one's own of the same name stands in for."""
    if available().get(name, Path()).parent != FOLDERS[0]:
        return None
    shipped = [folder / f"{name}.yaml" for folder in FOLDERS[1:]]
    other = next((file for file in shipped if file.is_file()), None)
    return None if other is None or other.samefile(FOLDERS[0] / other.name) else other


def is_preset(file: Path) -> bool:
    """Whether a file is meant as a preset, right or wrong: it names most of a preset's sections."""
    return len({found[1] for found in _SECTION.finditer(read_text(file))}) >= MOST


def read_text(file: Path) -> str:
    """What a file of YAML says as far as it is read; "" where it can't be."""
    try:
        with open_regular(file) as stream:
            return stream.read(BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def load(name: str) -> Preset:
    """Read and check a preset, its short form too; raises PresetError with one sentence."""
    return _both(name)[0]


def quick(name: str) -> Preset:
    """The short form of a preset, called NAME-quick; raises PresetError where it has none."""
    whole, short = _both(name)
    if short is None:
        raise PresetError(
            f"the preset {whole.name} has no short form: it has no `quick` section, or an empty one"
        )
    return short


def worked_on(preset: Preset, executor: Mapping[str, Any] | None) -> Preset:
    """The preset with another executor, if one is told; the same keeps the preset's settings.

    Raises PresetError.
    """
    if executor is None:
        return preset
    own = preset.executor.model_dump()
    kept = own if own["name"] == executor.get("name", own["name"]) else {}
    data = {**preset.model_dump(mode="json"), "executor": {**kept, **executor}}
    return parse(data, "--executor")


def _both(name: str) -> tuple[Preset, Preset | None]:
    """A preset, and its short form where it has one."""
    file = find(name)
    try:
        data = read_yaml(file)
    except YamlError as error:
        raise PresetError(str(error)) from error
    whole = parse(data, str(file))
    return whole, _short(data, whole, file) if whole.quick else None


def _short(data: dict[str, Any], whole: Preset, file: Path) -> Preset:
    """The preset of this YAML with the values of its `quick` section; changes `data`."""
    data.pop("takes", None)  # it is of the whole
    for setting, value in data.pop("quick").items():
        *way, last = setting.split(".")
        if setting in OWN:
            raise PresetError(f"{file}: quick: {setting} is no setting that a short form changes")
        if not way and isinstance(value, dict):
            raise PresetError(f"{file}: quick: name single settings, such as {setting}.NAME: VALUE")
        at = data
        for part in way:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise PresetError(f"{file}: quick: {setting} names no setting of a section")
        at[last] = value
    return parse({**data, "name": f"{whole.name}{SHORT}"}, f"{file}, quick")

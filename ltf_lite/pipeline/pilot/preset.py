"""The preset to go on with: what a pilot found, as a YAML file with comments."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.files import hand_over
from ltf_lite.pipeline.pilot.plan import Planned, tree_of
from ltf_lite.presets import Preset, available, parse
from ltf_lite.presets.loading import FOLDERS
from ltf_lite.tasks import Task

LONGEST, TRIES = 60, 1000  # characters of a name, and how many of it are tried
TREES, CHECKED = 50, 25  # test problems that a search is asked; validation problems


class PresetFileError(LtfError, ValueError):
    """A preset file that cannot be written."""

    code = USAGE


def name_of(task: Task) -> str:
    """A preset's name that is made of the task's."""
    return re.sub(r"[^a-z0-9._-]+", "-", task.sign.casefold()).strip("-._") or "task"


def preset_of(task: Task, planned: Planned, name: str | None = None) -> dict[str, Any]:
    """The preset as plain data."""
    own = task.model_dump(mode="json", exclude_defaults=True)
    kind = {"name": task.name}
    own |= {"path_tokens": planned.path_tokens} if planned.path_tokens else {}
    most = {"validation": CHECKED, "test": TREES}
    few = {split: min(n, max(1, planned.problems[split])) for split, n in most.items()}
    search: list[dict[str, Any]] = [
        {"name": "cot", "n": 1},
        {"name": "cot", "n": 8, "temperature": 1.0},
    ]
    return {
        "name": name or name_of(task),
        "about": f"{task.sign} on {planned.base}, as its pilot proposed",
        "seed": 0,
        "task": {**kind, **own},
        "model": {"base": planned.base} | ({"ask": planned.ask} if planned.ask else {}),
        "problems": {split: max(1, n) for split, n in planned.problems.items()},
        "search": search,
        "harvest": {"successes_per_problem": 4, "failures_per_problem": 4},
        "tuning": {
            "method": "sft",
            "steps": planned.steps,
            "batch": 8,
            "learning_rate": planned.learning_rate,
            "rank": 32,
            "lora_alpha": 64,
            "max_length": planned.max_length,
            "eval_every": max(1, planned.steps // 4),
        },
        "evaluation": [
            {"name": "cot", "n": 1},
            {"name": "cot", "n": 8, "temperature": 0.7},
            *([{**tree_of(task), "problems": few["test"]}] if planned.tree else []),
        ],
        "retention": {"problems": few["validation"]},
        "export": {"quantizations": ["q8_0"], "greedy_problems": min(20, few["test"])},
    }


def parsed(task: Task, planned: Planned) -> Preset:
    """The preset, checked; raises PresetError."""
    return parse(preset_of(task, planned), "the pilot's preset")


COMMENTS = {
    "name": "of the run's folder and of the GGUF files",
    "seed": "every random choice of the run comes from it",
    "task": "what is asked, and who says what is right",
    "model": "the base: tiny-base, a folder with the model's files, or a name on the Hub",
    "problems": "how many of each; the three share none",
    "search": "over the training problems; every path goes to the harvest",
    "harvest": "what is trained on, at most so many paths a problem; failures only by uft",
    "tuning": "sft follows successes; uft forgets failures too, which was not seen to pay",
    "evaluation": "on the test problems, base and tuned; a run is judged by the single pass",
    "retention": "what every checkpoint kept of the base, no floor set",
    "export": "GGUF files beside f16",
}


def preset_text(task: Task, planned: Planned, name: str | None = None) -> str:
    """The preset as YAML with a comment to each section."""
    return as_yaml(preset_of(task, planned, name))


def as_yaml(preset: dict[str, Any]) -> str:
    """A preset's plain data as YAML that a person edits."""
    lines = [f"# ltf train {preset['name']}"]
    for key, value in preset.items():
        comment = f"  # {COMMENTS[key]}" if key in COMMENTS else ""
        if isinstance(value, dict):
            lines.append(f"{key}:{comment}")
            lines += [f"  {name}: {_flow(own)}" for name, own in value.items()]
        elif isinstance(value, list):
            lines.append(f"{key}:{comment}")
            lines += [f"  - {_flow(own)}" for own in value]
        else:
            lines.append(f"{key}: {_flow(value)}{comment}")
    return "\n".join(lines) + "\n"


# Words that YAML takes for something else than a text.
WORDS = frozenset(("yes", "no", "on", "off", "true", "false", "null", "y", "n"))


def _flow(value: Any) -> str:
    """A value on one line; JSON is YAML, and plain words need no quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(own) for own in value) + "]"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else repr(value)
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value)
    if plain and value.casefold() not in WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def keep_preset(task: Task, planned: Planned, runs: Path) -> str:
    """Write the preset into the folder one works in, and return its name.

    One that says the same is used again. A name that another preset or run has gets a number.
    """
    stem, there = name_of(task)[:LONGEST], available()
    for number in range(1, TRIES):
        name = stem if number == 1 else f"{stem}-{number}"
        text, file = preset_text(task, planned, name), FOLDERS[0] / f"{name}.yaml"
        if file.exists():
            if _read(file) == text:
                return name
        elif name not in there and not (runs / name).exists():
            write_preset(text, file)
            return name
    raise PresetFileError(f"there are {TRIES} presets of the name {stem}: remove some")


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def check_free(file: Path) -> None:
    """Refuse a file that is there already; raises PresetFileError."""
    if file.exists():
        raise PresetFileError(f"{file} is there already: name another file with --out")
    there = next((each for each in file.absolute().parents if each.exists()), file)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise PresetFileError(f"{file} cannot be written: name another file with --out")


def write_preset(text: str, file: Path) -> Path:
    """Write a preset that is not there yet; raises PresetFileError."""
    check_free(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    hand_over(file, text)
    return file

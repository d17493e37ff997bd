"""The example that `ltf init` writes: questions, a Python file, and a preset with comments."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ltf_lite.core.files import hand_over
from ltf_lite.tasks.contract import TaskError

WRITTEN = {
    "questions.jsonl": Path("my_task/questions.jsonl"),
    "my_task.py": Path("my_task/my_task.py"),
    "preset.yaml": Path("presets/my-task.yaml"),
}


def write_example(folder: Path) -> list[Path]:
    """Write the example into a folder; raises TaskError, before anything is written, if one of its
    files is there."""
    for place in WRITTEN.values():
        if (folder / place).exists():
            raise TaskError(f"{folder / place} is there already: name another folder")
    for name, place in WRITTEN.items():
        text = (files("ltf_lite") / "tasks" / "example" / name).read_text(encoding="utf-8")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        hand_over(folder / place, text)
    return [folder / place for place in WRITTEN.values()]

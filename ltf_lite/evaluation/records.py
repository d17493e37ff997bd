"""Reading a record back: one of another schema or of another task is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltf_lite.evaluation.success import SCHEMA
from ltf_lite.files import BrokenFile, ForeignFile, read_json


def task_named(folder: Path) -> str | None:
    """The task that the manifest of a run names; None where there is none. Raises BrokenFile."""
    manifest = folder / "manifest.json"
    return read_json(manifest)["preset"]["task"]["name"] if manifest.is_file() else None


def read_record(file: Path, task: str | None = None) -> dict[str, Any]:
    """A record of evaluation, of this task if one is named.

    Raises BrokenFile where it can't be read, and ForeignFile where it is of another schema or task.
    """
    found = read_json(file)
    if not isinstance(found, dict):
        raise BrokenFile(file)
    schema = found.get("schema", 1)  # the first told none
    if schema != SCHEMA:
        age = "an older" if isinstance(schema, int) and schema < SCHEMA else "another"
        raise ForeignFile(
            f"{file} is a record of {age} version of ltf_lite (schema {schema}, this one reads "
            f"{SCHEMA}): `ltf train` with the run's preset evaluates again"
        )
    if task is not None and found.get("task") != task:
        raise ForeignFile(
            f"{file} is a record of the task {found.get('task')}, not {task}: it is of another "
            "run; delete it or move it there"
        )
    return found

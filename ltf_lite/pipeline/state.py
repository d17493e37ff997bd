"""Where a run stands, read from its folder alone, while it is worked on or not; never raises."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from ltf_lite.files import BrokenFile, read_json
from ltf_lite.pipeline.run import LOG, PROGRESS, Run, RunError, read_manifest, working
from ltf_lite.pipeline.train import STAGES
from ltf_lite.presets import PresetError

LINES, WIDTH, TAIL = 40, 400, 1 << 16  # of the log: lines shown, characters of one, bytes read
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def state(folder: Path) -> dict[str, Any]:
    """Where a run stands, for whoever watches it; never raises.

    {"run", "preset": its name or None, "working", "stages": [{"name", "title", "status",
    "seconds", "peak_bytes": or None}] in their order, "progress": of the running stage or None,
    "log": last lines, "ended": why nothing goes on, or None}. A status is one of waiting, running,
    done, failed, stopped.
    """
    alive = working(folder) is not None  # before the manifest: what ends in between is not lost
    manifest, trouble = _manifest(folder)
    stages = _stages(folder, manifest, alive)
    running = any(stage["status"] == "running" for stage in stages)
    return {
        "run": str(folder),
        "preset": _text(_dict(manifest.get("preset")).get("name")),
        "working": alive,
        "stages": stages,
        "progress": _progress(folder) if running else None,
        "log": log_lines(folder),
        "ended": None if alive else _why(folder, manifest, stages, trouble),
    }


def _manifest(folder: Path) -> tuple[dict[str, Any], str | None]:
    """The manifest, or an empty one and a sentence."""
    try:
        return read_manifest(folder), None
    except (RunError, BrokenFile) as error:
        return {}, str(error)
    except OSError:
        return {}, f"the manifest.json of {folder} can't be read"


def _stages(folder: Path, manifest: dict[str, Any], alive: bool) -> list[dict[str, Any]]:
    """Every stage and where it stands, those not begun too."""
    entries = {name: _dict(entry) for name, entry in _dict(manifest.get("stages")).items()}
    wanted = _inputs(folder, manifest)
    rows: list[dict[str, Any]] = []
    for stage in STAGES:
        entry = entries.get(stage.name, {})
        status, seconds = entry.get("status"), _number(entry.get("seconds")) or 0.0
        if status == "running":
            # Stages run one after another: of two, a kill left the later one behind.
            first = alive and all(row["status"] != "running" for row in rows)
            status = "running" if first else "stopped"
        elif status == "failed":
            status = "waiting" if alive else "failed"  # once more
        elif status != "done" or entry.get("input") != wanted.get(stage.name, entry.get("input")):
            status = "waiting"  # not begun, or done with other settings than the run's now
        if status == "running":
            seconds += max(0.0, time.time() - _written(folder / "manifest.json"))
        rows.append({"name": stage.name, "title": stage.title, "status": status,
                     "seconds": round(seconds, 2),
                     "peak_bytes": _number(entry.get("peak_bytes"))})  # fmt: skip
    return rows


def _inputs(folder: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """What each stage must have been run on to count as done; empty where that can't be said."""
    try:
        run = Run(folder, manifest)
        return {stage.name: run.input_hash(stage.parts, stage.upstream) for stage in STAGES}
    except (PresetError, KeyError, AttributeError):
        return {}


def _why(
    folder: Path, manifest: dict[str, Any], stages: list[dict[str, Any]], trouble: str | None
) -> str | None:
    """Why nobody works on a run that is not done, as far as it was not simply stopped."""
    words = last_words(folder)
    if trouble:
        return words or trouble
    by_status = {stage["status"]: stage["name"] for stage in stages}
    if "failed" in by_status:
        return _text(manifest["stages"][by_status["failed"]].get("error")) or words
    if set(by_status) == {"done"} or "stopped" in by_status:
        return None
    newer = _written(folder / LOG) >= _written(folder / "manifest.json")
    return words if newer else None


def _progress(folder: Path) -> dict[str, Any] | None:
    try:
        found = read_json(folder / PROGRESS)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "total" in found else None


def log_lines(folder: Path, begun: int = 0) -> list[str]:
    """The last lines of a run's log, as a terminal would show them; from byte `begun` on."""
    try:
        with open(folder / LOG, "rb") as file:
            start = max(begun, file.seek(0, os.SEEK_END) - TAIL)
            file.seek(start)
            text = file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.split("\n")
    if start > begun:
        del lines[0]  # cut in the middle
    shown = (_ESCAPE.sub("", line).rstrip("\r").rpartition("\r")[2] for line in lines)
    return [_CONTROL.sub("", line)[:WIDTH] for line in shown if line.strip()][-LINES:]


def last_words(folder: Path, begun: int = 0) -> str | None:
    """The last line of a run's log, which is the sentence of a command that failed."""
    lines = log_lines(folder, begun)
    return lines[-1].removeprefix("ltf: ") if lines else None


def curves(folder: Path) -> list[dict[str, Any]]:
    """What tuning wrote down at every validation so far; half a line is left out."""
    try:
        lines = (folder / "tuning" / "log.jsonl").read_bytes().split(b"\n")
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def runs_in(root: Path) -> list[Path]:
    """The runs directly in a folder, the newest first; no link that leads out of it."""
    try:
        real, entries = root.resolve(), list(root.iterdir())
    except OSError:
        return []
    found = []
    for folder in entries:
        file = folder / "manifest.json"
        if file.is_file() and file.resolve().is_relative_to(real):
            found.append((_written(file), folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def _written(file: Path) -> float:
    """When a file was last written, seconds of the epoch; 0 if it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else None

"""What of a run another preset in its folder does again, and for which settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ltf_lite.core.manifest import StageEntry
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.tuning.settings import BESIDE

NAMED = 4  # settings in a sentence
_NONE = object()


def redone(
    old: Mapping[str, Any], new: Mapping[str, Any], stages: Mapping[str, StageEntry]
) -> str | None:
    """A sentence that names the stages that are done again, and why; None where none is.

    `old` and `new` are presets as a manifest has them, `stages` what the folder holds.
    """
    again: list[str] = []
    why: dict[str, None] = {}
    for stage in STAGES:
        parts = ("seed", *stage.parts)
        changed = [
            name for each in parts for name in _changed(part(old, each), part(new, each), each)
        ]
        built_on = any(name in again for name in stage.upstream)
        if (changed or built_on) and stages.get(stage.name, StageEntry()).status == "done":
            again.append(stage.name)
            why |= dict.fromkeys(changed)
    if not again:
        return None
    names = list(why)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    titles = [stage.title for stage in STAGES if stage.name in again]
    return (
        f"other settings than when this run was made ({', '.join(names[:NAMED])}{more}): done "
        f"again, in place of what is there, are {', '.join(titles)}"
    )


def part(preset: Mapping[str, Any], name: str) -> Any:
    """What counts of a section of the preset, or with a dot one setting of it."""
    section, _, setting = name.partition(".")
    found = preset.get(section)
    if section == "tuning" and isinstance(found, Mapping):
        found = {key: value for key, value in found.items() if key not in BESIDE}
    return (found or {}).get(setting) if setting else found


def _changed(old: Any, new: Any, name: str) -> Iterator[str]:
    """The names of the settings that differ, as a preset's `quick` names them."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _changed(old.get(key, _NONE), new.get(key, _NONE), f"{name}.{key}")
    elif old != new:
        yield name

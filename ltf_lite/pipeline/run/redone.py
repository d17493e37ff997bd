"""What of a run another preset in its folder does again, and for which settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ltf_lite.core.manifest import StageEntry
from ltf_lite.pipeline.graph import STAGES

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
            name for part in parts for name in _changed(_part(old, part), _part(new, part), part)
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


def _part(preset: Mapping[str, Any], name: str) -> Any:
    found: Any = preset
    for key in name.split("."):
        found = found.get(key, _NONE) if isinstance(found, Mapping) else _NONE
    return found


def _changed(old: Any, new: Any, name: str) -> Iterator[str]:
    """The names of the settings that differ, as a preset's `quick` names them."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _changed(old.get(key, _NONE), new.get(key, _NONE), f"{name}.{key}")
    elif old != new:
        yield name

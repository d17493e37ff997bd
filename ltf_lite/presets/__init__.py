"""Presets: one YAML file that says a whole run."""

from ltf_lite.presets.loading import (
    FOLDERS,
    PresetError,
    available,
    choices,
    choose,
    find,
    foreign,
    in_place_of,
    load,
    parse,
    quick,
    reasoner,
    worked_on,
)
from ltf_lite.presets.schema import Preset

__all__ = [
    "FOLDERS",
    "Preset",
    "PresetError",
    "available",
    "choices",
    "choose",
    "find",
    "foreign",
    "in_place_of",
    "load",
    "parse",
    "quick",
    "reasoner",
    "worked_on",
]

"""The pilot: on some problems, in minutes, whether search helps and whether training will pay."""

from ltf_lite.pipeline.pilot.measure import Asked, Pilot, Planned, Way, pilot
from ltf_lite.pipeline.pilot.preset import check_free, keep_preset, preset_text, write_preset
from ltf_lite.pipeline.pilot.text import as_text

__all__ = [
    "Asked",
    "Pilot",
    "Planned",
    "Way",
    "as_text",
    "check_free",
    "keep_preset",
    "pilot",
    "preset_text",
    "write_preset",
]

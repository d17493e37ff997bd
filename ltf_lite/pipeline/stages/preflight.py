"""Before anything is searched or trained: does tuning fit, can the base be loaded and exported?"""

from __future__ import annotations

from ltf_lite.core.device import device
from ltf_lite.core.machine import free_memory
from ltf_lite.core.progress import say
from ltf_lite.engines import model_path
from ltf_lite.export.preflight import check_exportable
from ltf_lite.pipeline.needs import check_fits
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.tuning import TuningError


def main(run: Run) -> None:
    device()  # one that is asked for and not here is told now
    base = model_path(run.preset.model.base)
    try:
        check_room(run)
    except TuningError:  # its shape is not known here: that needs its files, or says what it lacks
        check_exportable(base)
        check_room(run)
    else:
        check_exportable(base)


def check_room(run: Run) -> None:
    """Say what tuning needs, and refuse a card that is too small; raises TuningError, RunError."""
    if run.entry("tune").status != "done":  # else the rest may run anywhere
        say(check_fits(run.preset, *free_memory()))

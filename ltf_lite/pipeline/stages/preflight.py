"""Before anything is searched or trained: does tuning fit, can the base be loaded and exported?"""

from __future__ import annotations

import sys

from ltf_lite.core.device import device
from ltf_lite.core.machine import free_memory
from ltf_lite.core.progress import say
from ltf_lite.core.threads import cores
from ltf_lite.engines import model_path
from ltf_lite.export.preflight import check_exportable
from ltf_lite.pipeline.executors.plugin import executor_of
from ltf_lite.pipeline.needs import check_fits
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.tuning import Tuning, TuningError


def main(run: Run) -> None:
    device()  # one that is asked for and not here is told now
    if run.entry("tune").status != "done":  # else the rest may run anywhere
        _check_devices(run.preset.tuning)
    if run.entry("search").status != "done":
        executor_of(run.preset).check(run.preset.threads)
    base = model_path(run.preset.model.base)
    try:
        check_room(run)
    except TuningError:  # its shape is not known here: that needs its files, or says what it lacks
        check_exportable(base)
        check_room(run)
    else:
        check_exportable(base)


def _check_devices(tuning: Tuning) -> None:
    """Refuse a tuning on more devices than there are, or than can share it; raises TuningError."""
    import torch

    wanted, at = tuning.devices, device()
    if wanted == 1:
        return
    if sys.platform == "win32" or at == "mps":
        raise TuningError(
            f"tuning.devices is {wanted}: devices share a tuning on Linux, cards of NVIDIA or AMD "
            "or a CPU; set it to 1"
        )
    there, kind = cores(), "CPU cores"
    if at == "cuda":
        there, kind = torch.cuda.device_count(), "cards"
    if wanted > there:
        raise TuningError(
            f"tuning.devices is {wanted}, and torch finds {there} {kind} here: set it to {there} "
            "or less"
        )


def check_room(run: Run) -> None:
    """Say what tuning needs, and refuse a card that is too small; raises TuningError, RunError."""
    if run.entry("tune").status != "done":  # else the rest may run anywhere
        say(check_fits(run.preset, *free_memory()))

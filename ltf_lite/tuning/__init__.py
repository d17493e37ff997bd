"""Tuning: follow the successes, forget the failures (UFT), with LoRA or QLoRA.

Nothing here imports torch before `tune` or `load_for_tuning` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ltf_lite.core.threads import wait_briefly
from ltf_lite.tuning.settings import Tuning, TuningError

if TYPE_CHECKING:
    from ltf_lite.tuning.loading import load_for_tuning
    from ltf_lite.tuning.trainer import tune

HOMES = {"tune": "ltf_lite.tuning.trainer", "load_for_tuning": "ltf_lite.tuning.loading"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    wait_briefly()  # the environment is read once, when torch loads OpenMP
    return getattr(import_module(HOMES[name]), name)


__all__ = ["Tuning", "TuningError", "load_for_tuning", "tune"]

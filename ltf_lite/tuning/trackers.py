"""Trackers that follow a tuning: transformers tells them, they write into the run's folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path


def lacking(names: Sequence[str]) -> list[str]:
    """Those of the trackers whose package, called as they are, is not installed."""
    return [name for name in names if find_spec(name) is None]


def keep_in(folder: Path, names: Sequence[str]) -> None:
    """Have trackers write below a folder, by the environment, which is how transformers asks them.

    Nothing leaves this machine unless the environment says so already: `MLFLOW_TRACKING_URI`,
    `WANDB_MODE=online`.
    """
    if not names:
        return
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    os.environ["WANDB_DIR"] = str(folder)
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_PROJECT", "ltf_lite")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", "ltf_lite")

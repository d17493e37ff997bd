"""Merge the best adapter into the base it was trained against."""

from __future__ import annotations

from typing import Any

from ltf_lite.engines import model_path
from ltf_lite.export import merge
from ltf_lite.pipeline.common import set_threads
from ltf_lite.pipeline.run import Run


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    model = run.preset.model
    adapter = run.folder / "tuning" / "adapter"
    return merge(model_path(model.base), adapter, run.folder / "model", model.load_in_4bit)

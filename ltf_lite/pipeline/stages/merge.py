"""Merge the best adapter into the base it was trained against."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ltf_lite.engines import model_path
from ltf_lite.export.merge.merge import merge
from ltf_lite.pipeline.common import learnt, set_threads
from ltf_lite.pipeline.run.folder import Run


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    model = run.preset.model
    moved = merge(
        model_path(model.base),
        run.at.adapter,
        run.at.model,
        learn=learnt(run).name,
        load_in_4bit=model.load_in_4bit,
    )
    return asdict(moved)

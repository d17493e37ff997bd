"""Merge the best adapter into the base it was trained against."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ltf_lite.export.merge.merge import merge
from ltf_lite.pipeline.common import base_of, learnt, set_threads
from ltf_lite.pipeline.run.folder import Run


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    model, dialect = run.preset.model, learnt(run)
    moved = merge(
        base_of(run),
        run.at.adapter,
        run.at.model,
        learn=dialect.name,
        system=dialect.system or "",
        load_in_4bit=model.load_in_4bit,
    )
    return asdict(moved)

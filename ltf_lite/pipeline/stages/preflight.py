"""Before anything is searched or trained: can this base be loaded, and its result exported?"""

from __future__ import annotations

from ltf_lite.engines import model_path
from ltf_lite.export import check_exportable
from ltf_lite.pipeline.run import Run


def main(run: Run) -> None:
    check_exportable(model_path(run.preset.model.base))

"""One run begins with what another has done: problems, the base's evaluation, and the harvest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltf_lite.core.files import BROKEN
from ltf_lite.core.seals import HASHES
from ltf_lite.pipeline.graph import STAGES, Stage
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.run.mend import remove

SHARED = tuple(s for s in STAGES if s.name in ("problems", "baseline", "search"))


def adopt(run: Run, shared: Run, stages: Sequence[Stage] = SHARED) -> None:
    """Take over what the shared stages wrote, with their entries, unless it is there already."""
    for stage in stages:
        entry = shared.stages[stage.name]
        if run.stages.get(stage.name) == entry and run.finished(stage, entry.input):
            continue
        target = run.folder / stage.folder
        remove(target)
        shutil.copytree(
            shared.folder / stage.folder,
            target,
            ignore=shutil.ignore_patterns(f"*{BROKEN}"),
            copy_function=_link,
        )
        run.stages[stage.name] = replace(entry)
        run.save()


def _link(source: str, target: str) -> None:
    if Path(source).name == HASHES:  # it grows with what each of the runs writes
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)

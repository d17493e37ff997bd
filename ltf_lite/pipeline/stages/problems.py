"""Draw the problems of every split."""

from __future__ import annotations

from ltf_lite.files import write_jsonl
from ltf_lite.pipeline.common import task_of
from ltf_lite.pipeline.run import Run
from ltf_lite.progress import bar
from ltf_lite.tasks import SPLITS


def main(run: Run) -> dict[str, int]:
    task, counts = task_of(run), run.preset.problems.model_dump()
    with bar("problems", sum(counts.values())) as advance:
        for split in SPLITS:
            problems = task.problems(split, counts[split], run.preset.seed)
            write_jsonl(run.folder / "problems" / f"{split}.jsonl", [p.as_dict() for p in problems])
            advance(len(problems))
    return counts

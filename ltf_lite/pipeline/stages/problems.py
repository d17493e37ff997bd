"""Draw the problems of every split."""

from __future__ import annotations

from ltf_lite.core.files import write_jsonl
from ltf_lite.core.progress import bar
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.tasks import SPLITS


def main(run: Run) -> dict[str, int]:
    task, counts = run.preset.task, run.preset.problems.model_dump()
    with bar("problems", sum(counts.values())) as advance:
        for split in SPLITS:
            problems = task.problems(split, counts[split], run.preset.seed)
            write_jsonl(run.at.problems(split), [problem.as_dict() for problem in problems])
            advance(len(problems))
    return counts

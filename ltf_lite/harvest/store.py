"""The harvest on disk: append-only parquet shards of verified paths, read back without doubles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltf_lite.files import BrokenFile, ForeignFile
from ltf_lite.reasoners import Solution
from ltf_lite.tasks import NumbersGame

Row = dict[str, Any]

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("problem_id", pa.string()),
        ("numbers", pa.list_(pa.int64())),
        ("target", pa.int64()),
        ("prompt", pa.string()),
        ("steps", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("text", pa.string()),
        ("correct", pa.bool_()),
        ("kind", pa.string()),
        ("fatal_step", pa.int32()),
        ("reasoner", pa.string()),
        ("engine", pa.string()),
        ("logprob", pa.float64()),
        ("tokens", pa.int32()),
        ("seed", pa.int64()),
    ]
)


def rows_of(
    solution: Solution, task: NumbersGame, style: str, reasoner: str, engine: str, seed: int
) -> list[Row]:
    """The verified rows of a solution, each text once."""
    problem, rows, seen = solution.problem, [], set()
    prompt, problem_id = task.prompt(problem, style), problem.id
    for attempt in solution.attempts:
        if attempt.text in seen:
            continue
        seen.add(attempt.text)
        path, verdict = attempt.path, attempt.verdict
        rows.append(
            {
                "task": task.name,
                "problem_id": problem_id,
                "numbers": list(problem.numbers),
                "target": problem.target,
                "prompt": prompt,
                "steps": [line.text for line in path.lines],
                "answer": path.answer.text if path.answer else None,
                "text": attempt.text,
                "correct": verdict.correct,
                "kind": verdict.kind,
                "fatal_step": verdict.fatal_step,
                "reasoner": reasoner,
                "engine": engine,
                "logprob": attempt.logprob,
                "tokens": attempt.tokens,
                "seed": seed,
            }
        )
    return rows


def write_shard(folder: Path, part: int, rows: list[Row]) -> None:
    """Write `part-NNNNN.parquet` under a temporary name, flush it to the disk, rename it."""
    folder.mkdir(parents=True, exist_ok=True)
    final = shard(folder, part)
    temporary = final.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, final)


def shard(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.parquet"


def read(
    folder: Path, reasoners: Sequence[str] | None = None, task: str | None = None
) -> Iterable[Row]:
    """Every row of the harvest, a path that several reasoners found only once (the first).

    `reasoners` names those whose rows are read at all (None: every one's). Raises BrokenFile where
    a shard can't be read, and ForeignFile where it is not of `task`.
    """
    seen: set[tuple[str, str]] = set()
    for file in sorted(folder.glob("part-*.parquet")):
        for row in _rows(file):
            if task is not None and row["task"] != task:
                raise ForeignFile(
                    f"{file} is of the task {row['task']}, not {task}: it is of another run's "
                    "harvest; delete it or move it there"
                )
            if reasoners is not None and row["reasoner"].partition(" ")[0] not in reasoners:
                continue
            key = row["problem_id"], row["text"]
            if key not in seen:
                seen.add(key)
                yield row


def _rows(file: Path) -> list[Row]:
    try:
        with pq.ParquetFile(file) as shard:
            return shard.read().to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BrokenFile(file) from None
    except OSError as error:
        if error.errno is not None:  # not pyarrow's own
            raise
        raise BrokenFile(file) from None

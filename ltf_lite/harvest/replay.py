"""What the base said while it searched, recorded to hold the tuned model to it: search is kept.

Recorded are the answers to a search's own questions: proposals and judgements. Ways from a state to
an answer are paths, which the harvest has, and which tuning is to change. Where there are
judgements, proposals are not held: tuning makes those better, and holding them where they
were costs more than it keeps (docs/method.md).
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ltf_lite.core.errors import LtfError
from ltf_lite.core.files import whole
from ltf_lite.core.spill import Spill
from ltf_lite.engines import Completion, Engine, Prompt, Sampling
from ltf_lite.harvest.example import Example
from ltf_lite.harvest.store import ROWS, numbered, reading
from ltf_lite.tasks import Problem, Task
from ltf_lite.tasks.steps import prompts_of

PROMPTS = 10_000  # of a person's text file
TEXTS = 40_000  # that are held at most, drawn from all that were said
SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("reply", pa.string()),
        ("framed", pa.bool_()),
        ("turns", pa.string()),
        ("text", pa.string()),
        ("ended", pa.bool_()),
        ("kind", pa.string()),
    ]
)
Kind = Literal["judgement", "proposal", "answer"]


class ReplayError(LtfError, ValueError):
    """A text file that holds no prompts, or a record that can't be replayed."""


class Said(NamedTuple):
    """A prompt in its parts (`Prompt`; `turns` as JSON), and all that the model wrote.

    `ended`: its end token came next; else the text ends with what stopped it. An `answer` is one to
    a prompt of a person's own.
    """

    question: str
    reply: str
    framed: bool
    turns: str
    text: str
    ended: bool
    kind: Kind

    @classmethod
    def of(cls, asked: str, completion: Completion, kind: Kind) -> Said:
        prompt = Prompt.of(asked)
        turns = json.dumps(prompt.turns) if prompt.turns else ""
        text = completion.text + completion.beyond
        ended = not completion.beyond
        return cls(prompt.question, prompt.reply, prompt.framed, turns, text, ended, kind)

    def example(self) -> Example:
        turns = json.loads(self.turns) if self.turns else ()
        prompt = Prompt(self.question, self.reply, self.framed, turns)
        return Example(prompt, self.text, True, 0, len(self.text), self.ended)


class Recorder:
    """An engine that also keeps what it said to questions other than the problems' own.

    A text is kept once. One that was cut off is no answer.
    """

    def __init__(self, engine: Engine, task: Task, problems: Iterable[Problem], dialect: str):
        self.engine = engine
        self.problems = {Prompt.of(task.prompt(each, dialect)).question for each in problems}
        self.value = prompts_of(task).read_value
        self.said: dict[Said, None] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        found = self.engine.generate(prompts, sampling, seeds)
        for prompt, completions in zip(prompts, found, strict=True):
            if Prompt.of(prompt).question not in self.problems:
                finished = (each for each in completions if each.finished)
                self.said.update(
                    (Said.of(prompt, each, self.kind(each)), None) for each in finished
                )
        return found

    def kind(self, completion: Completion) -> Kind:
        return "proposal" if self.value(completion.text) is None else "judgement"


def prompts_in(file: Path) -> list[str]:
    """The prompts of a text file, one a line, each once; raises ReplayError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayError(f"{file} can't be read as text: {error}") from error
    found = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not found:
        raise ReplayError(f"{file} has no prompts: it holds one a line")
    return found[:PROMPTS]


def answers(prompts: Sequence[str], engine: Engine, most: int, seed: int) -> list[Said]:
    """What the model answers to prompts, as likely as it is; an answer that is cut off is none.

    One has at most so many tokens, and what the model's context leaves.
    """
    context, lengths = getattr(engine, "context", None), getattr(engine, "lengths", None)
    if context is not None and lengths is not None:
        most = max(1, min(most, context - max(lengths(prompts))))
    found = engine.generate(prompts, Sampling(1, 1.0, 1.0, most, seed=seed))
    pairs = zip(prompts, found, strict=True)
    return [Said.of(prompt, own, "answer") for prompt, (own,) in pairs if own.finished]


def shard(folder: Path, part: int) -> Path:
    return folder / f"replay-{part:05d}.parquet"


def write_said(folder: Path, part: int, said: Iterable[Said]) -> None:
    """Write `replay-NNNNN.parquet`, as `whole` writes, with a checksum of each page."""
    table = pa.Table.from_pylist([each._asdict() for each in said], SCHEMA)
    with whole(shard(folder, part)) as half:
        pq.write_table(table, half, compression="zstd", write_page_checksum=True)


def replayed(folder: Path, seed: int, most: int = TEXTS) -> list[Example]:
    """What is held of a harvest, each text once, at most so many drawn by the seed.

    Its proposals only where it has no judgement. Raises BrokenFile where a shard is not what was
    written.
    """
    said = recorded(folder)
    judged = any(each.kind == "judgement" for each in said)
    held = (n for n, each in enumerate(said) if each.kind != "proposal" or not judged)
    taken = array("q", held)
    if len(taken) > most:
        taken = array("q", random.Random(f"replay:{seed}").sample(taken, most))
    return [said[number].example() for number in taken]


def recorded(folder: Path) -> Sequence[Said]:
    """All that was said in the shards of a harvest, each text once; it lies on disk.

    Raises BrokenFile, and ReplayError for a shard of before the kinds were told apart.
    """
    said = Spill(lambda one: json.dumps(one).encode(), lambda told: Said(*json.loads(told)), True)
    for file in numbered(folder, "replay"):
        with reading(file) as one:
            told = "kind" in one.schema_arrow.names
            for batch in one.iter_batches(ROWS) if told else ():
                table = pa.Table.from_batches([batch]).cast(SCHEMA)
                said.extend(Said(**row) for row in table.to_pylist())
        if not told:
            raise ReplayError(
                f"{file} is of an earlier ltf, which did not tell judgements from proposals: give "
                "--force-new to search anew"
            )
    return said

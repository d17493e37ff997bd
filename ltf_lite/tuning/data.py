"""Examples in, batches out: which tokens are learnt, which forgotten, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ltf_lite.harvest.example import Example
from ltf_lite.tuning.settings import TuneSettings, TuningError


@dataclass(frozen=True, slots=True)
class Row:
    """One tokenized example: loss falls on the tokens `marked`, to learn if `good`."""

    ids: list[int]
    marked: list[bool]
    good: bool


def rows_of(
    examples: Sequence[Example], tokenizer: Any, max_length: int
) -> tuple[list[Row], list[Row], dict[str, int]]:
    """(successes, failures, how many of each were dropped).

    Dropped are rows of more than `max_length` tokens and failures whose span holds no token.
    Raises TuningError for a tokenizer without an end token or without character offsets.
    """
    if tokenizer.eos_token_id is None:
        raise TuningError("the tokenizer has no end token, so the model could not learn to stop")
    if not tokenizer.is_fast:
        raise TuningError("the tokenizer gives no character offsets; a fast tokenizer is needed")
    successes: list[Row] = []
    failures: list[Row] = []
    dropped = {"successes": 0, "failures": 0}
    for row in tokenized(examples, tokenizer):
        if len(row.ids) > max_length or not any(row.marked):
            dropped["successes" if row.good else "failures"] += 1
        else:
            (successes if row.good else failures).append(row)
    return successes, failures, dropped


def tokenized(examples: Sequence[Example], tokenizer: Any) -> Iterator[Row]:
    """A row an example, in order; prompt and completion are tokenized apart, as when generating."""
    if not examples:
        return
    prompts = tokenizer([e.prompt for e in examples])["input_ids"]
    ends = tokenizer([e.completion for e in examples], add_special_tokens=False,
                     return_offsets_mapping=True)  # fmt: skip
    parts = zip(examples, prompts, ends["input_ids"], ends["offset_mapping"], strict=True)
    for example, prompt, completion, offsets in parts:
        if example.good:
            marked = [True] * (len(completion) + 1)
            completion = [*completion, tokenizer.eos_token_id]
        else:
            marked = [a < example.end and b > example.start for a, b in offsets]
            last = max((i for i, m in enumerate(marked) if m), default=-1)
            # The whole completion was tokenized so that a cut cannot change the tokens before it.
            completion, marked = completion[: last + 1], marked[: last + 1]
        yield Row(prompt + completion, [False] * len(prompt) + marked, example.good)


class Cycle:
    """An endless order over `rows`: every epoch is a permutation of its own, drawn from the seed.

    Place n of the order depends on the seed and n alone, so a resumed run reads on where it was.
    """

    def __init__(self, rows: Sequence[Row], *seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.orders: dict[int, np.ndarray] = {}

    def order(self, epoch: int) -> np.ndarray:
        if epoch not in self.orders:
            self.orders = {e: o for e, o in self.orders.items() if e == epoch - 1}
            generator = np.random.default_rng([*self.seed, epoch])
            self.orders[epoch] = generator.permutation(len(self.rows))
        return self.orders[epoch]

    def take(self, first: int, count: int) -> list[Row]:
        """Rows `first` to `first + count` of the order."""
        size = len(self.rows)
        return [self.rows[self.order(n // size)[n % size]] for n in range(first, first + count)]


class Batches(Dataset):
    """Micro-batch i of a run, a pure function of the seed and i; `accumulation` of them a step."""

    def __init__(
        self, successes: Sequence[Row], failures: Sequence[Row], settings: TuneSettings, pad: int
    ) -> None:
        self.settings, self.pad = settings, pad
        self.good = settings.batch * settings.accumulation
        self.bad = round(self.good * settings.ratio) if settings.alpha else 0
        if not successes:
            raise TuningError("there is no success to learn from among the examples")
        if self.bad and not failures:
            raise TuningError("there is no failure to forget among the examples; set alpha to 0")
        self.successes = Cycle(successes, settings.seed, 0)
        self.failures = Cycle(failures, settings.seed, 1)
        self.drawn: tuple[int, list[Row], list[Row]] = (-1, [], [])

    def __len__(self) -> int:
        return self.settings.steps * self.settings.accumulation

    def step(self, k: int) -> tuple[list[Row], list[Row]]:
        """The successes and the failures of step k."""
        if self.drawn[0] != k:
            good = self.successes.take(k * self.good, self.good)
            self.drawn = (k, good, self.failures.take(k * self.bad, self.bad))
        return self.drawn[1], self.drawn[2]

    def __getitem__(self, i: int) -> dict[str, Any]:
        """Micro-batch i; `tokens` counts its successes' and failures', all of them; `totals` counts
        the tokens to learn and to forget of its whole step."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        k, part = divmod(i, self.settings.accumulation)
        good, bad = self.step(k)
        mine = share(good, part, self.settings), share(bad, part, self.settings)
        return {
            **collate(mine[0] + mine[1], self.pad),
            "tokens": tuple(sum(len(row.ids) for row in rows) for rows in mine),
            "totals": tuple(sum(sum(row.marked) for row in rows) for rows in (good, bad)),
        }


def share(rows: list[Row], part: int, settings: TuneSettings) -> list[Row]:
    """Part `part` of the rows, cut as evenly as it goes into `accumulation` parts."""
    cuts = [len(rows) * p // settings.accumulation for p in (part, part + 1)]
    return rows[cuts[0] : cuts[1]]


def collate(rows: Sequence[Row], pad: int) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask, learn_mask, forget_mask, all (rows, length), right-padded."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [pad] * (width - len(row.ids)) for row in rows])
    marked = torch.tensor([row.marked + [False] * (width - len(row.ids)) for row in rows])
    lengths = torch.tensor([[len(row.ids)] for row in rows])
    good = torch.tensor([[row.good] for row in rows])
    return {
        "input_ids": ids,
        "attention_mask": torch.arange(width) < lengths,
        "learn_mask": marked & good,
        "forget_mask": marked & ~good,
    }

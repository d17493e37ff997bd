"""Examples in, batches out: which tokens are learnt, which forgotten, and in which order."""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ltf_lite.core.ranks import Ranks
from ltf_lite.core.spill import Picked, Spill
from ltf_lite.engines import Dialect
from ltf_lite.engines.dialect import framed
from ltf_lite.harvest.example import Example
from ltf_lite.tuning.packing import Piece, Row, collate, pack
from ltf_lite.tuning.parts import Totals
from ltf_lite.tuning.settings import Tuning, TuningError
from ltf_lite.tuning.types import Sides

ALONE = Ranks()
AT_ONCE = 32  # examples that are tokenized together
NOTHING_SAID = (
    "there is nothing to replay: the harvest has no questions that a tree search asked the base; "
    "add {name: tot} to the search, or set tuning.replay to 0"
)


def rows_of(
    examples: Sequence[Example], tokenizer: Any, max_length: int, dialect: Dialect
) -> tuple[Sequence[Row], Sequence[Row], Sides]:
    """(successes, failures, how many of each were dropped); the rows lie on disk.

    Dropped are rows of more than `max_length` tokens and failures whose span holds no token.
    Raises TuningError for a tokenizer without an end token or without character offsets, and where
    every success is too long.
    """
    dialect = dialect.of(tokenizer)
    if dialect.end(tokenizer) is None:
        raise TuningError("the tokenizer has no end token, so the model could not learn to stop")
    if not tokenizer.is_fast:
        raise TuningError("the tokenizer gives no character offsets; a fast tokenizer is needed")
    sides = {good: Spill(as_bytes, partial(from_bytes, good=good)) for good in (True, False)}
    counts = {True: 0, False: 0}
    shortest = 0  # tokens of a success
    for first in range(0, len(examples), AT_ONCE):
        fits: dict[bool, list[Row]] = {True: [], False: []}
        for row in tokenized(examples[first : first + AT_ONCE], tokenizer, dialect):
            counts[row.good] += 1
            if row.good:
                shortest = min(shortest or len(row.ids), len(row.ids))
            if len(row.ids) <= max_length and any(row.marked):
                fits[row.good].append(row)
        for good, rows in fits.items():
            sides[good].extend(rows)
    if shortest > max_length:
        raise TuningError(
            f"every success is longer than tuning.max_length, {max_length} tokens: the shortest "
            f"has {shortest}"
        )
    dropped = Sides(*(counts[good] - len(sides[good]) for good in (True, False)))
    return sides[True], sides[False], dropped


def as_bytes(row: Row) -> bytes:
    """A row for the disk: four bytes a token, and its mark."""
    return array("I", row.ids).tobytes() + bytes(row.marked)


def from_bytes(told: bytes, good: bool) -> Row:
    marks = len(told) // 5 * 4
    return Row(array("I", told[:marks]).tolist(), [*map(bool, told[marks:])], good)


def tokenized(examples: Sequence[Example], tokenizer: Any, dialect: Dialect) -> Iterator[Row]:
    """A row an example, in order; prompt and completion are tokenized apart, as when generating."""
    if not examples:
        return
    prompts, end = dialect.encode(tokenizer, [e.prompt for e in examples]), dialect.end(tokenizer)
    ends = tokenizer(
        [e.completion for e in examples], add_special_tokens=False, return_offsets_mapping=True
    )
    parts = zip(examples, prompts, ends["input_ids"], ends["offset_mapping"], strict=True)
    for example, prompt, completion, offsets in parts:
        if example.good:
            completion = [*completion, end] if example.ends else completion
            marked = [True] * len(completion)
        else:
            marked = [a < example.end and b > example.start for a, b in offsets]
            last = max((i for i, m in enumerate(marked) if m), default=-1)
            # The whole completion was tokenized so that a cut cannot change the tokens before it.
            completion, marked = completion[: last + 1], marked[: last + 1]
        yield Row(prompt + completion, [False] * len(prompt) + marked, example.good)


def replay_of(
    examples: Sequence[Example], tokenizer: Any, max_length: int, dialect: Dialect
) -> list[Row]:
    """Rows of what the base said while it searched, those that are not too long.

    Raises TuningError where none is left.
    """
    dialect, rows = dialect.of(tokenizer), list[Row]()
    for kind in (True, False):  # a dialect's frame goes around all prompts of a call, or none
        own = [example for example in examples if framed(example.prompt) == kind]
        rows += tokenized(own, tokenizer, dialect)
    short = [row for row in rows if len(row.ids) <= max_length and any(row.marked)]
    if examples and not short:
        raise TuningError(
            "everything that the base said while it searched is longer than tuning.max_length, "
            f"{max_length} tokens: raise it, or set tuning.replay to 0"
        )
    return short


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


def paired(
    successes: Sequence[Row], failures: Sequence[Row]
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Success i and failure i of the same prompt; rows whose prompt has no other side are left out.

    Every row of a prompt that has both is in, the fewer of them several times.
    """
    others: dict[bytes, list[int]] = defaultdict(list)
    for number, row in enumerate(failures):
        others[prompt_of(row)].append(number)
    mine: dict[bytes, list[int]] = defaultdict(list)
    for number, row in enumerate(successes):
        if (prompt := prompt_of(row)) in others:
            mine[prompt].append(number)
    good, bad = array("q"), array("q")
    for prompt, numbers in mine.items():
        both = numbers, others[prompt]
        for i in range(max(map(len, both))):
            good.append(numbers[i % len(numbers)])
            bad.append(both[1][i % len(both[1])])
    return Picked(successes, good), Picked(failures, bad)


def prompt_of(row: Row) -> bytes:
    """What tells the ids before the first token that carries loss."""
    ids = array("I", row.ids[: row.marked.index(True)])
    return hashlib.blake2b(ids.tobytes(), digest_size=16).digest()


class Batches(Dataset):
    """The micro-batches of a run, `accumulation` a step, each a pure function of seed and number.

    An item is the number of a micro-batch; `pieces` gives its tensors, rows `packed` into lines or
    one below the other. Of a method of pairs, failure i of a piece is of the same problem as its
    success i. Of a step that several devices share, the pieces are this one's.
    """

    def __init__(
        self,
        successes: Sequence[Row],
        failures: Sequence[Row],
        tuning: Tuning,
        pad: int,
        packed: bool = False,
        replay: Sequence[Row] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        self.tuning, self.pad, self.packed, self.ranks = tuning, pad, packed, ranks
        self.good = tuning.batch * tuning.accumulation
        self.bad, self.again = tuning.failures(self.good), tuning.replayed(self.good)
        if not successes:
            raise TuningError("there is no success to learn from among the examples")
        if self.bad and not failures:
            raise TuningError("there is no failure to forget among the examples; use method: sft")
        if self.again and not replay:
            raise TuningError(NOTHING_SAID)
        if tuning.pairs:
            successes, failures = paired(successes, failures)
            if not successes:
                raise TuningError(
                    f"no problem has both a success and a failure, which {tuning.method} needs: "
                    "harvest more failures a problem, or use method: uft"
                )
        seed = tuning.seed or 0
        self.successes = Cycle(successes, seed, 0)
        self.failures = Cycle(failures, seed, 0 if tuning.pairs else 1)
        self.replay = Cycle(replay, seed, 2)
        self.drawn: tuple[int, tuple[list[Row], ...]] = (-1, ())

    def __len__(self) -> int:
        return self.tuning.steps * self.tuning.accumulation

    def __getitem__(self, i: int) -> dict[str, Any]:
        if not 0 <= i < len(self):
            raise IndexError(i)
        return {"micro_batch": i}

    def step(self, k: int) -> tuple[list[Row], ...]:
        """The successes, the failures and the replay of step k."""
        if self.drawn[0] != k:
            cycles = (self.successes, self.failures, self.replay)
            counts = (self.good, self.bad, self.again)
            sides = [own.take(k * n, n) for own, n in zip(cycles, counts, strict=True)]
            if self.packed and not self.tuning.pairs:  # rows of like length leave less padding
                sides = [sorted(rows, key=lambda row: len(row.ids)) for rows in sides]
            self.drawn = k, tuple(sides)
        return self.drawn[1]

    def own(self, k: int) -> list[list[Row]]:
        """This process's part of step k; every device gets rows of all lengths."""
        return [rows[self.ranks.number :: self.ranks.world] for rows in self.step(k)]

    def replay_of(self, first: int, steps: int) -> list[Row]:
        """This process's rows of replay of so many steps from `first` on."""
        return [row for k in range(first, first + steps) for row in self.own(k)[2]]

    def pieces(self, i: int, count: int) -> Iterator[Piece]:
        """Micro-batch i in `count` pieces or fewer, cut as evenly as they go."""
        k, part = divmod(i, self.tuning.accumulation)
        sides, parts = self.step(k), self.tuning.accumulation * count
        learn, forget = (sum(sum(row.marked) for row in rows) for rows in sides[:2])
        totals, mine = Totals(learn, forget, len(sides[1]), len(sides[2])), self.own(k)
        for piece in range(part * count, (part + 1) * count):
            own = [part_of(rows, piece, parts) for rows in mine]
            if any(own):
                yield (pack if self.packed else collate)(own, self.pad, totals)

    def tokens(self) -> int:
        """How many the first micro-batch has."""
        rows = (part_of(side, 0, self.tuning.accumulation) for side in self.own(0))
        return sum(len(row.ids) for side in rows for row in side)

    def finest(self, count: int) -> bool:
        """Whether so many pieces are the most: each has one row of a side, or none."""
        rows = max(self.good, self.bad, self.again)
        return self.tuning.accumulation * count * self.ranks.world >= rows


def part_of(rows: list[Row], part: int, parts: int) -> list[Row]:
    """Part `part` of the rows, cut into `parts` as evenly as they go."""
    ends = [len(rows) * p // parts for p in (part, part + 1)]
    return rows[ends[0] : ends[1]]

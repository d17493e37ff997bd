"""The GGUF engine: llama.cpp, many sequences in one batch, prompts shared between their samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng

from ltf_lite.engines.base import (
    Completion,
    EngineError,
    Listener,
    Sampling,
    Score,
    check,
    check_numbers,
    counted,
    cut,
    prompt_seeds,
)
from ltf_lite.engines.dialect import Dialect
from ltf_lite.engines.llama.batch import BATCH
from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.grammar import Guide
from ltf_lite.engines.llama.sampling import choose, held, log_p

WORTH = 16  # tokens that prompts have in common and that are worth a forward pass of their own

Pair = tuple[list[int], list[int]]  # a prompt's ids, a continuation's ids


@dataclass(eq=False)
class _Run:
    """A sequence being generated after prompt `k`, of these `ids`, in cache sequence `slot`."""

    k: int
    ids: list[int]
    noise: Generator
    slot: int = -1
    tokens: list[int] = field(default_factory=list)
    text: bytes = b""
    logprob: float = 0.0
    ended: bool = False
    done: bool = False
    guide: Guide | None = None  # while it is active


class LlamaCppEngine:
    """Generates and scores with a GGUF file.

    `context` is tokens a sequence (by default the model's, at most 4096), `sequences` how many
    advance together, `exact` a 32-bit KV cache without flash attention, for comparing with
    transformers. `task` and, where none is given, `dialect` are what the file says of itself.
    Raises EngineError.
    """

    def __init__(
        self,
        path: str | Path,
        context: int | None = None,
        threads: int | None = None,
        exact: bool = False,
        sequences: int = 32,
        dialect: Dialect | None = None,
    ) -> None:
        self._open: LlamaContext | None = LlamaContext(path, context, threads, exact, sequences)
        self.name, self.usage = str(path), counted()
        self.runtime = f"llama.cpp, {self._open.precision()}"
        self.listener: Listener | None = None
        self.context, self.sequences = self._open.context, sequences
        self.task: str | None = self._open.metadata("ltf.task")
        try:
            self.dialect = self._open.dialect(dialect)
        except EngineError:
            self.close()
            raise

    def close(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self._open:
            self._open.close()
        self._open = None

    def clear(self) -> None:
        """Drop what was computed of the last prompts."""
        self._llama.clear()

    @property
    def _llama(self) -> LlamaContext:
        if self._open is None:
            raise EngineError(f"the engine of {self.name!r} is closed")
        return self._open

    @contextmanager
    def _call(self) -> Iterator[LlamaContext]:
        """One call, counted; one that fails leaves nothing in the cache."""
        llama = self._llama
        with self.usage.call(), llama.stoppable(self.listener):
            try:
                yield llama
            except BaseException:
                llama.clear()
                raise

    def encode(self, text: str, begin: bool = True) -> list[int]:
        """Token ids; `begin` puts BOS first where the file asks for it. Raises EngineError."""
        return self._llama.encode(text, begin)

    def asked(self, prompts: Sequence[str]) -> list[list[int]]:
        """The token ids of prompts in the engine's dialect; raises EngineError."""
        return self._llama.asked(prompts, self.dialect)

    def _check(self, length: int, room: int) -> None:
        if length == 0:
            raise EngineError("an empty prompt: the model has no BOS token to begin with")
        if length + room > self.context:
            raise EngineError(
                f"a prompt of {length} tokens and {room} tokens after it do not fit the context of "
                f"{self.context} tokens"
            )

    # -- generation --------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in the prompts' order.

        A sample depends on its prompt's seed and its own place, not on how many run together.
        Raises EngineError, and Stopped.
        """
        return [
            [_completion(run, sampling) for run in row]
            for row in self._generate(prompts, sampling, seeds)
        ]

    def generate_tokens(self, prompts: Sequence[str], sampling: Sampling) -> list[list[list[int]]]:
        """What `generate` generates, as token ids, the end token included."""
        return [[run.tokens for run in row] for row in self._generate(prompts, sampling)]

    def _generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[_Run]]:
        with self._call() as llama:
            ids = llama.asked(prompts, self.dialect)
            for row in ids:
                self._check(len(row), sampling.max_tokens)
            own = prompt_seeds(prompts, sampling, seeds)
            runs = [
                [_Run(k, row, default_rng([own[k], i])) for i in range(sampling.n)]
                for k, row in enumerate(ids)
            ]
            if sampling.max_tokens > 0:
                self._work(llama, [run for row in runs for run in row], sampling)
        self.usage.tokens_in += sum(map(len, ids))
        self.usage.tokens_out += sum(len(run.tokens) for row in runs for run in row)
        return runs

    def _work(self, llama: LlamaContext, runs: list[_Run], sampling: Sampling) -> None:
        """Advance the runs, as many at once as there are slots; a free slot goes to the next one.

        Runs wait prompt by prompt, so a prompt is computed once for all its samples.
        """
        waiting, free, active = deque(runs), list(range(self.sequences)), list[_Run]()
        written = 0
        while waiting or active:
            entries = [(r.tokens[-1], len(r.ids) + len(r.tokens) - 1, r.slot, True) for r in active]
            going = len(active)  # runs before this index have a row of logits each
            rows = list(range(going))
            for run in self._admit(llama, waiting, free, active, sampling.max_tokens):
                if len(active) == going or run.k != active[-1].k:
                    entries += llama.begin(run.slot, run.ids)
                    rows.append(rows[-1] + 1 if rows else 0)
                else:
                    rows.append(rows[-1])
                run.guide = llama.guide(sampling.grammar)
                active.append(run)
            logits = llama.decode(entries)
            _share(llama, active[going:])
            _take(llama, active, logits if len(logits) == len(rows) else logits[rows], sampling)
            written += len(active)
            for run in active:
                if run.done:
                    llama.drop(run.slot)
                    free.append(run.slot)
                    run.guide = None
            active = [run for run in active if not run.done]
            self._tell(written, runs, sampling)

    def _tell(self, tokens: int, runs: list[_Run], sampling: Sampling) -> None:
        """Let the listener hear what the runs have so far; raises Stopped."""
        if self.listener is not None:
            self.listener.heard(tokens, lambda: [_completion(run, sampling).text for run in runs])
            check(self.listener)

    def _admit(
        self,
        llama: LlamaContext,
        waiting: deque[_Run],
        free: list[int],
        active: list[_Run],
        room: int,
    ) -> Iterator[_Run]:
        """The waiting runs that may begin now, one after the other; each is active before the next.

        One whose prompt has much in common with that of a run just admitted waits a round, so that
        the common part is computed once.
        """
        last: _Run | None = None
        while waiting and free and self._fits(active, waiting[0], room):
            run = waiting[0]
            if last and last.k != run.k:
                gain = llama.spared(run.ids, last.ids) - llama.spared_here(run.ids)[0]
                if gain >= WORTH:
                    return
            last = waiting.popleft()
            last.slot = free.pop()
            yield last

    def _fits(self, active: list[_Run], run: _Run, room: int) -> bool:
        """Whether the cache has cells for one more run; samples of a prompt share the prompt's."""
        prompts = {r.k: len(r.ids) for r in active} | {run.k: len(run.ids)}
        need = sum(prompts.values()) + (len(active) + 1) * (room + 1)
        return not active or need + self.context <= self._llama.cells

    # -- scoring -----------------------------------------------------------------------------

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, as it is asked."""
        return [len(ids) for ids in self.asked(texts)]

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Sum of log p of each continuation's tokens given its prompt, nats.

        Raises EngineError, and Stopped.
        """
        with self._call() as llama:
            tails = [llama.encode(continuation, False) for continuation in continuations]
            pairs = list(zip(llama.asked(prompts, self.dialect), tails, strict=True))
            for head, tail in pairs:
                self._check(len(head), len(tail))
            scores = [s for wave in self._waves(pairs) for s in _score(llama, wave)]
        check_numbers(scores, self.name)
        self.usage.tokens_in += sum(len(head) + len(tail) for head, tail in pairs)
        return [Score(value, len(tail)) for value, (_, tail) in zip(scores, pairs, strict=True)]

    def _waves(self, pairs: list[Pair]) -> Iterator[list[Pair]]:
        """The pairs in lots that fit the slots and the cells."""
        wave: list[Pair] = []
        for pair in pairs:
            need = sum(len(head) + len(tail) for head, tail in [*wave, pair]) + self.context
            if wave and (len(wave) == self.sequences or need > self._llama.cells):
                yield wave
                wave = []
            wave.append(pair)
        if wave:
            yield wave


def _share(llama: LlamaContext, fresh: list[_Run]) -> None:
    """Have the runs that just began share the prompt of the first with it, and hold the last."""
    leader: _Run | None = None
    for run in fresh:
        if leader and leader.k == run.k:
            llama.share(leader.slot, run.slot, len(run.ids))
        else:
            leader = run
    if leader:
        llama.hold(leader.slot, leader.ids)


def _take(llama: LlamaContext, runs: list[_Run], logits: np.ndarray, sampling: Sampling) -> None:
    """Choose each run's next token from logits (runs, vocabulary); see whether it ends there."""
    guides = [run.guide for run in runs if run.guide]
    noise = [run.noise for run in runs]
    chosen = held(logits, sampling, noise, guides) if guides else choose(logits, sampling, noise)
    tokens, gained = chosen
    for run, token, logprob in zip(runs, tokens.tolist(), gained.tolist(), strict=True):
        run.tokens.append(token)
        run.logprob += logprob
        piece = llama.piece(token)
        run.ended = piece is None
        run.text += piece or b""
        run.done = run.ended or len(run.tokens) >= sampling.max_tokens
        if sampling.stop and not run.done:
            run.done = bool(cut(run.text.decode("utf-8", "replace"), sampling.stop)[1])
        if run.guide and not run.done:
            run.guide.accept(token)


def _completion(run: _Run, sampling: Sampling) -> Completion:
    text, beyond = cut(run.text.decode("utf-8", "replace"), sampling.stop)
    return Completion(text, len(run.tokens), run.logprob, run.ended or bool(beyond), beyond)


def _score(llama: LlamaContext, wave: list[Pair]) -> list[float]:
    """The score of each pair, no more pairs than sequences."""
    scores, entries, wanted = [0.0] * len(wave), [], []
    for slot, (head, tail) in enumerate(wave):
        if tail:
            logits = llama.decode(llama.begin(slot, head))
            llama.hold(slot, head)
            scores[slot] = float(log_p(logits, tail[:1])[0])
            entries += [(t, len(head) + i, slot, True) for i, t in enumerate(tail[:-1])]
            wanted += [(slot, token) for token in tail[1:]]
    for at in range(0, len(entries), BATCH):
        part = wanted[at : at + BATCH]
        logits = llama.decode(entries[at : at + BATCH])
        for (slot, _), gained in zip(part, log_p(logits, [t for _, t in part]), strict=True):
            scores[slot] += float(gained)
    for slot in range(len(wave)):
        llama.drop(slot)
    return scores

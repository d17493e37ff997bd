"""The GGUF engine: llama.cpp, many sequences in one batch, prompts shared between their samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltf_lite.engines.base import Completion, EngineError, Sampling, Usage, cut
from ltf_lite.engines.llama_context import BATCH, LlamaContext

Pair = tuple[list[int], list[int]]  # a prompt's ids, a continuation's ids


@dataclass(eq=False)
class _Run:
    """A sequence being generated: prompt `k`, in cache sequence `slot`, `length` tokens cached."""

    k: int
    length: int
    noise: np.random.Generator
    slot: int = -1
    tokens: list[int] = field(default_factory=list)
    text: bytes = b""
    logprob: float = 0.0
    ended: bool = False
    done: bool = False


class LlamaCppEngine:
    """Generates and scores with a GGUF file.

    `context` is tokens a sequence (by default the model's, at most 4096), `sequences` how many
    advance together, `exact` a 32-bit KV cache without flash attention, for comparing with
    transformers. `style` and `task` are what the file says of itself. Raises EngineError.
    """

    def __init__(
        self, path: str | Path, context: int | None = None, threads: int | None = None,
        exact: bool = False, sequences: int = 32,
    ) -> None:  # fmt: skip
        self._open: LlamaContext | None = None
        self._open = LlamaContext(path, context, threads, exact, sequences)
        self.name, self.usage = str(path), Usage()
        self.context, self.sequences = self._open.context, sequences
        self.style: str = self._open.metadata("ltf.style") or "few_shot"
        self.task: str | None = self._open.metadata("ltf.task")

    def close(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self._open:
            self._open.close()
        self._open = None

    @property
    def _llama(self) -> LlamaContext:
        if self._open is None:
            raise EngineError(f"the engine of {self.name!r} is closed")
        return self._open

    @contextmanager
    def _call(self) -> Iterator[LlamaContext]:
        """One call, counted; one that fails leaves nothing in the cache."""
        llama = self._llama
        with self.usage.call():
            try:
                yield llama
            except BaseException:
                llama.clear()
                raise

    def encode(self, text: str, begin: bool = True) -> list[int]:
        """Token ids; `begin` puts BOS first where the file asks for it. Raises EngineError."""
        return self._llama.encode(text, begin)

    def _check(self, length: int, room: int) -> None:
        if length == 0:
            raise EngineError("an empty prompt: the model has no BOS token to begin with")
        if length + room > self.context:
            raise EngineError(
                f"a prompt of {length} tokens and {room} tokens after it do not fit the context of "
                f"{self.context} tokens"
            )

    # -- generation --------------------------------------------------------------------------

    def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in the prompts' order.

        A sample depends on the seed and its place (prompt, sample), not on how many run together.
        Raises EngineError.
        """
        return [
            [_completion(run, sampling) for run in row] for row in self._generate(prompts, sampling)
        ]

    def generate_tokens(self, prompts: Sequence[str], sampling: Sampling) -> list[list[list[int]]]:
        """What `generate` generates, as token ids, the end token included."""
        return [[run.tokens for run in row] for row in self._generate(prompts, sampling)]

    def _generate(self, prompts: Sequence[str], sampling: Sampling) -> list[list[_Run]]:
        with self._call() as llama:
            ids = [llama.encode(prompt, begin=True) for prompt in prompts]
            for row in ids:
                self._check(len(row), sampling.max_tokens)
            runs = [
                [_Run(k, len(row), np.random.default_rng([sampling.seed, k, i]))
                 for i in range(sampling.n)]
                for k, row in enumerate(ids)
            ]  # fmt: skip
            if sampling.max_tokens > 0:
                self._work(llama, ids, deque(run for row in runs for run in row), sampling)
        self.usage.tokens_in += sum(map(len, ids))
        self.usage.tokens_out += sum(len(run.tokens) for row in runs for run in row)
        return runs

    def _work(
        self, llama: LlamaContext, ids: list[list[int]], waiting: deque[_Run], sampling: Sampling
    ) -> None:
        """Advance the runs, as many at once as there are slots; a free slot goes to the next one.

        Runs wait prompt by prompt, so the prompt in hand serves all its samples before it goes.
        """
        free, active = list(range(self.sequences)), list[_Run]()
        held, logits = -1, np.empty(0)
        while waiting or active:
            while waiting and free and self._fits(ids, active, waiting[0], sampling.max_tokens):
                run = waiting.popleft()
                if run.k != held:
                    held, logits = run.k, llama.hold(ids[run.k])
                run.slot = free.pop()
                llama.share(run.slot)
                _take(llama, run, logits, sampling)
                active.append(run)
            for run in active:
                if run.done:
                    llama.drop(run.slot)
                    free.append(run.slot)
            active = [run for run in active if not run.done]
            if active:
                rows = llama.decode([(r.tokens[-1], r.length, r.slot, True) for r in active])
                for run, row in zip(active, rows, strict=True):
                    run.length += 1
                    _take(llama, run, row, sampling)

    def _fits(self, ids: list[list[int]], active: list[_Run], run: _Run, room: int) -> bool:
        """Whether the cache has cells for one more run; samples of a prompt share the prompt's."""
        prompts = {r.k for r in active} | {run.k}
        need = sum(len(ids[k]) for k in prompts) + (len(active) + 1) * room
        return not active or need + self.context <= self._llama.cells

    # -- scoring -----------------------------------------------------------------------------

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Sum of log p of each continuation's tokens given its prompt, nats; raises EngineError."""
        with self._call() as llama:
            pairs = [
                (llama.encode(prompt, begin=True), llama.encode(continuation, begin=False))
                for prompt, continuation in zip(prompts, continuations, strict=True)
            ]
            for head, tail in pairs:
                self._check(len(head), len(tail))
            scores = [s for wave in self._waves(pairs) for s in _score(llama, wave)]
        self.usage.tokens_in += sum(len(head) + len(tail) for head, tail in pairs)
        return scores

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


def _take(llama: LlamaContext, run: _Run, logits: np.ndarray, sampling: Sampling) -> None:
    """Choose the run's next token from logits (vocabulary,), and see whether it ends there."""
    logp = log_softmax(logits)
    token = choose(logp, sampling, run.noise)
    run.tokens.append(token)
    run.logprob += float(logp[token])
    run.ended = llama.ends(token)
    if not run.ended:
        run.text += llama.piece(token)
    run.done = run.ended or len(run.tokens) >= sampling.max_tokens
    if sampling.stop and not run.done:
        run.done = bool(cut(run.text.decode("utf-8", "replace"), sampling.stop)[1])


def _completion(run: _Run, sampling: Sampling) -> Completion:
    text, beyond = cut(run.text.decode("utf-8", "replace"), sampling.stop)
    return Completion(text, len(run.tokens), run.logprob, run.ended or bool(beyond), beyond)


def _score(llama: LlamaContext, wave: list[Pair]) -> list[float]:
    """The score of each pair, no more pairs than sequences."""
    scores = [0.0] * len(wave)
    entries, wanted = [], []
    for slot, (head, tail) in enumerate(wave):
        if tail:
            scores[slot] = float(log_softmax(llama.hold(head))[tail[0]])
            llama.share(slot)
            entries += [(t, len(head) + i, slot, True) for i, t in enumerate(tail[:-1])]
            wanted += [(slot, token) for token in tail[1:]]
    for at in range(0, len(entries), BATCH):
        rows = llama.decode(entries[at : at + BATCH])
        for row, (slot, token) in zip(rows, wanted[at : at + BATCH], strict=True):
            scores[slot] += float(log_softmax(row)[token])
    for slot in range(len(wave)):
        llama.drop(slot)
    return scores


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log p of logits (vocabulary,), nats, float64."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def choose(logp: np.ndarray, sampling: Sampling, noise: np.random.Generator) -> int:
    """The likeliest token of log p (vocabulary,), or one drawn from the nucleus."""
    if sampling.temperature == 0:
        return int(logp.argmax())
    weights = np.exp((logp - logp.max()) / sampling.temperature)
    if sampling.top_p >= 1:
        return _draw(weights, noise)
    order = np.argsort(-weights, kind="stable")
    ranked = weights[order] / weights.sum()
    ranked[np.cumsum(ranked) - ranked > sampling.top_p] = 0
    return int(order[_draw(ranked, noise)])


def _draw(weights: np.ndarray, noise: np.random.Generator) -> int:
    """An index with probability proportional to its weight."""
    total = np.cumsum(weights)
    at = np.searchsorted(total, noise.random() * total[-1], side="right")
    return min(int(at), int(np.flatnonzero(weights)[-1]))

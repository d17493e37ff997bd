"""The in-process engine: a transformers model, batched, with a KV cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from ltf_lite.engines.base import (
    Completion,
    EngineError,
    Listener,
    Sampling,
    Score,
    check,
    check_numbers,
    check_room,
    counted,
    prompt_seeds,
)
from ltf_lite.engines.dialect import Dialect, asked_in
from ltf_lite.engines.torch.apart import Apart, whole_score
from ltf_lite.engines.torch.grammar import Grammars, masked
from ltf_lite.engines.torch.header import (
    Headers,
    KeysAndValues,
    can_share,
    grouped,
)
from ltf_lite.engines.torch.loading import load
from ltf_lite.engines.torch.precision import precision_of
from ltf_lite.engines.torch.probe import Ways, ways
from ltf_lite.engines.torch.rows import Rows, distinct, pack
from ltf_lite.engines.torch.sampling import Ending, Sample, choose, log_p, uniforms
from ltf_lite.engines.torch.unsloth import TupleRows, is_patched

BATCH = 512  # sequences a forward pass; halved, and remembered, when the device is out of memory
STAY = 0.75  # of a batch still going: below it, what is done leaves
LOGITS = 2**28  # values that scoring asks of a forward pass; a large vocabulary makes rows fewer

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class TorchEngine:
    """Generates and scores with a transformers causal language model.

    The model's weights must not change while the engine is in use: it remembers what it computed
    of the last prompts.
    """

    def __init__(self, model, tokenizer, dialect: Dialect, name: str = "torch") -> None:
        self.model, self.tokenizer = model, tokenizer
        self.dialect, self.name = dialect.of(tokenizer, name), name
        self.runtime = f"transformers, {precision_of(model)}"
        self.usage = counted()
        self.listener: Listener | None = None
        self.batch = BATCH
        self._config = model.config.get_text_config()
        self.context: int | None = getattr(self._config, "max_position_embeddings", None)
        ends = model.generation_config.eos_token_id
        ends = tokenizer.eos_token_id if ends is None else ends
        ends = [] if ends is None else [ends] if isinstance(ends, int) else ends
        if self.dialect.frame and (end := self.dialect.end(tokenizer)) is not None:
            ends = [*ends, end]
        self._ending = Ending(tokenizer, ends)
        self._grammars = Grammars(tokenizer, self._config.vocab_size, ends)
        pads = [p for p in (tokenizer.pad_token_id, tokenizer.eos_token_id) if p is not None]
        self._pad: int = (pads or [0])[0]
        self._headers = Headers()
        self._ordinary, self._patched = can_share(model), is_patched(model)
        known = self._ordinary or self._patched
        self._ways = Ways(True, True) if known else ways(model, name)

    @classmethod
    def open(
        cls,
        model: str | Path,
        name: str | None = None,
        load_in_4bit: bool = False,
        adapter: str | Path | None = None,
        dialect: Dialect | None = None,
    ) -> TorchEngine:
        """The engine of a model folder or hub name, in NF4 and with a LoRA adapter if told so.

        It asks in the model's own dialect unless it is told another. Raises EngineError.
        """
        loaded = load(model, load_in_4bit, adapter)
        return cls(*loaded, asked_in(model, dialect), name or str(model))

    def clear(self) -> None:
        """Drop what was computed of the last prompts."""
        self._headers = Headers()

    def close(self) -> None:
        self.model, self._headers = None, Headers()

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in the prompts' order; raises Stopped."""
        results: list[list[Completion]] = [[] for _ in prompts]
        with self._call():
            ids = self._encode(prompts)
            check_room(ids, self.context, "a prompt", sampling.max_tokens)
            wanted = prompt_seeds(prompts, sampling, seeds)
            # long prompts first, so that a small device shows it early; equal ones side by side
            parts = [
                (head, [k for k in places for _ in range(sampling.n)])
                for head, places in self._groups(ids, lambda k: (-len(ids[k]), ids[k]))
            ]
            order = [k for _, places in parts for k in places]
            jobs = [
                Sample(ids[k][len(head) :], wanted[k], at % sampling.n, [])
                for head, places in parts
                for at, k in enumerate(places)
            ]
            left, written = iter(jobs), 0

            def tell(more: int) -> None:
                nonlocal written
                written += more  # to count all samples at every step takes long
                self._tell(written, order, jobs, sampling)

            for head, places in parts:
                own, header = list(islice(left, len(places))), self._computed(head)
                work = partial(self._generate, header=header, sampling=sampling, tell=tell)
                done = self._in_batches(own, work)
                for k, completion in zip(places, done, strict=True):
                    results[k].append(completion)
        self.usage.tokens_in += sum(map(len, ids))
        self.usage.tokens_out += sum(c.tokens for row in results for c in row)
        return results

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, as it is asked."""
        return [len(ids) for ids in self.dialect.encode(self.tokenizer, texts)]

    @torch.inference_mode()
    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Log p of each continuation's tokens given its prompt; raises Stopped."""
        with self._call():
            heads = self._encode(prompts)
            tails = (
                self.tokenizer(list(continuations), add_special_tokens=False)["input_ids"]
                if continuations
                else []
            )
            whole = [h + t for h, t in zip(heads, tails, strict=True)]
            check_room(whole, self.context, "a prompt and continuation")
            values = max(map(len, tails), default=0) * self._config.vocab_size
            limit, scores = max(LOGITS // max(values, 1), 1), dict[int, float]()
            parts = self._groups(heads, lambda k: (-len(tails[k]), -len(heads[k]), heads[k]))
            for head, places in parts:
                jobs = [(heads[k][len(head) :], tails[k]) for k in places]
                header = self._computed(head)
                done = self._in_batches(jobs, partial(self._score, header=header), limit)
                scores |= zip(places, done, strict=True)
        self.usage.tokens_in += sum(map(len, heads)) + sum(map(len, tails))
        return [Score(scores[k], len(tail)) for k, tail in enumerate(tails)]

    # -- what both need ----------------------------------------------------------------------

    @contextmanager
    def _call(self) -> Iterator[None]:
        """One call, counted; its listener is asked before every layer, for a pass may take long."""
        hooks = []
        if self.listener is not None:
            layers = (m for m in self.model.modules() if isinstance(m, GradientCheckpointingLayer))
            hooks = [m.register_forward_pre_hook(lambda *_: check(self.listener)) for m in layers]
        try:
            with self.usage.call():
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _encode(self, prompts: Sequence[str]) -> list[list[int]]:
        ids = self.dialect.encode(self.tokenizer, prompts)
        if not all(ids):
            raise EngineError(
                f"prompt {ids.index([]) + 1} has no tokens, and the model has no start token: "
                "there is nothing to continue"
            )
        return ids

    def _groups(
        self, ids: list[list[int]], order: Callable[[int], Any]
    ) -> list[tuple[list[int], list[int]]]:
        """(a header's tokens, the prompts that begin with it, in that order) of each group."""
        found = grouped(ids) if self._ordinary else [([*range(len(ids))], 0)]
        return [
            (ids[places[0]][:length], sorted(places, key=order)) for places, length in found if ids
        ]

    def _computed(self, head: list[int]) -> KeysAndValues | None:
        return self._headers.compute(self.model, head) if head else None

    def _in_batches(
        self, jobs: Sequence[Job], work: Callable[[Sequence[Job]], list[Answer]], limit: int = BATCH
    ) -> list[Answer]:
        """The jobs' answers; a batch that the device has no memory for is halved."""
        answers: list[Answer] = []
        while len(answers) < len(jobs):
            part = jobs[len(answers) :][: min(self.batch, limit)]
            try:
                answers += work(part)
            except torch.cuda.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.batch = len(part) // 2
        return answers

    def _prefill(self, prompts, header: KeysAndValues | None) -> tuple[Rows | Apart, torch.Tensor]:
        """The rows of these prompts, equal ones computed once, and the logits that follow each."""
        if not self._ways.padded:
            apart = Apart(self.model, prompts)
            return apart, apart.logits()
        different, which = distinct(prompts)
        rows = TupleRows(self.model) if self._patched else Rows(self.model, header, self._ordinary)
        logits = rows.feed(*pack(different, self._pad, self.model.device), 1)[:, -1]
        rows.select(which)
        return rows, logits[which].float()

    def _tell(self, tokens: int, order: list[int], jobs: list[Sample], sampling: Sampling) -> None:
        """Let the listener hear what the samples of prompts `order` have so far; raises Stopped."""

        def texts() -> list[str]:
            rows: dict[int, list[str]] = {k: [] for k in sorted(order)}
            for k, job in zip(order, jobs, strict=True):
                rows[k].append(self._ending.completion(job.tokens, 0.0, sampling.stop).text)
            return [text for row in rows.values() for text in row]

        if self.listener is not None:
            self.listener.heard(tokens, texts)
            check(self.listener)

    # -- one batch ---------------------------------------------------------------------------

    def _generate(
        self,
        jobs: Sequence[Sample],
        header: KeysAndValues | None,
        sampling: Sampling,
        tell: Callable[[int], None],
    ) -> list[Completion]:
        """Complete the samples; those that are done leave the batch by and by."""
        tokens = [job.tokens for job in jobs]
        for row in tokens:
            row.clear()  # of a batch that the device had no memory for
        logprob = [0.0] * len(jobs)
        alive = list(range(len(jobs)))  # in the batch; `going` are those of them not done
        going = set(alive if sampling.max_tokens > 0 else ())
        guides = dict(enumerate(self._grammars.guides(sampling.grammar, len(jobs))))
        noise = uniforms(jobs, sampling, self.model.device)
        if going:
            rows, logits = self._prefill([job.prompt for job in jobs], header)
        for step in range(sampling.max_tokens):
            free = masked(logits, [guides.get(k) for k in alive]) if guides else logits
            chosen = choose(free, sampling, None if noise is None else noise[:, step])
            gained = log_p(logits, chosen).tolist()
            check_numbers(gained, self.name)
            more = len(going)
            for k, token, gain in zip(alive, chosen.tolist(), gained, strict=True):
                if k in going:
                    tokens[k].append(token)
                    logprob[k] += gain
                    if self._ending.reached(tokens[k], sampling.stop):
                        going.remove(k)
                        guides.pop(k, None)
                    elif guides:
                        guides[k].accept(token)
            tell(more)
            if not going or step + 1 == sampling.max_tokens:
                break
            if len(going) <= len(alive) * STAY:
                keep = [place for place, k in enumerate(alive) if k in going]
                rows.select(keep)
                alive, chosen = [alive[place] for place in keep], chosen[keep]
                noise = None if noise is None else noise[keep]
            logits = rows.extend(chosen)
        return [
            self._ending.completion(*row, sampling.stop)
            for row in zip(tokens, logprob, strict=True)
        ]

    def _score(self, jobs, header: KeysAndValues | None) -> list[float]:
        """Log p of (prompt, continuation) jobs.

        The prompts' last logits give the first tokens, a second pass all others.
        """
        if not self._ways.tails:
            sums = [whole_score(self.model, *job) for job in jobs]
            check_numbers(sums, self.name)
            return sums
        tails = [tail for _, tail in jobs]
        rows, logits = self._prefill([prompt for prompt, _ in jobs], header)
        device = logits.device
        first = torch.tensor([t[0] if t else self._pad for t in tails], device=device)
        sums = [p if t else 0.0 for t, p in zip(tails, log_p(logits, first).tolist(), strict=True)]
        assert isinstance(rows, Rows)
        width = max(map(len, tails)) - 1
        if width < 1:
            check_numbers(sums, self.name)
            return sums
        logits = rows.feed(*pack([t[:-1] for t in tails], self._pad, device, left=False), width)
        for k, tail in enumerate(tails):
            if len(tail) > 1:  # a row at a time, so that no float copy is made of them all
                after = torch.tensor(tail[1:], device=device)
                sums[k] += float(log_p(logits[k, : len(after)].float(), after).sum())
        check_numbers(sums, self.name)
        return sums

"""The in-process engine: a transformers model, batched, with a KV cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from ltf_lite.engines.base import Completion, EngineError, Sampling, Usage, cut

BATCH = 512  # sequences a forward pass; halved, and remembered, when the device is out of memory


def read_style(model_dir: Path) -> str:
    """The text style a model directory says it speaks; `few_shot` where it says nothing."""
    file = model_dir / "ltf.json"
    return json.loads(file.read_text())["style"] if file.is_file() else "few_shot"


def load(model: str | Path) -> tuple[Any, Any]:
    """Model and tokenizer of a directory or hub name, on the best device; raises EngineError."""
    cuda = torch.cuda.is_available()
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.bfloat16 if cuda else torch.float32
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(
            f"cannot load the model {str(model)!r}: {reason} (give a model directory, a GGUF file, "
            "or a hub name on a machine that is online)"
        ) from error
    return loaded.to("cuda" if cuda else "cpu").eval(), tokenizer


class TorchEngine:
    """Generates and scores with a transformers causal language model."""

    def __init__(self, model, tokenizer, style: str, name: str = "torch") -> None:
        self.model, self.tokenizer = model, tokenizer
        self.style, self.name = style, name
        self.usage = Usage()
        self.batch = BATCH
        self.context: int = model.config.max_position_embeddings
        self._pad = tokenizer.pad_token_id
        if self._pad is None:
            self._pad = tokenizer.eos_token_id
        ends = model.generation_config.eos_token_id
        ends = tokenizer.eos_token_id if ends is None else ends
        self._ends = torch.tensor([ends] if isinstance(ends, int) else ends, device=model.device)

    @classmethod
    def open(cls, model: str | Path, name: str | None = None) -> TorchEngine:
        """The engine of a model directory or hub name; raises EngineError."""
        return cls(*load(model), read_style(Path(model)), name or str(model))

    def close(self) -> None:
        self.model = None

    # -- generation --------------------------------------------------------------------------

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in the prompts' order."""
        results: list[list[Completion]] = [[] for _ in prompts]
        with self.usage.call():
            ids = self._encode(prompts, sampling.max_tokens)
            jobs = [k for k in range(len(ids)) for _ in range(sampling.n)]
            jobs.sort(key=lambda k: -len(ids[k]))
            noise = torch.Generator(self.model.device).manual_seed(sampling.seed)
            at = 0
            while at < len(jobs):
                part = jobs[at : at + self.batch]
                try:
                    done = self._run([ids[k] for k in part], sampling, noise)
                except torch.cuda.OutOfMemoryError:
                    if self.batch == 1:
                        raise
                    self.batch //= 2
                    continue
                for k, completion in zip(part, done, strict=True):
                    results[k].append(completion)
                at += len(part)
        self.usage.tokens_in += sum(map(len, ids))
        self.usage.tokens_out += sum(c.tokens for row in results for c in row)
        return results

    def _encode(self, prompts: Sequence[str], room: int) -> list[list[int]]:
        ids = self.tokenizer(list(prompts))["input_ids"] if prompts else []
        longest = max(map(len, ids), default=0)
        if longest + room > self.context:
            raise EngineError(
                f"a prompt of {longest} tokens and {room} tokens to generate do not fit the "
                f"model's context of {self.context} tokens"
            )
        return ids

    def _pack(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded ids and attention mask, both (rows, longest)."""
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for k, row in enumerate(rows):
            ids[k, width - len(row) :] = torch.tensor(row)
            mask[k, width - len(row) :] = 1
        return ids.to(self.model.device), mask.to(self.model.device)

    def _run(self, rows, sampling: Sampling, noise: torch.Generator) -> list[Completion]:
        """Decode a batch; sequences that are done leave it when half of it is done."""
        ids, mask = self._pack(rows)
        alive = torch.arange(len(rows), device=ids.device)
        tokens: list[list[int]] = [[] for _ in rows]
        logprob = torch.zeros(len(rows), dtype=torch.float64, device=ids.device)
        done = torch.zeros(len(rows), dtype=torch.bool, device=ids.device)
        cache: Any = DynamicCache(config=self.model.config)
        step, positions = ids, (mask.cumsum(1) - 1).clamp(min=0)
        for _ in range(sampling.max_tokens):
            logits = self.model(
                step, attention_mask=mask, position_ids=positions, past_key_values=cache,
                use_cache=True, logits_to_keep=1,
            ).logits[:, -1].float()  # fmt: skip
            chosen = self._choose(logits, sampling, noise)
            gained = logits.log_softmax(1).gather(1, chosen[:, None])[:, 0].double()
            going = ~done[alive]
            logprob[alive] += torch.where(going, gained, 0.0)
            for k, token, counts in zip(
                alive.tolist(), chosen.tolist(), going.tolist(), strict=True
            ):
                if counts:
                    tokens[k].append(token)
            done[alive] |= torch.isin(chosen, self._ends)
            if sampling.stop:
                self._mark_stopped(tokens, alive, done, sampling.stop)
            going = ~done[alive]
            left = int(going.sum())
            if left == 0:
                break
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
            positions = positions[:, -1:] + 1
            step = chosen[:, None]
            if left * 2 <= len(alive):
                keep = going.nonzero()[:, 0]
                cache.batch_select_indices(keep)
                alive, mask, positions, step = (t[keep] for t in (alive, mask, positions, step))
        return [self._completion(tokens[k], logprob[k].item(), sampling) for k in range(len(rows))]

    def _choose(self, logits: torch.Tensor, sampling: Sampling, noise: torch.Generator):
        """The next token of each row: the likeliest, or drawn from the nucleus."""
        if sampling.temperature == 0:
            return logits.argmax(1)
        probs = (logits / sampling.temperature).softmax(1)
        if sampling.top_p < 1:
            ranked, order = probs.sort(1, descending=True)
            ranked[ranked.cumsum(1) - ranked > sampling.top_p] = 0
            probs = torch.zeros_like(probs).scatter(1, order, ranked)
        return torch.multinomial(probs, 1, generator=noise)[:, 0]

    def _mark_stopped(self, tokens, alive, done, stop: Sequence[str]) -> None:
        for k in alive.tolist():
            if not done[k] and cut(self.tokenizer.decode(tokens[k]), stop)[1]:
                done[k] = True

    def _completion(self, tokens: list[int], logprob: float, sampling: Sampling) -> Completion:
        ended = bool(tokens) and tokens[-1] in self._ends.tolist()
        whole = self.tokenizer.decode(tokens[:-1] if ended else tokens)
        text, beyond = cut(whole, sampling.stop)
        return Completion(text, len(tokens), logprob, ended or bool(beyond), beyond)

    # -- scoring -----------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Sum of log p of each continuation's tokens given its prompt, nats."""
        with self.usage.call():
            heads = self._encode(prompts, 0)
            tails = (
                self.tokenizer(list(continuations), add_special_tokens=False)["input_ids"]
                if continuations
                else []
            )
            order = sorted(range(len(heads)), key=lambda k: len(heads[k]) + len(tails[k]))
            scores = [0.0] * len(heads)
            for at in range(0, len(order), self.batch):
                part = order[at : at + self.batch]
                values = self._score([heads[k] for k in part], [tails[k] for k in part])
                for k, value in zip(part, values, strict=True):
                    scores[k] = value
        self.usage.tokens_in += sum(map(len, heads)) + sum(map(len, tails))
        return scores

    def _score(self, heads, tails) -> list[float]:
        rows = [h + t for h, t in zip(heads, tails, strict=True)]
        longest = max(map(len, rows))
        if longest > self.context:
            raise EngineError(
                f"a prompt and continuation of {longest} tokens do not fit the model's context "
                f"of {self.context} tokens"
            )
        ids, mask = self._pack(rows)
        logits = self.model(
            ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0)
        ).logits
        logp = logits[:, :-1].float().log_softmax(2).gather(2, ids[:, 1:, None])[..., 0].double()
        return [float(logp[k, logp.shape[1] - len(t) :].sum()) for k, t in enumerate(tails)]

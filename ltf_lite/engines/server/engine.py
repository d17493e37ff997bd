"""The server engine: any OpenAI-compatible completions endpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ltf_lite.engines.base import (
    Completion,
    EngineError,
    Listener,
    Sampling,
    Score,
    check,
    counted,
    prompt_seeds,
)
from ltf_lite.engines.dialect import Dialect
from ltf_lite.engines.server.client import Client, endpoint, gather

TIMEOUT = 600.0  # seconds; servers that answer one request at a time let the others wait
AGREE = 0.2  # nats by which a token's log p may differ between two requests

Pair = tuple[str, str]  # a prompt, a continuation


class ServerEngine:
    """Generates and scores with vLLM, llama-server, SGLang, llama-cpp-python's server and the like.

    One request a sample, `concurrency` at once, so nothing depends on the server's `n`. `model` may
    be left out where the server has one only. A server does not say what its model speaks: without
    a `dialect` it is asked few-shot. The API key comes from the environment: LTF_API_KEY, else
    OPENAI_API_KEY. Raises EngineError.

    What servers do differently: stop strings are cut off by the server, so `beyond` is always
    empty; `logprob` is None where the server gives none; `tokens` is what the server counts
    (llama-cpp-python's leaves the end token out, of `logprob` too). That the same seed gives the
    same sample is up to the server.

    A listener hears a completion once it is whole, never a part of it. Once it is stopped, the
    requests under way are broken off; what the server does with them is up to it, and what it
    remembers of earlier prompts is not cleared.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        dialect: Dialect | None = None,
        concurrency: int = 32,
        timeout: float = TIMEOUT,
    ) -> None:
        if concurrency < 1:
            raise EngineError(f"concurrency must be at least 1, not {concurrency}")
        self.url = endpoint(url)
        self.dialect, self.concurrency = dialect or Dialect(), concurrency
        self.usage = counted()
        self.listener: Listener | None = None
        self._client: Client | None = Client(self.url, timeout)
        try:
            self.model = model or self._only_model()
        except BaseException:
            self.close()
            raise
        self.name = f"{self.url}#{self.model}"
        self.runtime = f"server {self.url}"
        self._echoes = False  # whether the server was seen to score

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        if self._client:
            self._client.close()
        self._client = None

    def clear(self) -> None:
        """Nothing is kept here of the last prompts."""

    @property
    def _server(self) -> Client:
        if self._client is None:
            raise EngineError(f"the engine of {self.name!r} is closed")
        return self._client

    def _only_model(self) -> str:
        names = self._server.run(self._server.models())
        if len(names) == 1:
            return names[0]
        if not names:
            raise EngineError(f"the server at {self.url} names no model (name it: {self.url}#NAME)")
        some = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
        raise EngineError(
            f"the server at {self.url} has {len(names)} models, {some} (name one: "
            f"{self.url}#{names[0]})"
        )

    # -- generation --------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in the prompts' order.

        Raises EngineError, and Stopped.
        """
        server = self._server
        own = prompt_seeds(prompts, sampling, seeds)
        asked = [
            (prompt, request_seed(seed, i))
            for prompt, seed in zip(prompts, own, strict=True)
            for i in range(sampling.n)
        ]
        jobs = [(k, *job) for k, job in enumerate(asked)]
        heard: list[Completion | None] = [None] * len(jobs)

        async def ask(job: tuple[int, str, int]) -> tuple[int, Completion]:
            place, prompt, seed = job
            answer = await server.complete(
                self.model,
                prompt,
                max_tokens=sampling.max_tokens,
                seed=seed,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                stop=list(sampling.stop) or None,
            )
            completion = heard[place] = _completion(answer)
            return _used(answer, "prompt_tokens") or 0, completion

        def tell() -> None:
            if self.listener is not None:
                tokens = sum(each.tokens for each in heard if each)
                self.listener.heard(tokens, lambda: [each.text if each else "" for each in heard])
                check(self.listener)

        with self.usage.call():
            if sampling.max_tokens <= 0:
                return [[Completion("", 0, 0.0, False)] * sampling.n for _ in prompts]
            done = server.run(gather(ask, jobs, self.concurrency), tell if self.listener else None)
            tell()
        self.usage.tokens_in += sum(tokens for tokens, _ in done[:: sampling.n])
        self.usage.tokens_out += sum(completion.tokens for _, completion in done)
        return [
            [completion for _, completion in done[k * sampling.n : (k + 1) * sampling.n]]
            for k in range(len(prompts))
        ]

    # -- scoring -----------------------------------------------------------------------------

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Sum of log p of each continuation's tokens given its prompt, nats.

        The server reads prompt and continuation as one text and echoes it with the log p of its
        tokens. A token that holds the prompt's end and the continuation's beginning counts as the
        continuation's. Raises EngineError, and Stopped.
        """
        server = self._server
        pairs = list(zip(prompts, continuations, strict=True))

        async def ask(pair: Pair) -> tuple[int, Score]:
            if not pair[1]:
                return 0, Score(0.0, 0)
            answer = await self._echo(server, pair[0] + pair[1])
            return _used(answer, "prompt_tokens") or 0, self._score(answer, *pair)

        with self.usage.call():
            look = (lambda: check(self.listener)) if self.listener else None
            some = next((prompt or tail for prompt, tail in pairs if tail), None)
            if some and not self._echoes:
                server.run(self._check_echo(server, some), look)
            done = server.run(gather(ask, pairs, self.concurrency), look)
        self.usage.tokens_in += sum(tokens for tokens, _ in done)
        return [score for _, score in done]

    async def _echo(self, server: Client, text: str) -> Any:
        # some servers take 0 tokens to mean "no limit"
        answer = await server.complete(self.model, text, max_tokens=1, temperature=0.0, echo=True)
        choice = answer.choices[0]
        tokens = choice.logprobs and choice.logprobs.tokens
        if not choice.text.startswith(text) or len(tokens or []) != len(_logprobs(choice) or [0]):
            raise self._cannot("it does not echo the prompt with log-probabilities")
        return answer

    async def _check_echo(self, server: Client, prompt: str) -> None:
        """Refuse a server whose echoed log p belong to other tokens than they stand beside.

        llama-cpp-python's server does so with models that have no BOS token, and leaves the last
        token out. What comes next has to have the same log p with the echo as without.
        """
        plain = await server.complete(self.model, prompt, max_tokens=1, temperature=0.0)
        alone = _logprobs(plain.choices[0]) or []
        choice = (await self._echo(server, prompt)).choices[0]
        begins, logprobs = _begins(choice, prompt), _logprobs(choice) or []
        echoed = [p for at, p in zip(begins, logprobs, strict=True) if at >= len(prompt)]
        if alone:
            if not echoed or not abs(alone[0] - echoed[0]) < AGREE:
                raise self._cannot("the log-probabilities it echoes are not those of the tokens")
            self._echoes = True

    def _score(self, answer: Any, prompt: str, continuation: str) -> Score:
        choice, whole = answer.choices[0], prompt + continuation
        begins, logprobs = _begins(choice, whole), _logprobs(choice) or []
        ends = [*begins[1:], math.inf]
        own = [
            i
            for i, (begin, end) in enumerate(zip(begins, ends, strict=True))
            if (begin >= len(prompt) or end > len(prompt)) and begin < len(whole)
        ]
        text = "".join(choice.logprobs.tokens[i] for i in own)
        total = sum(logprobs[i] for i in own)
        # parts of a character that is several tokens have no text of their own to compare
        if math.isnan(total) or (whole.isascii() and not text.endswith(continuation)):
            raise self._cannot("its log-probabilities do not cover the text")
        return Score(total, len(own))

    def _cannot(self, why: str) -> EngineError:
        return EngineError(
            f"the server at {self.url} cannot score: {why} (vLLM can; `tot` with `value: prompt` "
            "or `value: rollout` needs no scoring)"
        )


def request_seed(seed: int, sample: int) -> int:
    """A seed of 31 bits for one sample of a prompt."""
    return int(np.random.SeedSequence([seed, sample]).generate_state(1)[0]) >> 1


def _completion(answer: Any) -> Completion:
    choice = answer.choices[0]
    logprobs = _logprobs(choice)
    tokens = _used(answer, "completion_tokens")
    return Completion(
        text=choice.text or "",
        tokens=len(logprobs or []) if tokens is None else tokens,
        logprob=None if logprobs is None else float(sum(logprobs)),
        finished=choice.finish_reason == "stop",
    )


def _used(answer: Any, kind: str) -> int | None:
    return getattr(answer.usage, kind, None)


def _logprobs(choice: Any) -> list[float] | None:
    """Log p of each token, nan where there is none; None where the server gives none at all."""
    found = choice.logprobs
    if found is None:
        return None
    values = found.token_logprobs
    if values is None:  # llama-server answers in the shape of chat completions
        content = (found.model_extra or {}).get("content")
        if content is None:
            return None
        values = [token.get("logprob") for token in content]
    return [math.nan if value is None else float(value) for value in values]


def _begins(choice: Any, text: str) -> list[int]:
    """Where each echoed token begins, characters from the text's beginning.

    A BOS token that is listed has its own name for text and lies before the beginning.
    """
    tokens, offsets = choice.logprobs.tokens, choice.logprobs.text_offset
    if not offsets or min(offsets) < 0:  # SGLang gives -1 for all of them
        offsets = [0, *accumulate(map(len, tokens))][: len(tokens)]
    # "\ufffd" is a part of a character
    first = len(tokens) == 1 or text.startswith(tokens[0]) or "\ufffd" in tokens[0]
    shift = offsets[0 if first else 1]
    return [at - shift for at in offsets]

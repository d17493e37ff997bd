"""The server engine: any OpenAI-compatible completions or chat endpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ltf_lite.core.prompt import Prompt, chats
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
from ltf_lite.engines.dialect import Dialect, framed
from ltf_lite.engines.server.answers import Choice, Completed, whole
from ltf_lite.engines.server.client import Client, endpoint, gather
from ltf_lite.engines.server.opening import AGREE, found, listed
from ltf_lite.engines.server.pool import Pool

AHEAD = 16  # times as many requests wait for several servers as are made of them
TIMEOUT = 600.0  # seconds; servers that answer one request at a time let the others wait

Pair = tuple[str, str]  # a prompt, a continuation
Chat = dict[str, Any]  # a chat's messages by their name in a request


class ServerEngine:
    """Generates and scores with vLLM, llama-server, SGLang, llama-cpp-python's server and the like.

    One request a sample, `concurrency` at once, so nothing depends on the server's `n`. `model` may
    be left out where the server has one only, `dialect` where the server tells it (`told`). The API
    key comes from the environment: LTF_API_KEY, else OPENAI_API_KEY. A grammar is refused. Raises
    EngineError.

    Of several addresses each is asked `concurrency` requests at once, by what it has to do
    (`pool`). Which of them answers changes nothing: a sample's seed is of its prompt alone.

    What servers do differently: stop strings are cut off by the server, so `beyond` is always
    empty; `logprob` is None where the server gives none; `tokens` is what the server counts
    (llama-cpp-python's leaves the end token out, of `logprob` too). That the same seed gives the
    same sample is up to the server.

    In a chat the server puts the question into its model's template, and is asked for
    the reply. It neither goes on with a reply that was begun nor scores one.

    A listener hears a completion once it is whole, never a part of it. Once it is stopped, the
    requests under way are broken off; what the server does with them is up to it, and what it
    remembers of earlier prompts is not cleared.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        model: str | None = None,
        dialect: Dialect | None = None,
        concurrency: int = 32,
        timeout: float = TIMEOUT,
    ) -> None:
        if concurrency < 1:
            raise EngineError(f"concurrency must be at least 1, not {concurrency}")
        urls = [endpoint(each) for each in ([url] if isinstance(url, str) else url)]
        if twice := [each for each in urls if urls.count(each) > 1]:
            raise EngineError(f"the server at {twice[0]} is named twice: name it once")
        self.concurrency = concurrency
        # of several, so many more wait there that each can have those that it knows best
        self._most = concurrency * (1 if len(urls) == 1 else AHEAD * len(urls))
        self.usage = counted()
        self.listener: Listener | None = None
        self._client: Client | Pool | None = None
        if len(urls) == 1:
            self._client = Client(urls[0], timeout)
        else:
            self._client = Pool(urls, timeout, concurrency)
        self.url = self._client.url
        try:
            self.model, self.dialect = self._found(model, dialect)
        except BaseException:
            self.close()
            raise
        self.name = f"{','.join(urls)}#{self.model}"
        self.runtime = f"server {','.join(urls)}"
        self._echo_seen: set[str] = set()  # addresses that were seen to score

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        if self._client:
            self._client.close()
        self._client = None

    def clear(self) -> None:
        """Nothing is kept here of the last prompts."""

    @property
    def _server(self) -> Client | Pool:
        if self._client is None:
            raise EngineError(f"the engine of {self.name!r} is closed")
        return self._client

    def _found(self, model: str | None, dialect: Dialect | None) -> tuple[str, Dialect]:
        """The model's name and what to ask it in, the same at every address."""
        server = self._server
        cards = server.run(server.each(lambda each: listed(each, model, dialect)))
        model, dialect = found(cards, model, dialect)
        if isinstance(server, Pool):
            server.run(server.agree(model, chats(dialect.name)))
        return model, dialect

    # -- generation --------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in the prompts' order.

        Raises EngineError, and Stopped.
        """
        server = self._server
        if sampling.grammar:  # not every server knows what that is, and none says that it does not
            raise EngineError(
                f"the server at {self.url} is not asked for a text that a grammar holds: leave "
                "`grammar` out, or open the model's GGUF file or folder"
            )
        own = prompt_seeds(prompts, sampling, seeds)
        asked = [
            (whole(prompt), self._chat(prompt), request_seed(seed, i))
            for prompt, seed in zip(prompts, own, strict=True)
            for i in range(sampling.n)
        ]
        jobs = [(k, *job) for k, job in enumerate(asked)]
        heard: list[Completion | None] = [None] * len(jobs)

        async def ask(job: tuple[int, str, Chat, int]) -> tuple[int, Completion]:
            place, prompt, chat, seed = job
            answer = await server.complete(
                self.model,
                prompt,
                sampling.max_tokens,
                seed=seed,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                stop=list(sampling.stop) or None,
                **chat,
            )
            completion = heard[place] = _completion(answer)
            return _read(answer), completion

        def tell() -> None:
            if self.listener is not None:
                tokens = sum(each.tokens for each in heard if each)
                self.listener.heard(tokens, lambda: [each.text if each else "" for each in heard])
                check(self.listener)

        with self.usage.call():
            if sampling.max_tokens <= 0:
                return [[Completion("", 0, 0.0, False)] * sampling.n for _ in prompts]
            done = server.run(gather(ask, jobs, self._most), tell if self.listener else None)
            tell()
        self.usage.tokens_in += sum(tokens for tokens, _ in done[:: sampling.n])
        self.usage.tokens_out += sum(completion.tokens for _, completion in done)
        return [
            [completion for _, completion in done[k * sampling.n : (k + 1) * sampling.n]]
            for k in range(len(prompts))
        ]

    def _chat(self, prompt: str) -> Chat:
        """What asks a prompt in a chat; nothing where it is no question in one."""
        if not chats(self.dialect.name) or not framed(prompt):
            return {}
        own = Prompt.of(prompt)
        if own.reply:
            raise EngineError(
                f"the server at {self.url} does not go on with a reply that was begun in a chat: "
                "search with cot, open the model's GGUF file or folder, or say --dialect zero_shot"
            )
        system = self.dialect.system
        said = [("system", system)] if system else []
        for asked, answered in own.turns:
            said += [("user", asked), ("assistant", answered)]
        said.append(("user", own.question))
        return {"messages": [{"role": role, "content": whole(text)} for role, text in said]}

    # -- scoring -----------------------------------------------------------------------------

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Sum of log p of each continuation's tokens given its prompt, nats.

        The server reads prompt and continuation as one text and echoes it with the log p of its
        tokens. A token that holds the prompt's end and the continuation's beginning counts as the
        continuation's. Raises EngineError, and Stopped.
        """
        server = self._server
        if chats(self.dialect.name) and any(map(framed, prompts)):
            raise self._cannot("in a chat it tells log-probabilities of its own replies alone")
        pairs = list(zip(map(whole, prompts), map(whole, continuations), strict=True))

        async def ask(pair: Pair) -> tuple[int, Score]:
            if not pair[1]:
                return 0, Score(0.0, 0)
            answer = await self._echo(server, pair[0] + pair[1])
            return _read(answer), self._score(answer.choices[0], *pair)

        with self.usage.call():
            look = (lambda: check(self.listener)) if self.listener else None
            some = next((prompt or tail for prompt, tail in pairs if tail), None)
            if some:
                server.run(server.each(lambda each: self._check_echo(each, some)), look)
            done = server.run(gather(ask, pairs, self._most), look)
        self.usage.tokens_in += sum(tokens for tokens, _ in done)
        return [score for _, score in done]

    async def _echo(self, server: Client | Pool, text: str) -> Completed:
        # some servers take 0 tokens to mean "no limit"
        answer = await server.complete(self.model, text, 1, echo=True, temperature=0.0)
        choice = answer.choices[0]
        tokens, offsets = choice.logprobs.tokens, choice.logprobs.text_offset
        lengths = {len(tokens), len(offsets or tokens), len(_logprobs(choice))}
        if not choice.text.startswith(text) or not tokens or len(lengths) > 1:
            raise self._cannot("it does not echo the prompt with log-probabilities")
        return answer

    async def _check_echo(self, server: Client, prompt: str) -> None:
        """Refuse a server whose echoed log p belong to other tokens than they stand beside.

        llama-cpp-python's server does so with models that have no BOS token, and leaves the last
        token out. What comes next has to have the same log p with the echo as without.
        """
        if server.url in self._echo_seen:
            return
        plain = await server.complete(self.model, prompt, 1, temperature=0.0)
        alone = _logprobs(plain.choices[0])
        choice = (await self._echo(server, prompt)).choices[0]
        begins, logprobs = _begins(choice, prompt), _logprobs(choice)
        echoed = [p for at, p in zip(begins, logprobs, strict=True) if at >= len(prompt)]
        if alone:
            if not echoed or not abs(alone[0] - echoed[0]) < AGREE:
                raise self._cannot("the log-probabilities it echoes are not those of the tokens")
            self._echo_seen.add(server.url)

    def _score(self, choice: Choice, prompt: str, continuation: str) -> Score:
        text = prompt + continuation
        begins, logprobs = _begins(choice, text), _logprobs(choice)
        ends = [*begins[1:], math.inf]
        own = [
            i
            for i, (begin, end) in enumerate(zip(begins, ends, strict=True))
            if (begin >= len(prompt) or end > len(prompt)) and begin < len(text)
        ]
        read = "".join(choice.logprobs.tokens[i] for i in own)
        total = sum(logprobs[i] for i in own)
        # parts of a character that is several tokens have no text of their own to compare
        if math.isnan(total) or (text.isascii() and not read.endswith(continuation)):
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


def _completion(answer: Completed) -> Completion:
    choice = answer.choices[0]
    logprobs = choice.logprobs.values()
    tokens = answer.usage.completion_tokens
    total = None if logprobs is None else float(sum(logprobs))
    return Completion(
        text=choice.text,
        tokens=len(logprobs or []) if tokens is None else tokens,
        logprob=None if total is None or math.isnan(total) else total,
        finished=choice.finish_reason == "stop",
    )


def _read(answer: Completed) -> int:
    """The tokens of the prompt, as the server counts them."""
    return answer.usage.prompt_tokens or 0


def _logprobs(choice: Choice) -> list[float]:
    return choice.logprobs.values() or []


def _begins(choice: Choice, text: str) -> list[int]:
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

"""What every engine shares: how to sample, what a completion is, what was used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ltf_lite.core.errors import LtfError

if TYPE_CHECKING:
    from ltf_lite.engines.dialect import Dialect


NOTHING_LEFT = (
    "the grammar leaves the model no token to go on with: its vocabulary lacks an end token, or a "
    "character that the grammar asks for"
)


class EngineError(LtfError, RuntimeError):
    """A model that cannot be loaded or asked."""


class Stopped(Exception):
    """A call that its listener ended; the engine answers the next one as if it had not been."""


class Listener(Protocol):
    """Hears what an engine writes while it writes, and may end the call.

    `heard` is called after each token step with the tokens generated so far in this call and with
    a function that gives the completions so far, cut at stop strings, prompt by prompt and sample
    by sample. `stopped` is asked often, from any thread, and must be quick.
    """

    def stopped(self) -> bool: ...

    def heard(self, tokens: int, texts: Callable[[], list[str]]) -> None: ...


@dataclass(frozen=True)
class Sampling:
    """How to generate: `n` completions a prompt; temperature 0 is greedy.

    `stop` strings end a completion and are cut off it. `seed` makes sampling reproducible, where
    the caller gives no seed for each prompt. `grammar` (GBNF, from its rule `root`) lets a
    completion be only what it describes: tokens that could not belong to such a text are left out
    before one is chosen, and the end token is let in where the text is whole.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    seed: int = 0
    grammar: str = ""


@dataclass(frozen=True)
class Completion:
    """One generated text.

    `logprob` is the sum over the generated tokens of log p at temperature 1, nats, or None from a
    server that does not say: the model's own, whatever a grammar left out; `tokens` counts the end
    token too; `finished` is False where max_tokens cut it off; `beyond` is what was generated after
    a stop string, the string included.
    """

    text: str
    tokens: int
    logprob: float | None
    finished: bool
    beyond: str = ""


class Score(NamedTuple):
    """A continuation's log p given its prompt, nats, summed over so many tokens of its own."""

    logprob: float
    tokens: int


@dataclass
class Usage:
    """What an engine has done so far; seconds are wall time inside its calls."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count the time of one engine call."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.calls += 1
            self.seconds += time.perf_counter() - began


_COUNTED: list[Usage] = []


def counted() -> Usage:
    """A new engine's usage, which `used` adds up."""
    _COUNTED.append(Usage())
    return _COUNTED[-1]


def used() -> Usage:
    """What all engines of this process have done, those that are closed too."""
    columns = zip(*(astuple(usage) for usage in _COUNTED), strict=True)
    return Usage(*map(sum, columns))


class Engine(Protocol):
    """Generates and scores text. Prompts are plain text, which the engine puts into the frame of
    its `dialect`; a `Prompt` has earlier turns, and says where the model's own words begin.

    `generate` gives `sampling.n` completions for each prompt, in the prompts' order. Sample i of a
    prompt depends on the prompt's seed and on i, never on what else is asked in the same call;
    `seeds` has one for each prompt, and without it they come from `sampling.seed` and the prompt's
    place (`prompt_seeds`). An engine that cannot hold a text to a grammar refuses one. A call of
    either kind raises Stopped soon after its `listener` is stopped. `clear` drops what was computed
    of the last prompts, so that the next call takes the time of a first one. One that holds its
    tokenizer also has `lengths`. Only times of one `runtime` may be compared: program and
    precision.
    """

    name: str
    runtime: str
    dialect: Dialect
    usage: Usage
    listener: Listener | None

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]: ...

    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


def check(listener: Listener | None) -> None:
    """Raises Stopped where the listener wants no more."""
    if listener is not None and listener.stopped():
        raise Stopped


def check_numbers(values: Iterable[float], model: str) -> None:
    """Refuse log-probabilities or logits that are not finite; raises EngineError."""
    if not all(map(isfinite, values)):
        raise EngineError(
            f"the model {model!r} computes no numbers (NaN or infinity): one of its weights is "
            "damaged, or too large for the precision that it runs in"
        )


def check_room(ids: Sequence[Sequence[int]], context: int | None, what: str, room: int = 0) -> None:
    """Refuse token ids that leave no room for so many new ones in a context; raises EngineError."""
    longest = max(map(len, ids), default=0)
    if context is not None and longest + room > context:
        more = f" and {room} tokens to generate" if room else ""
        free = context - longest
        way = f"; set a smaller max_tokens, such as {free}" if 0 < free < room else ""
        raise EngineError(
            f"{what} of {longest} tokens{more} does not fit the model's context of {context} "
            f"tokens{way}"
        )


def prompt_seeds(
    prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None
) -> list[int]:
    """A seed for each prompt: the caller's, or one made from `sampling.seed` and its place."""
    if seeds is not None:
        return list(seeds)
    return [(sampling.seed << 32) + place for place in range(len(prompts))]


def common(first: Sequence[object], second: Sequence[object]) -> int:
    """How many tokens, or other things, two rows begin with together."""
    limit = min(len(first), len(second))
    return next((k for k in range(limit) if first[k] != second[k]), limit)


def cut(text: str, stop: Sequence[str]) -> tuple[str, str]:
    """The text before the first stop string, and the rest from it on (empty if there is none)."""
    places = [at for at in (text.find(s) for s in stop if s) if at >= 0]
    at = min(places, default=len(text))
    return text[:at], text[at:]

"""Which model servers have, what it is asked in, and whether they all have the same one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ltf_lite.engines.base import EngineError
from ltf_lite.engines.server.connection import Refused
from ltf_lite.engines.server.told import spoken

if TYPE_CHECKING:
    from ltf_lite.engines.dialect import Dialect
    from ltf_lite.engines.server.answers import Card, Completed
    from ltf_lite.engines.server.client import Client

AGREE = 0.2  # nats by which a token's log p may differ between two requests, or two servers
# What servers go on with, for their models to be compared: sums, a number game, words.
TEXTS = ("44 + 41 =", "66:44,41,23,4\n", "Question: What is 2 + 3?\nAnswer:")
TOKENS = 8  # of each


async def listed(server: Client, model: str | None, dialect: Dialect | None) -> list[Card]:
    """The models that a server lists, asked only where something has to be found out."""
    if model and dialect:
        return []
    try:
        return await server.models()
    except Refused:  # a server of a named model need not have a list
        if model:
            return []
        raise


def found(
    cards: Mapping[Client, Sequence[Card]], model: str | None, dialect: Dialect | None
) -> tuple[str, Dialect]:
    """The model's name at all these servers, and what to ask it in; raises EngineError."""
    names = {server: model or _only(server.url, own) for server, own in cards.items()}
    first, name = next(iter(names.items()))
    for server, other in names.items():
        if other != name:
            raise EngineError(
                f"the server at {server.url} has the model {other!r}, and the one at {first.url} "
                f"{name!r}: name servers of one model (or its name at all of them as `model`)"
            )
    known = {server: dialect or spoken(server, name, own) for server, own in cards.items()}
    for server, its in known.items():
        if its != known[first]:
            raise EngineError(
                f"the server at {server.url} has a model that learnt {its.name}, and the one at "
                f"{first.url} {known[first].name}: name servers of one model"
            )
    return name, known[first]


def _only(url: str, cards: Sequence[Card]) -> str:
    names = [card.id for card in cards]
    if len(names) == 1:
        return names[0]
    if not names:
        raise EngineError(f"the server at {url} names no model (name it: {url}#NAME)")
    some = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
    raise EngineError(
        f"the server at {url} has {len(names)} models, {some} (name one: {url}#{names[0]})"
    )


async def sample(server: Client, model: str, chat: bool) -> list[Completed]:
    """What a server's model says to TEXTS, greedily; in a `chat` as replies."""
    said = []
    for text in TEXTS:
        wanted: dict[str, Any] = {"temperature": 0.0}
        if chat:
            wanted["messages"] = [{"role": "user", "content": text}]
        said.append(await server.complete(model, text, TOKENS, **wanted))
    return said


def difference(first: Sequence[Completed], second: Sequence[Completed]) -> str:
    """How two samples show that they are of different models; empty where they may be of one."""
    for text, one, other in zip(TEXTS, first, second, strict=True):
        read = one.usage.prompt_tokens, other.usage.prompt_tokens
        if None not in read and read[0] != read[1]:
            return f"{text!r} is {read[0]} tokens there, and {read[1]} here"
        if _apart(one, other):
            there, here = one.choices[0].text, other.choices[0].text
            if there == here:
                return f"after {text!r} {here!r} is not as likely here as there"
            return f"after {text!r} comes {there!r} there, and {here!r} here"
    return ""


def _apart(one: Completed, other: Completed) -> bool:
    """Whether two greedy answers are more than the rounding of two machines apart.

    Up to their first different token they tell the same log p. That token may only be another
    where both are as likely, so that none of the two is likelier than not.
    """
    first, second = one.choices[0].logprobs, other.choices[0].logprobs
    pairs = zip(first.values() or [], second.values() or [], strict=False)
    tokens = zip_longest(first.tokens, second.tokens)
    compared = False
    for (p, q), (own, its) in zip(pairs, tokens, strict=False):
        compared = True
        if not abs(p - q) < AGREE:
            return True
        if own != its:
            return max(p, q) > math.log(0.5) + AGREE
    return not compared and one.choices[0].text != other.choices[0].text

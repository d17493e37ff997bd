"""In which dialect the model behind a server learnt to be asked, as far as the server lets us know.

No server says what a GGUF file's metadata holds. Where one on this machine says which file or
folder its model came from, that says it: llama-cpp-python's server by the model's name where it was
given no other, llama-server in its `/props`, vLLM and SGLang as the model's `root`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ltf_lite.core.network import is_here
from ltf_lite.core.progress import say
from ltf_lite.engines.dialect import (
    DEFAULT,
    KEY,
    NAMES,
    SYSTEM_KEY,
    Dialect,
    chats,
    dialect,
    said,
)

if TYPE_CHECKING:
    from ltf_lite.engines.server.answers import Card
    from ltf_lite.engines.server.client import Client


def spoken(server: Client, model: str, cards: Sequence[Card]) -> Dialect:
    """The dialect to ask a server's model in: its own, or few-shot with a warning.

    `cards` are the models that the server lists. Raises EngineError where what says the dialect
    names none that is known here, or the server is not there any more.
    """
    if is_here(urlsplit(server.url).hostname):
        for place in _places(server, model, cards):
            own = _said_by(place)
            if own is not None:
                return own
    say(
        f"warning: the server at {server.url} does not tell which dialect its model learnt: it is "
        f"asked in {DEFAULT} (say --dialect NAME where that is wrong: {', '.join(NAMES)})"
    )
    return Dialect()


def _places(server: Client, model: str, cards: Sequence[Card]) -> Iterator[str]:
    """Where the model may lie on this machine; the server is asked once more only if need be."""
    if len(cards) != 1:  # a server of one model may answer to any name
        cards = [card for card in cards if card.id == model]
    for card in cards:
        yield from filter(None, (card.root, card.id))
    props = server.props()
    path = props.get("model_path") if isinstance(props, dict) else None
    if isinstance(path, str) and len(cards) == 1:
        yield path


def _said_by(place: str) -> Dialect | None:
    """The dialect that a GGUF file, a model folder or a model in the Hub's cache says it learnt."""
    try:
        if not Path(place).is_file():
            return said(place)
    except (OSError, ValueError):  # another user's folder, or no path at all
        return None
    from ltf_lite.engines.llama.check import metadata

    name = metadata(place, KEY)
    if name is None:
        return None
    own = dialect(name, repr(place))
    return replace(own, system=metadata(place, SYSTEM_KEY) or "") if chats(own.name) else own

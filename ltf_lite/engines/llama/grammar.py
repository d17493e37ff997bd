"""What a grammar lets a sequence write next, told by llama.cpp's own grammar sampler (GBNF)."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import llama_cpp as lc
import numpy as np

from ltf_lite.engines.base import NOTHING_LEFT, EngineError

ENDS, NEVER = 256, 257  # in place of a token's first byte
ROOT = "ltf-root"  # of a grammar that a chat's own end token follows
CANDIDATE = np.dtype(lc.llama_token_data)


class Letters(NamedTuple):
    """How the tokens of a vocabulary begin.

    `first` (tokens,) has the first byte of each; ENDS where it ends a text, NEVER where it is no
    text, as other control tokens and `<think>` are. `alone` are the tokens of one byte.
    """

    first: np.ndarray
    alone: np.ndarray


def letters(pieces: Sequence[bytes | None], attributes: Sequence[int]) -> Letters:
    """The letters of tokens with these bytes, None being what ends a text."""
    first = []
    for piece, own in zip(pieces, attributes, strict=True):
        added = own & lc.LLAMA_TOKEN_ATTR_USER_DEFINED
        if piece is None:
            first.append(ENDS)
        elif not piece or own & lc.LLAMA_TOKEN_ATTR_CONTROL or (added and _is_tag(piece)):
            first.append(NEVER)
        else:
            first.append(piece[0])
    alone = [k for k, piece in enumerate(pieces) if piece and len(piece) == 1 and first[k] != NEVER]
    return Letters(np.array(first), np.array(alone, np.int32))


def _is_tag(piece: bytes) -> bool:
    return piece.startswith(b"<") and piece.endswith(b">")


class Guide:
    """A grammar at work in one sequence; raises EngineError where llama.cpp cannot read it.

    `end` is a token that ends a text although llama.cpp does not know it for an end.
    """

    def __init__(self, vocab: Any, letters: Letters, grammar: str, end: int | None) -> None:
        root = "root"
        if end is not None:
            grammar, root = f"{grammar}\n{ROOT} ::= root <[{end}]>?\n", ROOT
        given = grammar.encode("utf-8", "replace").replace(b"\0", b"?")  # it would end there
        self._sampler: Any = lc.llama_sampler_init_grammar(vocab, given, root.encode())
        if not self._sampler:
            raise EngineError(f"llama.cpp cannot read the grammar {grammar[:60]!r}: is it GBNF?")
        self._letters = letters
        weakref.finalize(self, lc.llama_sampler_free, self._sampler)

    def allows(self, token: int) -> bool:
        """Whether a token may come next."""
        return len(self._kept(np.array([token]))) > 0

    def allowed(self) -> np.ndarray:
        """The tokens that may come next; raises EngineError where there is none.

        llama.cpp looks at a whole vocabulary for longer than many models think. Where it refuses
        a byte, no token that begins with it needs to be looked at.
        """
        first, alone = self._letters
        begins = np.ones(NEVER + 1, bool)
        begins[first[np.setdiff1d(alone, self._kept(alone))]] = False
        found = self._kept(np.flatnonzero(begins[first]))
        if not len(found):
            raise EngineError(NOTHING_LEFT)
        return found

    def accept(self, token: int) -> None:
        """Go on behind a token that may come next, which does not end the text.

        llama.cpp ends the process for any other.
        """
        lc.llama_sampler_accept(self._sampler, token)

    def _kept(self, tokens: np.ndarray) -> np.ndarray:
        """Those of some tokens that may come next."""
        tokens = tokens[self._letters.first[tokens] != NEVER]
        data = np.zeros(len(tokens), CANDIDATE)
        data["id"] = tokens
        place = data.ctypes.data_as(lc.llama_token_data_p)
        array = lc.llama_token_data_array(place, len(data), -1, False)
        lc.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return tokens[np.isfinite(data["logit"])]

"""What a grammar lets a row write next, told by llguidance, which reads GBNF as llama.cpp does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark
from llguidance.hf import from_tokenizer

from ltf_lite.engines.base import NOTHING_LEFT, EngineError

# Else it leaves out every token but one where the grammar leaves one text alone.
OPTIONS, EXACT = "%llguidance {}", '%llguidance {"no_forcing": true}'


class Grammars:
    """The grammars of a tokenizer whose model has logits of that width; `ends` end a text."""

    def __init__(self, tokenizer: Any, width: int, ends: Sequence[int]) -> None:
        self.tokenizer, self.width, self.ends = tokenizer, width, list(ends)

    @cached_property
    def _tokens(self) -> LLTokenizer:
        try:
            return from_tokenizer(self.tokenizer, self.width, self.ends or None)  # None: it looks
        except Exception as error:  # what a tokenizer it does not know raises has no type
            raise EngineError(
                f"the tokenizer of {self.tokenizer.name_or_path!r} cannot be held to a grammar: "
                f"{error}"
            ) from error

    def guides(self, grammar: str, count: int) -> list[Guide]:
        """So many rows' own; none where there is no grammar. Raises EngineError."""
        if not grammar:
            return []
        try:
            lark = gbnf_to_lark(grammar).replace(OPTIONS, EXACT, 1)
        except Exception as error:  # some of its own, some bare
            raise _unread(grammar, str(error)) from error
        first = LLMatcher(self._tokens, lark, log_level=0)
        if first.is_error():
            raise _unread(grammar, first.get_error())
        return [Guide(first.deep_copy(), self.ends, self._tokens.eos_tokens) for _ in range(count)]


class Guide:
    """A grammar at work in one row; `taken` are the ends that llguidance finds by itself."""

    def __init__(self, matcher: LLMatcher, ends: list[int], taken: list[int]) -> None:
        self._matcher, self._ends, self._taken = matcher, ends, taken

    def allowed(self) -> torch.Tensor:
        """Whether each token may come next, (vocabulary,); raises EngineError where none may."""
        bias = bytearray(self._matcher.compute_logit_bias())
        found = torch.frombuffer(bias, dtype=torch.uint8) > 0
        found[self._taken] = False
        found[self._ends] = self._matcher.is_accepting()
        if not found.any():
            raise EngineError(NOTHING_LEFT)
        return found

    def accept(self, token: int) -> None:
        """Go on behind a token that may come next, which does not end the text."""
        if not self._matcher.consume_token(token):
            raise EngineError(f"the grammar cannot be followed: {self._matcher.get_error()}")


def masked(logits: torch.Tensor, guides: Sequence[Guide | None]) -> torch.Tensor:
    """Logits (guides, vocabulary) with -inf for what may not come next; None: anything may."""
    free = torch.ones(logits.shape, dtype=torch.bool)
    for row, guide in zip(free, guides, strict=True):
        if guide:
            row[:] = guide.allowed()
    return logits.masked_fill(~free.to(logits.device), -torch.inf)


def _unread(grammar: str, why: str) -> EngineError:
    why = " ".join(why.split())[:120]
    return EngineError(f"the grammar {grammar[:60]!r} cannot be read: {why}")

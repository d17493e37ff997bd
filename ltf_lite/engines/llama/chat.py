"""What a GGUF file says of the chats that its model learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ltf_lite.engines.dialect import SYSTEM_KEY, TEMPLATE_KEY, Dialect
from ltf_lite.engines.llama.check import metadata

if TYPE_CHECKING:
    from ltf_lite.engines.llama.context import LlamaContext


@dataclass
class Words:
    """A file's tokenizer, as `ltf_lite.engines.template` asks it."""

    llama: LlamaContext
    begins: list[int]

    def ids(self, texts: Sequence[str], control: bool) -> list[list[int]]:
        return [self.llama.encode(text, False, control) for text in texts]

    def control(self, token: int) -> str | None:
        return self.llama.control(token)


def framed(chat: Dialect, path: str | Path, names: Mapping[str, str]) -> Dialect:
    """A chat with the frame of a file's template, and the file's system text where nobody said one.

    `names` are the tokens that a template calls by name. Both texts are read from the file: what
    llama.cpp tells of its metadata is cut. Raises EngineError.
    """
    if chat.system is None:
        chat = replace(chat, system=metadata(path, SYSTEM_KEY) or "")
    return chat.framed_by(metadata(path, TEMPLATE_KEY) or None, names, str(path))

"""What tuning reads: a prompt, a completion, and which of its characters to learn or to forget."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ltf_lite.core.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Example:
    """One success to follow (`good`) or one failure to forget.

    Only characters `start:end` of the completion carry loss; a success carries it everywhere, and
    on the end-of-sequence token too, if it `ends`.
    """

    prompt: str
    completion: str
    good: bool
    start: int
    end: int
    ends: bool = True

    def told(self) -> bytes:
        """As bytes, from which `read` makes it again."""
        prompt: object = self.prompt
        if isinstance(prompt, Prompt):
            prompt = prompt.question, prompt.reply, prompt.framed, prompt.turns
        own = prompt, self.completion, self.good, self.start, self.end, self.ends
        return json.dumps(own).encode()

    @classmethod
    def read(cls, told: bytes) -> Example:
        prompt, *others = json.loads(told)
        return cls(prompt if isinstance(prompt, str) else Prompt(*prompt), *others)

"""What tuning reads: a prompt, a completion, and which of its characters to learn or to forget."""

from __future__ import annotations

from dataclasses import dataclass


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

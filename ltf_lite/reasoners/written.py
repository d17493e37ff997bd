"""What a completion wrote, as steps."""

from __future__ import annotations

from ltf_lite.engines import Completion
from ltf_lite.tasks.text_steps import split


def joined(first: Completion, after: Completion) -> Completion:
    """A step that was begun and what was written on; blanks that began it are left out."""
    known = first.logprob is not None and after.logprob is not None
    return Completion(
        f"{first.text.strip()}\n{after.text}".lstrip(),
        first.tokens + after.tokens,
        (first.logprob or 0.0) + (after.logprob or 0.0) if known else None,
        after.finished,
        after.beyond,
    )


def lines_of(completion: Completion) -> list[str]:
    """The lines of a completion; a last one that was cut off only where it is all there is."""
    lines = [line for line in completion.text.split("\n") if line.strip()]
    whole = completion.finished or completion.text.endswith("\n") or len(lines) < 2
    return lines if whole else lines[:-1]


def steps_of_text(completion: Completion) -> list[str]:
    """The steps of free text, as its splitter finds them; a last one that was cut off as above."""
    text = completion.text
    steps = [text[start:end] for start, end in split(text)]
    return steps if completion.finished or len(steps) < 2 else steps[:-1]

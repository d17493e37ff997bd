"""How well a model still predicts a text that nothing was tuned on: mean NLL of its paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltf_lite.engines import Engine

NAME = "heldout.txt"  # of the text that comes with a model, in its directory
MOST = 200  # paragraphs: the first so many
LONGEST = 2000  # bytes of one; the rest of it is left out

Paragraph = tuple[str, str]  # what is given, and what is scored given it


class HeldoutError(ValueError):
    """A held-out text that cannot be used, with a sentence for the user."""


def paragraphs(file: Path) -> list[Paragraph]:
    """The first paragraphs of a text, blank lines between them; raises HeldoutError.

    A paragraph's first line is given and the rest of it is to be scored; of a single line its first
    word is given. A paragraph with nothing after that is left out.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise HeldoutError(f"cannot read the held-out text {file}: {reason}") from error
    found = [_split(part) for part in re.split(r"\n\s*\n", text.strip())]
    usable = [pair for pair in found if pair[1].strip()]
    if not usable:
        raise HeldoutError(
            f"the held-out text {file} has no paragraph of more than one word: name another file"
        )
    return usable[:MOST]


def _split(paragraph: str) -> Paragraph:
    first, newline, rest = paragraph.partition("\n")
    if newline:
        return first + newline, rest
    word = re.match(r"\S*", paragraph)
    end = word.end() if word else 0
    return paragraph[:end], paragraph[end:]


def nll(engine: Engine, pairs: Sequence[Paragraph]) -> dict[str, Any]:
    """Mean NLL of the paragraphs' scored parts, nats a token over all tokens together.

    `each` has the log p (nats) and the tokens of every paragraph that something was scored of. A
    paragraph is cut where it could outgrow the model's context, a byte being at most a token.
    Raises EngineError where the engine cannot score.
    """
    context = getattr(engine, "context", None) or LONGEST
    pairs = [_cut(*pair, min(LONGEST, context - 2)) for pair in pairs]  # 2: what may come before
    scores = engine.score([given for given, _ in pairs], [rest for _, rest in pairs])
    each = [[score.logprob, score.tokens] for score in scores if score.tokens]
    tokens = sum(count for _, count in each)
    total = -sum(logprob for logprob, _ in each)
    return {"n": len(each), "tokens": tokens, "nll": total / tokens if tokens else 0.0,
            "each": each}  # fmt: skip


def _cut(given: str, rest: str, most: int) -> Paragraph:
    """The pair with the end of what is given, and the beginning of the rest, each at most half.

    What one half leaves free the other may use.
    """
    head, tail = given.encode(), rest.encode()
    room = most - min(len(tail), most // 2)
    head = head[-room:]
    return head.decode(errors="ignore"), tail[: most - len(head)].decode(errors="ignore")

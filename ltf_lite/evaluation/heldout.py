"""How well a model still predicts a text that nothing was tuned on: mean NLL of its paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltf_lite.core.errors import LtfError
from ltf_lite.core.places import open_regular
from ltf_lite.engines import Engine, Prompt

NAME = "heldout.txt"  # of the text that comes with a model, in its directory
ENGLISH = Path(__file__).with_name("english.txt")  # where none does: written for this, CC0
MOST = 200  # paragraphs: the first so many
LONGEST = 2000  # bytes of one; the rest of it is left out

Paragraph = tuple[str, str]  # what is given, and what is scored given it


class HeldoutError(LtfError, ValueError):
    """A held-out text that cannot be used."""


@dataclass(frozen=True)
class TextNll:
    """Mean NLL of a text, nats a token over all tokens together.

    `n` paragraphs were scored; `each` has the log p (nats) and the tokens of every one.
    """

    n: int
    tokens: int
    nll: float
    each: tuple[tuple[float, int], ...]


def paragraphs(file: Path) -> list[Paragraph]:
    """The first paragraphs of a text, blank lines between them; raises HeldoutError.

    The first line of a paragraph is given, the rest is scored. Of a single line the first word is
    given. A paragraph with nothing to score is left out.
    """
    try:
        with open_regular(file) as stream:
            text = stream.read().decode("utf-8-sig").replace("\r\n", "\n")
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


def nll(engine: Engine, pairs: Sequence[Paragraph]) -> TextNll:
    """Mean NLL of the paragraphs' scored parts.

    A paragraph is cut where it could outgrow the model's context, a byte being at most a token.
    Raises EngineError where the engine cannot score.
    """
    context = getattr(engine, "context", None) or LONGEST
    pairs = [_cut(*pair, min(LONGEST, context - 2)) for pair in pairs]  # 2: what may come before
    heads = [Prompt(given, framed=False) for given, _ in pairs]  # a text, and no question
    scores = engine.score(heads, [rest for _, rest in pairs])
    each = tuple((score.logprob, score.tokens) for score in scores if score.tokens)
    tokens = sum(count for _, count in each)
    total = -sum(logprob for logprob, _ in each)
    return TextNll(len(each), tokens, total / tokens if tokens else 0.0, each)


def _cut(given: str, rest: str, most: int) -> Paragraph:
    """The pair with the end of what is given, and the beginning of the rest, each at most half.

    What one half leaves free the other may use.
    """
    head, tail = given.encode(), rest.encode()
    room = most - min(len(tail), most // 2)
    head = head[-room:]
    return head.decode(errors="ignore"), tail[: most - len(head)].decode(errors="ignore")

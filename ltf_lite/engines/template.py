"""The frame that a model's chat template puts around a question.

The template is rendered once, with a mark where the question stands. What stands before and behind
the mark is the frame. Both engines put the same frame around a prompt, as the same tokens, and the
question itself can hold no control token.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, Protocol

from ltf_lite.core.progress import say
from ltf_lite.engines.base import EngineError, Prompt

DAY = datetime(2025, 1, 1)  # of every rendering, so that a prompt is the same tomorrow
SECONDS = 5  # of processor time that a template may take
PATIENCE = 4 * SECONDS  # seconds in all
# Questions that no template knows. The second has another length, lines, signs, and blanks around.
MARKS = ("Wq7ltfVb2", " \n4 plus 5?\n\n<b>Zr4ltfWk</b>: {3}\n ")
REPLY = "Kj9ltfPd6"
HINT = "ask in another dialect, such as zero_shot"

Strip = Literal["", "left", "right", "both"]


@dataclass(frozen=True)
class Frame:
    """What a template writes before and behind the user's text, and behind a reply.

    `system` is the system text that `before` holds. `strip` says on which sides the template takes
    blanks off the user's text; `dated`, that it writes the date.
    """

    before: str
    after: str
    end: str = ""
    system: str = ""
    strip: Strip = ""
    dated: bool = False

    def content(self, text: str) -> str:
        """The user's text as the template puts it in."""
        return _stripped(text, self.strip)

    def render(self, prompt: str) -> str:
        """All that the model reads: the frame around the question, and the reply so far."""
        asked, reply = parts(prompt)
        return f"{self.before}{self.content(asked)}{self.after}{reply}"


class Words(Protocol):
    """A tokenizer, as both engines have one.

    `ids` knows the control tokens in texts only where it is told to; `control` is the text of a
    control token, None for any other; `begins` is what every text begins with.
    """

    begins: list[int]

    def ids(self, texts: Sequence[str], control: bool) -> list[list[int]]: ...

    def control(self, token: int) -> str | None: ...


def parts(prompt: str) -> tuple[str, str]:
    """A prompt's question, and the beginning of its reply."""
    reply = prompt.reply if isinstance(prompt, Prompt) else ""
    return (prompt[: -len(reply)], reply) if reply else (str(prompt), "")


def framed_ids(frame: Frame, prompts: Sequence[str], words: Words) -> list[list[int]]:
    """The token ids of prompts in a frame, the same as of the whole text that was rendered.

    Only the frame's own text is looked through for control tokens. Plain text of the frame beside
    the question becomes tokens together with it. A reply becomes tokens by itself, as it does when
    it is learnt. The beginning-of-sequence token comes once, whoever writes it.
    """
    before, after = words.ids([frame.before, frame.after], True)
    at = _after_last(frame.before, [words.control(token) for token in before])
    to = _before_first(frame.after, [words.control(token) for token in after])
    head, rest = words.ids([frame.before[:at], frame.after[to:]], True)
    if head[: len(words.begins)] != words.begins:
        head = [*words.begins, *head]
    pairs = [parts(prompt) for prompt in prompts]
    lead, follow = frame.before[at:], frame.after[:to]
    inner = words.ids([f"{lead}{frame.content(asked)}{follow}" for asked, _ in pairs], False)
    replies = words.ids([reply for _, reply in pairs], True)
    return [[*head, *row, *rest, *reply] for row, reply in zip(inner, replies, strict=True)]


def end_token(frame: Frame, words: Words) -> int | None:
    """The control token with which a reply ends in a frame; None where the template writes none."""
    (ids,) = words.ids([frame.end.lstrip()], True)
    return ids[0] if ids and words.control(ids[0]) is not None else None


def _after_last(text: str, controls: Sequence[str | None]) -> int:
    """Where the text goes on after its last control token."""
    last = next((each for each in reversed(controls) if each), "")
    return text.rfind(last) + len(last) if last and last in text else 0


def _before_first(text: str, controls: Sequence[str | None]) -> int:
    """Where the first control token of a text begins."""
    first = next((each for each in controls if each), "")
    return text.find(first) if first and first in text else len(text)


# -- from a template to its frame ----------------------------------------------------------------


def default_template(found: Any) -> str | None:
    """The template among what a tokenizer has: a text, or several by name; None where none fits."""
    if isinstance(found, list):
        found = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
    if isinstance(found, Mapping):
        found = found.get("default")
    return found if isinstance(found, str) and found else None


def frame_of(template: str | None, names: Mapping[str, str], system: str, model: str) -> Frame:
    """The frame of a model's template; raises EngineError with one sentence.

    `names` are the tokens that the template calls by name, such as `bos_token`. A `system` text
    stands where the template puts it.
    """
    if template is None:
        raise EngineError(f"the model {model!r} has no chat template: {HINT}")
    found = _frame(template, tuple(sorted(names.items())), system)
    if isinstance(found, str):
        raise EngineError(f"the chat template of {model!r} {found}")
    return found


@lru_cache(maxsize=64)
def _frame(template: str, names: tuple[tuple[str, str], ...], system: str) -> Frame | str:
    """The frame, or why there is none as the end of a sentence."""
    first: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
    asked = [[*first, {"role": "user", "content": mark}] for mark in MARKS]
    answered = [*asked[0], {"role": "assistant", "content": REPLY}]
    chats = [{"messages": each, "add_generation_prompt": True} for each in asked]
    chats.append({"messages": answered, "add_generation_prompt": False})
    done = _rendered({"template": template, "names": dict(names), "chats": chats})
    if isinstance(done, str):
        return f"{done}: {HINT}"
    one, other, whole = done["texts"]
    if one is None or other is None:
        what = "a system text and a question" if system else "a question"
        way = "leave model.system out" if system else HINT
        return f"refuses {what} ({done['said']}): {way}"
    if one.count(MARKS[0]) != 1:
        return f"does not put the question in once, as it is: {HINT}"
    before, after = one.split(MARKS[0])
    strip = next((s for s in _SIDES if before + _stripped(MARKS[1], s) + after == other), None)
    if strip is None:
        return f"does not put the question in as it is, or writes by what it says: {HINT}"
    if system and system.strip() not in before:
        return "has no place for a system text: leave model.system out"
    if done["dated"]:
        say(f"the chat template writes the date: it is rendered as on {DAY:%d %B %Y} every day")
    end = whole.split(REPLY, 1)[1] if whole and REPLY in whole else ""
    return Frame(before, after, end, system, strip, done["dated"])


_SIDES: tuple[Strip, ...] = ("", "both", "left", "right")


def _stripped(text: str, sides: Strip) -> str:
    if sides in ("left", "both"):
        text = text.lstrip()
    return text.rstrip() if sides in ("right", "both") else text


def _rendered(job: Mapping[str, Any]) -> dict[str, Any] | str:
    """What another process rendered, or why it did not as the end of a sentence."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ltf_lite.engines.rendering"],
            input=json.dumps(job).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"is not rendered in {PATIENCE} seconds"
    except OSError as error:
        return f"cannot be rendered, for no process can be started here ({error.strerror})"
    except ValueError:  # it was ended in the middle
        return "takes too much time or memory to render"
    return dict(found)

"""The frame that a model's chat template puts around a question.

The template is rendered with a mark where the question stands. What stands before and behind the
mark is the frame; what stands between the turns of a chat is part of it. Both engines put the same
frame around a prompt, as the same tokens, and neither the question nor an earlier turn can hold a
control token.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import cycle
from typing import Any, Literal, Protocol

from ltf_lite.core.progress import say
from ltf_lite.core.prompt import Prompt
from ltf_lite.engines.base import EngineError

DAY = datetime(2025, 1, 1)  # of every rendering, so that a prompt is the same tomorrow
SECONDS = 5  # of processor time that a template may take
PATIENCE = 4 * SECONDS  # seconds in all
# Questions that no template knows. The second has another length, lines, signs, and blanks around.
MARKS = ("Wq7ltfVb2", " \n4 plus 5?\n\n<b>Zr4ltfWk</b>: {3}\n ")
REPLY = "Kj9ltfPd6"
OTHER_REPLY = "4 + 5 = 9\n\n<b>Pt2ltfHc</b>: {9}"
THOUGHT = "</think>"  # behind what a model thinks before it answers
TURNS = (
    (MARKS[0], REPLY, MARKS[1]),
    (MARKS[1], OTHER_REPLY, MARKS[0], REPLY, MARKS[1]),
    (MARKS[0], f"<think>\n5\n{THOUGHT}\n\n{REPLY}", MARKS[1]),
)
HINT = "ask in another dialect, such as zero_shot"
TURNS_HINT = "ask without worked examples, in the dialect chat"

Strip = Literal["", "left", "right", "both"]
Run = tuple[str, bool]  # a text, and whether its control tokens are such


@dataclass(frozen=True)
class Frame:
    """What a template writes before and behind the user's text, and behind a reply.

    `system` is the system text that `before` holds. `strip` says on which sides the template takes
    blanks off the user's text; `dated`, that it writes the date. `answer` stands between an earlier
    question and its reply, `again` between that reply and the next question; `alone` says why a
    template takes no earlier turns, as the end of a sentence. One that is `thoughtless` leaves out
    what was thought before an earlier reply.
    """

    before: str
    after: str
    end: str = ""
    system: str = ""
    strip: Strip = ""
    dated: bool = False
    answer: str = ""
    again: str = ""
    alone: str = ""
    thoughtless: bool = False

    def content(self, text: str) -> str:
        """The user's text as the template puts it in."""
        return _stripped(text, self.strip)

    def render(self, prompt: str) -> str:
        """All that the model reads: earlier turns and the question in the frame, the reply."""
        said = self.said(prompt)
        return "".join(own + text for own, text in zip(self.own(len(said)), said, strict=True))

    def opened(self, prompt: str) -> Frame:
        """The frame with a prompt's earlier turns in what stands before the question."""
        *earlier, _, _ = self.said(prompt)
        own = self.own(len(earlier) + 2)[:-1]
        before = "".join(text for pair in zip(own, [*earlier, ""], strict=True) for text in pair)
        return replace(self, before=before)

    def said(self, prompt: str) -> list[str]:
        """What is said in turn, the question and the reply so far last; raises EngineError."""
        whole = Prompt.of(prompt)
        thought = any(THOUGHT in answered for _, answered in whole.turns)
        leaves = "leaves out what was thought in earlier turns" if thought else ""
        if whole.turns and (why := self.alone or (self.thoughtless and leaves)):
            raise EngineError(f"the model's chat template {why}: {TURNS_HINT}")
        earlier = [text for asked, reply in whole.turns for text in (self.content(asked), reply)]
        return [*earlier, self.content(whole.question), whole.reply]

    def own(self, said: int) -> list[str]:
        """What the template writes before each of so many texts."""
        return [self.before, *(self.answer, self.again) * (said // 2 - 1), self.after]


class Words(Protocol):
    """A tokenizer, as both engines have one.

    `ids` knows the control tokens in texts only where it is told to; `control` is the text of a
    control token, None for any other; `begins` is what every text begins with.
    """

    begins: list[int]

    def ids(self, texts: Sequence[str], control: bool) -> list[list[int]]: ...

    def control(self, token: int) -> str | None: ...


def framed_ids(frame: Frame, prompts: Sequence[str], words: Words) -> list[list[int]]:
    """The token ids of prompts in a frame, the same as of the whole text that was rendered.

    Only the frame's own text is looked through for control tokens. Plain text of the frame beside
    what was said becomes tokens together with it. A reply becomes tokens by itself, as it does when
    it is learnt. The beginning-of-sequence token comes once, whoever writes it.
    """
    own = list(dict.fromkeys((frame.before, frame.answer, frame.again, frame.after)))
    found = words.ids(own, True)
    cuts = {text: _cut(text, map(words.control, ids)) for text, ids in zip(own, found, strict=True)}
    rows = [_runs(frame, prompt, cuts) for prompt in prompts]
    known: dict[Run, list[int]] = {}
    for control in (True, False):
        texts = list({text for row in rows for text, wanted in row if wanted == control})
        for text, ids in zip(texts, words.ids(texts, control), strict=True):
            known[text, control] = ids
    return [_begun([token for run in row for token in known[run]], words.begins) for row in rows]


def _begun(ids: list[int], begins: list[int]) -> list[int]:
    return ids if ids[: len(begins)] == begins else [*begins, *ids]


def _runs(frame: Frame, prompt: str, cuts: Mapping[str, tuple[int, int]]) -> list[Run]:
    """A prompt's text in runs that become tokens by themselves, the frame's own with its controls.

    `cuts` has where the first control token of each of the frame's texts begins and its last ends.
    """
    *said, reply = frame.said(prompt)
    first, *between, last = frame.own(len(said) + 1)
    runs = [(first[: cuts[first][1]], True)]
    plain = first[cuts[first][1] :]
    for text, own in zip(said, between, strict=False):
        begin, end = cuts[own]
        plain += text + own[:begin]
        if begin < end:
            runs += [(plain, False), (own[begin:end], True)]
            plain = own[end:]
    begin, _ = cuts[last]
    return [*runs, (plain + said[-1] + last[:begin], False), (last[begin:], True), (reply, True)]


def end_token(frame: Frame, words: Words) -> int | None:
    """The control token with which a reply ends in a frame; None where the template writes none."""
    (ids,) = words.ids([frame.end.lstrip()], True)
    return ids[0] if ids and words.control(ids[0]) is not None else None


def _cut(text: str, controls: Iterable[str | None]) -> tuple[int, int]:
    """Where the first control token of a text begins, and where its last one ends.

    One without any is all before the first, and all behind the last.
    """
    known = [each for each in controls if each and each in text]
    if not known:
        return len(text), 0
    return text.find(known[0]), text.rfind(known[-1]) + len(known[-1])


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
    asked = [_chat([mark], system) for mark in MARKS]
    chats = [*asked, _chat([MARKS[0], REPLY], system), *(_chat(each, system) for each in TURNS)]
    done = _rendered({"template": template, "names": dict(names), "chats": chats})
    if isinstance(done, str):
        return f"{done}: {HINT}"
    one, other, whole, *turns = done["texts"]
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
    frame = Frame(before, after, end, system, strip, done["dated"])
    return _with_turns(frame, turns, done["said"])


def _chat(said: Sequence[str], system: str) -> dict[str, Any]:
    """A chat in which user and assistant take turns; what comes next is asked after a question."""
    roles = cycle(("user", "assistant"))
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]
    return {"messages": messages, "add_generation_prompt": len(said) % 2 == 1}


def _with_turns(frame: Frame, texts: Sequence[str | None], said: str) -> Frame:
    """The frame with what stands between turns, learnt from the first of TURNS, held to all."""
    if None in texts[:2]:
        return replace(frame, alone=f"refuses earlier turns ({said})")
    middle = str(texts[0]).removeprefix(frame.before + frame.content(TURNS[0][0]))
    parts = middle.removesuffix(frame.content(TURNS[0][-1]) + frame.after).split(REPLY)
    found = replace(frame, answer=parts[0], again=parts[-1])
    same = [found.render(_prompt(chat)) == text for chat, text in zip(TURNS, texts, strict=True)]
    if len(parts) != 2 or not all(same[:2]):
        return replace(frame, alone="does not write earlier turns as they are")
    return replace(found, thoughtless=not same[2])


def _prompt(said: Sequence[str]) -> Prompt:
    """What was said in turn as a prompt."""
    return Prompt(said[-1], turns=list(zip(said[:-1:2], said[1::2], strict=True)))


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

"""How a task is put into a model's words, and how such a prompt becomes tokens.

A model is asked in one dialect and may learn another: a base is asked few-shot, and what is tuned
learns zero-shot (Ni et al., arXiv 2504.11364). In the dialect `chat` it is asked through its own
chat template, in the words of zero-shot; in `few_shot_chat` the worked examples are earlier turns
of that chat. What a model speaks is told in its folder (`ltf.json`) and
in its GGUF file (`ltf.dialect`, `ltf.system`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from ltf_lite.core.prompt import CHAT, FEW_SHOT_CHAT, Prompt, chats
from ltf_lite.engines.base import EngineError
from ltf_lite.engines.template import (
    TURNS_HINT,
    Frame,
    default_template,
    end_token,
    frame_of,
    framed_ids,
)

Name = Literal["compact", "few_shot", "zero_shot", "chat", "few_shot_chat"]
Wish = Literal["compact", "few_shot", "zero_shot", "chat", "few_shot_chat", "auto"]
NAMES: tuple[str, ...] = get_args(Name)
COMPACT = "compact"
AUTO = "auto"  # a wish for chat, where the model has a template and does not say what it speaks
FILE = "ltf.json"  # in a model's folder
KEY = "ltf.dialect"  # in a GGUF file's metadata
SYSTEM_KEY = "ltf.system"  # too, of a model that learnt with a system text
SEARCH_KEY = "ltf.search"  # too, of a model that speaks the compact dialect
TEMPLATE_KEY = "tokenizer.chat_template"
DEFAULT = "few_shot"  # of a model that does not say what it speaks


@dataclass(frozen=True)
class Dialect:
    """The words in which a model is asked; tasks write their prompts by its `name`.

    `begins`: a prompt begins with the tokenizer's beginning-of-sequence token, where it has one.
    Of chats alone: `system` is the system text, None for what the model says that it learnt with,
    and `frame` is what the model's template puts around a question, once an engine has found it.
    Of `compact` alone: `search` is whether the model learnt the short questions of a search, None
    where nobody says; one that did not only knows how a path goes on.
    """

    name: str = DEFAULT
    begins: bool = True
    system: str | None = None
    frame: Frame | None = None
    search: bool | None = None

    def of(self, tokenizer: Any, model: str = "") -> Dialect:
        """The same dialect with the frame of a transformers tokenizer; raises EngineError."""
        if not chats(self.name) or self.frame:
            return self
        named = model or str(tokenizer.name_or_path)
        template = default_template(tokenizer.chat_template)
        return self.framed_by(template, tokenizer.special_tokens_map, named)

    def framed_by(self, template: str | None, names: Mapping[str, str], model: str) -> Dialect:
        """The same dialect with the frame of a template, as `frame_of` has it."""
        found = frame_of(template, names, self.system or "", model)
        if self.name == FEW_SHOT_CHAT and found.alone:
            raise EngineError(f"the chat template of {model!r} {found.alone}: {TURNS_HINT}")
        return replace(self, frame=found)

    def render(self, prompt: str) -> str:
        """All the text that the model reads for a prompt."""
        return self.frame.render(prompt) if self.frame and framed(prompt) else str(prompt)

    def encode(self, tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
        """The token ids of prompts under a transformers tokenizer.

        What it puts behind a text, such as its end token, is left out: a model goes on from there.
        """
        if not prompts:
            return []
        if self.frame and all(map(framed, prompts)):
            return framed_ids(self.frame, prompts, _Words(tokenizer, self.begins))
        ids = tokenizer(list(prompts), add_special_tokens=self.begins)["input_ids"]
        behind = _around(tokenizer)[1] if self.begins else 0
        return [row[: len(row) - behind] for row in ids] if behind else ids

    def end(self, tokenizer: Any) -> int | None:
        """The token with which a reply ends under a transformers tokenizer."""
        own = end_token(self.frame, _Words(tokenizer, False)) if self.frame else None
        return tokenizer.eos_token_id if own is None else own


def framed(prompt: str) -> bool:
    """Whether a dialect's frame goes around a prompt."""
    return Prompt.of(prompt).framed


class _Words:
    """A transformers tokenizer's `Words`."""

    def __init__(self, tokenizer: Any, begins: bool) -> None:
        self.tokenizer = tokenizer
        self.begins: list[int] = _around(tokenizer)[0] if begins else []
        added = tokenizer.added_tokens_decoder.items()
        self._controls = {token: each.content for token, each in added if each.special}

    def ids(self, texts: Sequence[str], control: bool) -> list[list[int]]:
        if not texts:
            return []
        found = self.tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=not control
        )
        ids: list[list[int]] = found["input_ids"]
        return ids

    def control(self, token: int) -> str | None:
        return self._controls.get(token)


def _around(tokenizer: Any) -> tuple[list[int], int]:
    """The tokens that a tokenizer puts before a text, and how many it puts behind it."""
    bare, full = (tokenizer("1", add_special_tokens=own)["input_ids"] for own in (False, True))
    for before in range(len(full) - len(bare) + 1):
        if full[before : before + len(bare)] == bare:
            return full[:before], len(full) - before - len(bare)
    return [], 0


def dialect(name: str, where: str = "") -> Dialect:
    """The dialect of that name; raises EngineError. `where` is what names it, for the sentence."""
    if name not in NAMES and (where or name != AUTO):
        named = f"{where} names a dialect that is" if where else "the dialect is"
        raise EngineError(f"{named} not known here: {name!r} (known: {', '.join(NAMES)})")
    return Dialect(name)


def told(model: str | Path) -> str | None:
    """The dialect that a model folder, a GGUF file or a name in the Hub's cache says it speaks.

    None where it says none. Raises EngineError where it says something that is no dialect.
    """
    own = said(model)
    return own.name if own else None


def tell(folder: str | Path, name: str, system: str = "", search: bool | None = None) -> None:
    """Write into a model's folder which dialect it speaks, and its system text if it has one.

    `search`, of a compact one, is whether it learnt the questions of a search.
    """
    spoken: dict[str, Any] = {"dialect": dialect(name).name}
    spoken |= {"system": system} if system else {}
    spoken |= {"search": search} if name == COMPACT and search is not None else {}
    (Path(folder) / FILE).write_text(json.dumps(spoken) + "\n", encoding="utf-8")


def spoken(model: str | Path) -> Dialect:
    """The dialect to ask a model folder or a hub name in: its own, few-shot where it has none."""
    return said(model) or Dialect(DEFAULT)


def asked_in(model: str | Path, wanted: Dialect | None) -> Dialect:
    """The dialect to ask a folder or hub name in, with what nobody said and the model tells."""
    if wanted is None:
        return spoken(model)
    if wanted.name == COMPACT and wanted.search is None:
        return replace(wanted, search=searches(model))
    if chats(wanted.name) and wanted.system is None:
        return replace(wanted, system=system_of(model))
    return wanted


def system_of(model: str | Path) -> str:
    """The system text that a model folder or a hub name says it learnt with."""
    own = said(model)
    return (own and own.system) or ""


def searches(model: str | Path) -> bool | None:
    """Whether a folder, GGUF file or hub name learnt the compact questions of a search.

    None where it speaks compactly and does not say.
    """
    own = said(model)
    return own.search if own and own.name == COMPACT else False


def knows_search(name: str | None, said: Any) -> bool | None:
    """The same of the dialect that a model says it speaks, and of what it says of searching."""
    if name != COMPACT:
        return False
    return None if said is None else str(said).casefold() == "true"


def said(model: str | Path) -> Dialect | None:
    """As `told`, with the system text that a chat was learnt with and what it says of searching."""
    if Path(model).is_file():
        return _said_in_gguf(model)
    file = Path(model) / FILE if Path(model).is_dir() else _cached(str(model))
    if file is None or not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        name, system = str(found["dialect"]), found.get("system", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{str(file)!r} does not tell the model's dialect") from error
    return _with(dialect(name, repr(str(file))), str(system), found.get("search"))


def _said_in_gguf(model: str | Path) -> Dialect | None:
    from ltf_lite.engines.llama.check import metadata

    name = metadata(model, KEY)
    if name is None:
        return None
    own = dialect(name, f"the GGUF file {str(model)!r}")
    return _with(own, metadata(model, SYSTEM_KEY) or "", metadata(model, SEARCH_KEY))


def _with(own: Dialect, system: str, search: Any) -> Dialect:
    """A dialect with what only its kind has."""
    if chats(own.name):
        return replace(own, system=system)
    return replace(own, search=knows_search(own.name, search)) if own.name == COMPACT else own


def automatic(model: str | Path) -> str:
    """The dialect that `auto` is for a folder, a GGUF file or a hub name; raises EngineError."""
    return told(model) or (CHAT if _has_template(str(model)) else DEFAULT)


@lru_cache(maxsize=16)
def _has_template(model: str) -> bool:
    from ltf_lite.engines import pretrained

    if Path(model).is_file():
        from ltf_lite.engines.llama.check import metadata

        return bool(metadata(model, TEMPLATE_KEY))
    try:
        return default_template(pretrained.tokenizer(model).chat_template) is not None
    except EngineError:
        raise
    except Exception as error:  # a broken tokenizer fails in transformers in many ways
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise EngineError(
            f"cannot see whether {model!r} has a chat template: {line} (say the dialect instead "
            "of auto)"
        ) from error


def asked_and_learnt(model: str | Path, ask: str | None, learn: str | None) -> tuple[str, str]:
    """The dialects in which a base is asked and its tuned copy learns, where a preset says none.

    A base that says what it speaks keeps it. Any other is asked few-shot and learns zero-shot;
    one that is asked compactly learns compactly, one that is asked in a chat learns in a chat,
    without the worked examples.
    `auto` is chat for a base with a chat template, and else as if it were not said.
    """
    own = told(model) if ask is None or learn is None else None
    if AUTO in (ask, learn):
        own = told(model)
        best = None if automatic(model) == DEFAULT else automatic(model)
        ask, learn = (best if wish == AUTO else wish for wish in (ask, learn))
    asked = ask or own or DEFAULT
    return asked, learn or own or learnt_from(asked)


def learnt_from(asked: str) -> str:
    """The dialect that is learnt by default where a base is asked in that one."""
    return CHAT if chats(asked) else "compact" if asked == "compact" else "zero_shot"


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, FILE)
    except HFValidationError:  # no name that the Hub could have
        return None
    return Path(found) if isinstance(found, str) else None

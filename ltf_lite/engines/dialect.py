"""How a task is put into a model's words, and how such a prompt becomes tokens.

A model is asked in one dialect and may learn another: a base is asked few-shot, and what is tuned
learns zero-shot (Ni et al., arXiv 2504.11364). What a model speaks is told in its folder
(`ltf.json`) and in its GGUF file (`ltf.dialect`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ltf_lite.engines.base import EngineError

Name = Literal["compact", "few_shot", "zero_shot"]
NAMES: tuple[str, ...] = get_args(Name)
FILE = "ltf.json"  # in a model's folder
KEY = "ltf.dialect"  # in a GGUF file's metadata
DEFAULT = "few_shot"  # of a model that does not say what it speaks


@dataclass(frozen=True)
class Dialect:
    """The words in which a model is asked; tasks write their prompts by its `name`.

    `begins`: a prompt begins with the tokenizer's beginning-of-sequence token, where it has one.
    """

    name: str = DEFAULT
    begins: bool = True

    def encode(self, tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
        """The token ids of prompts under a transformers tokenizer.

        What it puts behind a text, such as its end token, is left out: a model goes on from there.
        """
        if not prompts:
            return []
        ids = tokenizer(list(prompts), add_special_tokens=self.begins)["input_ids"]
        behind = _behind(tokenizer) if self.begins else 0
        return [row[: len(row) - behind] for row in ids] if behind else ids


def _behind(tokenizer: Any) -> int:
    """How many tokens a tokenizer puts behind a text."""
    bare, full = (tokenizer("1", add_special_tokens=own)["input_ids"] for own in (False, True))
    for before in range(len(full) - len(bare) + 1):
        if full[before : before + len(bare)] == bare:
            return len(full) - before - len(bare)
    return 0


def dialect(name: str, where: str = "") -> Dialect:
    """The dialect of that name; raises EngineError. `where` is what names it, for the sentence."""
    if name not in NAMES:
        named = f"{where} names a dialect that is" if where else "the dialect is"
        raise EngineError(f"{named} not known here: {name!r} (known: {', '.join(NAMES)})")
    return Dialect(name)


def told(model: str | Path) -> str | None:
    """The dialect that a model folder, a GGUF file or a name in the Hub's cache says it speaks.

    None where it says none. Raises EngineError where it says something that is no dialect.
    """
    if Path(model).is_file():
        from ltf_lite.engines.llama.check import metadata

        own = metadata(model, KEY)
        return own and dialect(own, f"the GGUF file {str(model)!r}").name
    file = Path(model) / FILE if Path(model).is_dir() else _cached(str(model))
    if file is None or not file.is_file():
        return None
    try:
        name = str(json.loads(file.read_text(encoding="utf-8"))["dialect"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{str(file)!r} does not tell the model's dialect") from error
    return dialect(name, repr(str(file))).name


def tell(folder: str | Path, name: str) -> None:
    """Write into a model's folder which dialect it speaks."""
    spoken = {"dialect": dialect(name).name}
    (Path(folder) / FILE).write_text(json.dumps(spoken) + "\n", encoding="utf-8")


def spoken(model: str | Path) -> Dialect:
    """The dialect to ask a model folder or a hub name in: its own, few-shot where it has none."""
    return Dialect(told(model) or DEFAULT)


def asked_and_learnt(model: str | Path, ask: str | None, learn: str | None) -> tuple[str, str]:
    """The dialects in which a base is asked and its tuned copy learns, where a preset says none.

    A base that says what it speaks keeps it. Any other is asked few-shot and learns zero-shot;
    one that is asked compactly learns compactly.
    """
    own = told(model) if ask is None or learn is None else None
    asked = ask or own or DEFAULT
    return asked, learn or own or ("compact" if asked == "compact" else "zero_shot")


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, FILE)
    except HFValidationError:  # no name that the Hub could have
        return None
    return Path(found) if isinstance(found, str) else None

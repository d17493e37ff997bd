"""Ollama: a Modelfile that asks a GGUF file, q8_0 where there is one, as it was tuned."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from ltf_lite.core.files import write_text
from ltf_lite.engines.template import Frame
from ltf_lite.export.formats import Exported, Exporter

PLAINLY = "{{ .Prompt }}\n"


class Ollama(Exporter):
    """A Modelfile; nothing here starts Ollama."""

    title: ClassVar[str] = "Ollama"

    name: Literal["ollama"] = "ollama"

    def write(self, exported: Exported) -> list[Path]:
        path = exported.folder / "Modelfile"
        file = exported.asked_file.name
        ends = [exported.end] if exported.end else []
        text = modelfile(file, [*ends, *exported.stop], exported.room, exported.frame)
        write_text(path, text)
        return [path]

    def hint(self, exported: Exported) -> str:
        typed = shlex.quote(exported.question.rstrip("\n"))
        return (
            "### Ollama\n\n"
            f"```\nollama create {exported.name} -f Modelfile\n"
            f"ollama run {exported.name} {typed}\n```\n\n"
            "The Modelfile keeps to Ollama's grammar; it was not tried with Ollama itself.\n"
        )


def modelfile(file: str, stop: Sequence[str], room: int, frame: Frame | None = None) -> str:
    """A Modelfile of a GGUF file: greedily, the prompt alone or in the frame of a chat."""
    lines = [
        f"FROM ./{file}",
        f'TEMPLATE """{_template(frame) if frame else PLAINLY}"""',
        *([f'SYSTEM """{frame.system}"""'] if frame and _named(frame) else []),
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",  # numbers do repeat, and its default is above 1
        f"PARAMETER num_predict {room}",
        *(f"PARAMETER stop {_quoted(each)}" for each in stop),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A value as it is: Ollama knows no escapes, and reads to the quotes that it began with."""
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'


def _template(frame: Frame) -> str:
    """A frame as a template of Go, which calls the system text and the prompt by name."""
    head = _plain(frame.before)
    if _named(frame):
        before, _, rest = frame.before.rpartition(frame.system.strip())
        head = f"{_plain(before)}{{{{ .System }}}}{_plain(rest)}"
    return f"{head}{{{{ .Prompt }}}}{_plain(frame.after)}"


def _named(frame: Frame) -> bool:
    """Whether the system text is a part of its own, which has no way to write three quotes."""
    return bool(frame.system.strip()) and not _ends_early(frame.system)


def _ends_early(text: str) -> bool:
    """Whether a Modelfile takes a quote of the text for the end of it."""
    return '"""' in text or text.endswith('"')


def _plain(text: str) -> str:
    """A text as it is in a template of Go inside three quotes."""
    own = r"\{\{|\"" if _ends_early(text) else r"\{\{"
    return re.sub(own, lambda found: f"{{{{ {json.dumps(found[0])} }}}}", text)


PLUGIN = Ollama

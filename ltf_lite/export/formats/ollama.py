"""Ollama: a Modelfile that asks the last GGUF file as it was tuned."""

from __future__ import annotations

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
        file = list(exported.files.values())[-1].name
        ends = [exported.end] if exported.end else []
        text = modelfile(file, [*ends, *exported.stop], exported.room, exported.frame)
        write_text(path, text)
        return [path]

    def hint(self, exported: Exported) -> str:
        return (
            f"Ollama: `ollama create {exported.name} -f Modelfile` (the Modelfile was not tried "
            "out)"
        )


def modelfile(file: str, stop: Sequence[str], room: int, frame: Frame | None = None) -> str:
    """A Modelfile of a GGUF file: greedily, the prompt alone or in the frame of a chat."""
    lines = [
        f"FROM ./{file}",
        f'TEMPLATE """{_template(frame) if frame else PLAINLY}"""',
        *([f'SYSTEM """{frame.system}"""'] if frame and frame.system else []),
        "PARAMETER temperature 0",
        f"PARAMETER num_predict {room}",
        *("PARAMETER stop " + '"' + each.replace("\n", "\\n") + '"' for each in stop),
    ]
    return "\n".join(lines) + "\n"


def _template(frame: Frame) -> str:
    """A frame as a template of Go, which calls the system text and the prompt by name."""
    before, system, rest = frame.before.rpartition(frame.system.strip() or frame.before)
    head = f"{_plain(before)}{{{{ .System }}}}{_plain(rest)}" if frame.system else _plain(system)
    return f"{head}{{{{ .Prompt }}}}{_plain(frame.after)}"


def _plain(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


PLUGIN = Ollama

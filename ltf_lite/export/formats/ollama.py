"""Ollama: a Modelfile that asks the last GGUF file as it was tuned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from ltf_lite.core.files import write_text
from ltf_lite.export.formats import Exported, Exporter


class Ollama(Exporter):
    """A Modelfile; nothing here starts Ollama."""

    title: ClassVar[str] = "Ollama"

    name: Literal["ollama"] = "ollama"

    def write(self, exported: Exported) -> list[Path]:
        path = exported.folder / "Modelfile"
        file = list(exported.files.values())[-1].name
        write_text(path, modelfile(file, exported.stop, exported.room))
        return [path]

    def hint(self, exported: Exported) -> str:
        return (
            f"Ollama: `ollama create {exported.name} -f Modelfile` (the Modelfile was not tried "
            "out)"
        )


def modelfile(file: str, stop: Sequence[str], room: int) -> str:
    """A Modelfile of a GGUF file: no chat template, greedily."""
    lines = [
        f"FROM ./{file}",
        'TEMPLATE """{{ .Prompt }}\n"""',
        "PARAMETER temperature 0",
        f"PARAMETER num_predict {room}",
        *("PARAMETER stop " + '"' + each.replace("\n", "\\n") + '"' for each in stop),
    ]
    return "\n".join(lines) + "\n"


PLUGIN = Ollama

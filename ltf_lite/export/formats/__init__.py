"""Exporters: what is written beside the GGUF files for other programs. One file each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltf_lite.core.plugins import Plugin, Registry
from ltf_lite.engines.template import Frame
from ltf_lite.tasks import Task


@dataclass(frozen=True)
class Exported:
    """What a run has exported.

    `folder` is where its files lie and where an exporter writes; `model` is the folder of the
    merged 16-bit weights; `files` are the GGUF files by kind, f16 first; `lora` is the adapter's,
    where it was asked for. The model is asked in `dialect`: `problem` is one of `task` as a person
    types it, `prompt` all that the model reads of it, `question` what a chat's user says. `stop`
    are the strings that end an answer, `room` is how many tokens one may have. Of a chat, `frame`
    is what stands around the user's text, worked examples as earlier turns too, without the token
    that every text begins with, and `end` is the token that ends a reply.
    """

    name: str
    folder: Path
    model: Path
    files: Mapping[str, Path]
    task: Task
    dialect: str
    problem: str
    prompt: str
    question: str
    stop: tuple[str, ...]
    room: int
    frame: Frame | None = None
    end: str = ""
    lora: Path | None = None

    @property
    def asked_file(self) -> Path:
        """The GGUF file to ask: q8_0 where there is one, of a small model little worse than f16."""
        return self.files.get("q8_0", [*self.files.values()][-1])


class Exporter(Plugin):
    """Writes a run's model for another program; its fields are its settings.

    `hint` is a section of the model card that says how to use what was written.
    """

    name: str

    @abstractmethod
    def write(self, exported: Exported) -> list[Path]:
        """The files that it wrote into `exported.folder`; raises ExportError."""

    def hint(self, exported: Exported) -> str:
        """A section of Markdown for the model card, its title of third rank first, or nothing."""
        return ""


EXPORTERS: Registry[Exporter] = Registry("ltf_lite.export.formats", "exporter", Exporter)

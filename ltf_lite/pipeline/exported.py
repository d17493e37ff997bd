"""What a finished run has exported: where it lies, and how it comes to the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltf_lite.core.files import PASSING
from ltf_lite.core.progress import say
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.pipeline.run.summary import missing

if TYPE_CHECKING:
    from ltf_lite.export.push import Pushed

RECORDS = (".json",)  # among exported files they are the run's own


@dataclass(frozen=True)
class Outcome:
    """Where everything is that a run has exported; `base` is what the adapter belongs to."""

    gguf: tuple[Path, ...]
    adapter: Path | None
    model: Path
    card: Path
    base: str

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        told = {name: value and str(value) for name, value in vars(self).items() if name != "gguf"}
        return {"gguf": [str(file) for file in self.gguf], **told}


def finished(folder: Path) -> Run:
    """The run of a folder that has exported; raises RunError, BrokenFile."""
    run = Run.load(folder)
    if (waits := missing(run)) is not None:
        raise RunError(
            f"{folder} has nothing to export yet: the stage {waits} is not done, `ltf train` goes "
            "on with it"
        )
    return run


def files_of(run: Run) -> dict[str, Path]:
    """The run's GGUF files by kind, the largest first, which is f16."""
    name = run.preset.name
    there = sorted(run.at.gguf.glob("*.gguf"), key=lambda file: -file.stat().st_size)
    own = {file.name.removeprefix(f"{name}.").removesuffix(".gguf"): file for file in there}
    return {kind: file for kind, file in own.items() if file.name == f"{name}.{kind}.gguf"}


def adapter_of(run: Run) -> Path:
    """Where the adapter's GGUF file is, or would be."""
    return run.at.lora / f"{run.preset.name}.lora.gguf"


def outcome(run: Run) -> Outcome:
    """What is there."""
    lora = adapter_of(run)
    return Outcome(
        gguf=tuple(files_of(run).values()),
        adapter=lora if lora.is_file() else None,
        model=run.at.model,
        card=run.at.card,
        base=run.preset.model.base,
    )


def pushed(run: Run, repo: str, public: bool) -> Pushed:
    """The run's GGUF files, its card and what lies beside them, on the Hub.

    Raises UsageError, ExportError.
    """
    from ltf_lite.export.push import check_reach, push

    folder = run.at.gguf
    files = {
        file.relative_to(folder).as_posix(): file
        for file in sorted([*folder.iterdir(), *run.at.lora.glob("*.gguf")])
        if file.is_file() and file.suffix not in (*RECORDS, *PASSING) and file.name[0] != "."
    }
    check_reach(repo)
    size = sum(file.stat().st_size for file in files.values()) / 2**20
    say(f"Pushing {len(files)} files ({size:.0f} MiB) to {repo}")
    return push(files, repo, public)

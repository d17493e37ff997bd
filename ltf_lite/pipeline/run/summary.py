"""What a run came to, for a person and for a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ltf_lite.core.files import read_as
from ltf_lite.core.manifest import StageEntry
from ltf_lite.evaluation.retention import Missed, said
from ltf_lite.evaluation.types import Result
from ltf_lite.export.gguf.types import Parity
from ltf_lite.pipeline.abilities import below
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.report.results import Headline, headline, results
from ltf_lite.report.tables.base import percent


@dataclass(frozen=True)
class Summary:
    """A run's stages, results, headline, missed floors, parity and report.

    What is not there yet is None; `report` is the path of its page.
    """

    run: str
    preset: str
    stages: dict[str, StageEntry]
    headline: Headline | None
    results: list[Result]
    below: list[Missed]
    parity: Parity | None
    report: str | None


def summary(run: Run) -> Summary:
    """What a run came to so far."""
    table = results(run.at)
    return Summary(
        run=str(run.folder),
        preset=run.preset.name,
        stages=run.stages,
        headline=headline(table),
        results=table,
        below=below(run),
        parity=_parity(run),
        report=str(run.at.page) if run.at.page.is_file() else None,
    )


def _parity(run: Run) -> Parity | None:
    return read_as(run.at.parity, Parity) if run.at.parity.is_file() else None


def short(run: Run) -> list[str]:
    """What of the model or of its files is below a floor, in words."""
    parity = _parity(run)
    return [*map(said, below(run)), *(parity.coarse if parity else ())]


def missing(run: Run) -> str | None:
    """The first stage that the report needs and that is not done."""
    names = [stage.name for stage in STAGES if stage.name != "report"]
    return next((name for name in names if run.entry(name).status != "done"), None)


def closing(run: Run) -> str:
    """The headline, every result, and where the files are; raises RunError before evaluation."""
    # scipy, without which the app looks at its jobs
    from ltf_lite.evaluation.success import too_few
    from ltf_lite.report.outcome import busy_sentence, headline_sentence
    from ltf_lite.report.tables.differences import differences
    from ltf_lite.report.worse import worse_sentences

    table, stage = results(run.at), missing(run)
    waits = f"the stage {stage} is not done, `ltf train` goes on with it"
    top = headline(table)
    if top is None:
        raise RunError(f"{run.folder} has no results yet: {waits}")
    lines = [
        "",
        headline_sentence(top, differences(run.at).single, run.manifest),
        *filter(None, (worse_sentences(run.at), busy_sentence(run.manifest))),
        *(f"TOO FEW: {few}." for few in (too_few(top.tuned.rate.n),) if few),
        *(f"BELOW ITS FLOOR: {each}." for each in short(run)),
        "",
        *_lines(table),
        "",
        f"Report: {run.at.page if stage is None else waits}",
        *(f"Model:  {file}" for file in sorted(run.at.gguf.glob("*.gguf"))),
    ]
    return "\n".join(lines)


def _lines(table: Sequence[Result]) -> list[str]:
    """A line for each result, in columns; none for an upper bound that what it bounds reaches."""
    met = {(row.model, row.label, row.rate.rate) for row in table if not row.choice.is_bound}
    table = [
        row
        for row in table
        if not row.choice.is_bound or (row.model, row.label, row.rate.rate) not in met
    ]
    width = max(len(row.answer) for row in table)
    names = max(len(row.model) for row in table) + 2
    return [
        f"  {row.model:<{names}}{row.answer:<{width}}  {percent(row.rate):<24}"
        f"{row.cost.tokens:>7.0f} tokens{1000 * row.cost.seconds:>10.2f} ms"
        for row in table
    ]

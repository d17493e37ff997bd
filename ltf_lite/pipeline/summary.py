"""What a run came to, for a person and for a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltf_lite.evaluation.retention import said
from ltf_lite.files import read_json
from ltf_lite.pipeline.abilities import below
from ltf_lite.pipeline.run import Run, RunError
from ltf_lite.pipeline.train import STAGES
from ltf_lite.report.results import headline, headline_sentence, rows
from ltf_lite.report.tables import percent


def summary(run: Run) -> dict[str, Any]:
    """Stage status, results, headline, missed floors, parity and report of a run, as JSON data."""
    table, page = rows(run.folder), page_of(run)
    parity = run.folder / "gguf" / "parity.json"
    return {
        "run": str(run.folder),
        "preset": run.preset.name,
        "stages": run.stages,
        "headline": headline(table) if _answered(table) else None,
        "results": table,
        "below": below(run),
        "parity": read_json(parity) if parity.is_file() else None,
        "report": str(page) if page.is_file() else None,
    }


def page_of(run: Run) -> Path:
    return run.folder / "report" / "index.html"


def missing(run: Run) -> str | None:
    """The first stage that the report needs and that is not done."""
    names = [stage.name for stage in STAGES if stage.name != "report"]
    return next((n for n in names if run.stages.get(n, {}).get("status") != "done"), None)


def _answered(table: list[dict[str, Any]]) -> bool:
    """Whether the tuned model's single pass is there; the base is asked long before."""
    return any(r["model"] == "tuned" and r["choice"] == "greedy" for r in table)


def closing(run: Run) -> str:
    """The headline, every result, and where the files are; raises RunError before evaluation."""
    table, stage = rows(run.folder), missing(run)
    waits = f"the stage {stage} is not done, `ltf train` goes on with it"
    if not _answered(table):
        raise RunError(f"{run.folder} has no results yet: {waits}")
    width = max(len(r["answer"]) for r in table)
    names = max(len(r["model"]) for r in table) + 2
    lines = [
        f"  {r['model']:<{names}}{r['answer']:<{width}}  {percent(r):<24}"
        f"{r['tokens']:>7.0f} tokens{1000 * r['seconds']:>10.2f} ms"
        for r in table
    ]
    files = sorted(str(file) for file in (run.folder / "gguf").glob("*.gguf"))
    report = page_of(run) if stage is None else waits
    return "\n".join(
        ["", headline_sentence(headline(table)),
         *(f"BELOW ITS FLOOR: {said(row)}." for row in below(run)), "", *lines, "",
         f"Report: {report}", *(f"Model:  {file}" for file in files)]
    )  # fmt: skip

"""What a run came to, for a person and for a machine."""

from __future__ import annotations

from typing import Any

from ltf_lite.files import read_json
from ltf_lite.pipeline.run import Run, RunError
from ltf_lite.report.results import headline, headline_sentence, percent, rows


def summary(run: Run) -> dict[str, Any]:
    """Stage status, results, headline and parity of a run, as JSON data."""
    table = rows(run.folder)
    parity = run.folder / "gguf" / "parity.json"
    return {
        "run": str(run.folder),
        "preset": run.preset.name,
        "stages": run.stages,
        "headline": headline(table) if _answered(table) else None,
        "results": table,
        "parity": read_json(parity) if parity.is_file() else None,
    }


def _answered(table: list[dict[str, Any]]) -> bool:
    """Whether the tuned model's single pass is there; the base is asked long before."""
    return any(r["model"] == "tuned" and r["choice"] == "greedy" for r in table)


def closing(run: Run) -> str:
    """The headline, every result, and where the files are; raises RunError before evaluation."""
    table = rows(run.folder)
    if not _answered(table):
        raise RunError(f"{run.folder} has no results yet: `ltf train` goes on with it")
    width = max(len(r["answer"]) for r in table)
    names = max(len(r["model"]) for r in table) + 2
    lines = [
        f"  {r['model']:<{names}}{r['answer']:<{width}}  {percent(r):<24}"
        f"{r['tokens']:>7.0f} tokens{1000 * r['seconds']:>10.2f} ms"
        for r in table
    ]
    files = sorted(str(file) for file in (run.folder / "gguf").glob("*.gguf"))
    return "\n".join(
        ["", headline_sentence(headline(table)), "", *lines, "",
         f"Report: {run.folder / 'report' / 'report.md'}", *(f"Model:  {file}" for file in files)]
    )  # fmt: skip

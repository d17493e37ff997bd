"""Write the report and say the headline."""

from __future__ import annotations

from ltf_lite.files import write_text
from ltf_lite.pipeline.run import Run
from ltf_lite.report.markdown import report
from ltf_lite.report.picture import picture
from ltf_lite.report.results import as_csv, rows


def main(run: Run) -> None:
    folder = run.folder / "report"
    folder.mkdir(exist_ok=True)
    results = rows(run.folder)
    picture(results, folder / "headline.png")
    write_text(folder / "results.csv", as_csv(results))
    write_text(folder / "report.md", report(run.folder, run.manifest))

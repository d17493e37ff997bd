"""Follow the successes, forget the failures; keep the checkpoint that validates best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltf_lite.engines import model_path
from ltf_lite.engines.torch_engine import TorchEngine, read_style
from ltf_lite.evaluation import record
from ltf_lite.files import write_json
from ltf_lite.harvest import examples, read
from ltf_lite.pipeline.common import problems_of, seed_of, set_threads, task_of, threads_of
from ltf_lite.pipeline.run import Run
from ltf_lite.progress import bar
from ltf_lite.reasoners import CoT
from ltf_lite.tuning import TuneSettings, tune


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    settings = settings_of(run)
    preset, folder = run.preset, run.folder / "tuning"
    chosen, counts = examples(
        read(run.folder / "harvest"),
        task_of(run),
        preset.tuning.credit,
        preset.harvest.successes_per_problem,
        preset.harvest.failures_per_problem,
        seed_of(preset.seed, "examples"),
    )
    write_json(folder / "examples.json", counts)
    path = model_path(preset.model.base)
    with bar("tune: steps", settings.steps) as advance:
        shown = 0

        def progress(facts: dict[str, Any]) -> None:
            nonlocal shown
            note = f"learning {facts['learning']:.3f}, forgetting {facts['forgetting']:.3f}"
            advance(facts["step"] - shown, note)
            shown = facts["step"]

        result = tune(path, chosen, folder, settings, _validation(run, path), progress)
    return {"best_step": result["step"], "examples": len(chosen),
            "tokens_per_second": round(result["tokens_per_second"], 1)}  # fmt: skip


def settings_of(run: Run) -> TuneSettings:
    own = run.preset.tuning.model_dump(exclude={"credit"})
    return TuneSettings(
        **own, load_in_4bit=run.preset.model.load_in_4bit, threads=threads_of(run),
        seed=seed_of(run.preset.seed, "tune"),
    )  # fmt: skip


def _validation(run: Run, path: str):
    """Single pass on the validation problems: success and valid steps."""
    task, problems = task_of(run), problems_of(run, "validation")
    section = next(s for s in run.preset.evaluation if s.single_pass)
    reasoner = CoT(**section.settings())

    def validate(model, tokenizer) -> dict[str, float]:
        engine = TorchEngine(model, tokenizer, read_style(Path(path)))
        found = record(list(reasoner.solve(problems, task, engine, 0)), task, 0.0, 0)
        return {"success": found["rates"]["greedy"]["rate"], "valid_steps": found["valid_steps"]}

    return validate

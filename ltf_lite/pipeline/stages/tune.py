"""Follow the successes, forget the failures; keep the checkpoint that validates best."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from ltf_lite.engines import model_path
from ltf_lite.engines.torch_engine import TorchEngine, read_style
from ltf_lite.evaluation import record
from ltf_lite.files import write_json
from ltf_lite.harvest import Example, Limits, examples, read
from ltf_lite.pipeline import fit
from ltf_lite.pipeline.common import problems_of, seed_of, set_threads, task_of, threads_of
from ltf_lite.pipeline.run import Run
from ltf_lite.progress import bar, say
from ltf_lite.reasoners import CoT
from ltf_lite.tuning import TuneSettings, TuningError, tune


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    preset, folder = run.preset, run.folder / "tuning"
    harvest = preset.harvest
    chosen, counts = examples(
        read(run.folder / "harvest", harvest.reasoners, preset.task.name),
        task_of(run),
        preset.tuning.credit,
        Limits(**harvest.model_dump(exclude={"reasoners", "negatives"}), **dict(harvest.negatives)),
        seed_of(_seed(run), "examples"),
    )
    settings = fitting(settings_of(run), chosen, run)
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
    return replace(
        fit.settings_of(run.preset), threads=threads_of(run), seed=seed_of(_seed(run), "tune")
    )


def _seed(run: Run) -> int:
    own = run.preset.tuning.seed
    return run.preset.seed if own is None else own


def fitting(settings: TuneSettings, examples: list[Example], run: Run) -> TuneSettings:
    """The settings that the examples allow: SFT where there is nothing to forget.

    Raises TuningError where there is nothing to follow.
    """
    if not any(example.good for example in examples):
        raise TuningError(
            f"the search found no right path to follow ({solved_by_reasoner(run)}): search more "
            "problems, draw more samples, or add {name: dfs}, which solves them exactly"
        )
    if settings.method == "sft" or not all(example.good for example in examples):
        return settings
    say(f"  no failed path to forget among the examples: this is sft, not {settings.method}")
    return replace(settings, method="sft")


def solved_by_reasoner(run: Run) -> str:
    """How many of its problems each reasoner of the search solved, in words."""
    asked: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in read(run.folder / "harvest"):
        own = asked[row["reasoner"]]
        own[row["problem_id"]] = own.get(row["problem_id"], False) or row["correct"]
    counts = (f"{name}: {sum(own.values())} of {len(own)}" for name, own in asked.items())
    return "; ".join(counts) or "no path at all"


def _validation(run: Run, path: str):
    """Single pass on the validation problems: success and valid steps."""
    task, problems = task_of(run), problems_of(run, "validation")
    section = next(s for s in run.preset.evaluation if s.single_pass)
    reasoner = CoT(**section.settings())

    def validate(model, tokenizer) -> dict[str, float]:
        engine = TorchEngine(model, tokenizer, read_style(path))
        found = record(list(reasoner.solve(problems, task, engine, 0)), task, 0.0, 0)
        return {"success": found["rates"]["greedy"]["rate"], "valid_steps": found["valid_steps"]}

    return validate

"""Follow the successes, forget the failures; keep the checkpoint that validates best.

That is the one with the most success among those that kept the base's abilities above the floors.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

from ltf_lite.engines import model_path
from ltf_lite.engines.torch_engine import TorchEngine, read_style
from ltf_lite.evaluation.retention import kept, missed, said, unheld
from ltf_lite.files import read_json, write_json
from ltf_lite.harvest import Example, Limits, examples, read, solved
from ltf_lite.pipeline import abilities, fit
from ltf_lite.pipeline.common import engine_of, searched, seed_of, set_threads, task_of, threads_of
from ltf_lite.pipeline.run import Run
from ltf_lite.progress import bar, say
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
    base = abilities.values(_base(run))
    with bar("tune: steps", settings.steps) as advance:
        shown = 0

        def progress(facts: dict[str, Any]) -> None:
            nonlocal shown
            note = f"learning {facts['learning']:.3f}, forgetting {facts['forgetting']:.3f}"
            advance(facts["step"] - shown, note)
            shown = facts["step"]

        path = model_path(preset.model.base)
        result = tune(path, chosen, folder, settings, _validation(run, path, base), progress)
    for row in abilities.below(run):
        say(f"  BELOW ITS FLOOR, even at the best checkpoint: {said(row)}")
    return {"best_step": result["step"], "examples": len(chosen),
            "tokens_trained": sum(result["tokens"].values()),
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
    found = solved(run.folder / "harvest")
    return "; ".join(f"{name}: {found.get(name, 0)} of {n}" for name, n in searched(run).items())


def _base(run: Run) -> dict[str, abilities.Ability]:
    """The base's own abilities on the validation problems, measured before the first step."""
    file = run.folder / "tuning" / "base.json"
    asked = [section.model_dump(mode="json") for section in run.preset.evaluation]
    if file.is_file() and (known := read_json(file))["asked"] == asked:
        return known["abilities"]
    say("  measuring what the base can do")
    engine = engine_of(run, "base")
    try:
        found = abilities.validate(run, engine)
    finally:
        engine.close()
        gc.collect()  # modules may hold themselves; tuning needs the room that they take
    for name in unheld(abilities.values(found), run.preset.retention.floors()):
        say(f"  the base's {name} is 0: its floor is met whatever tuning does")
    write_json(file, {"abilities": found, "asked": asked})
    return found


def _validation(run: Run, path: str, base: dict[str, float]):
    """How a checkpoint did: its success, its abilities, what of the base's it kept."""
    floors = run.preset.retention.floors()

    def validate(model, tokenizer) -> dict[str, Any]:
        engine = TorchEngine(model, tokenizer, read_style(path))
        found = abilities.validate(run, engine)
        now, single = abilities.values(found), found[abilities.SINGLE_PASS]
        share = kept(base, now)
        lost = missed(share, floors)
        return {"success": single["rate"], "valid_steps": now["valid_steps"],
                **{key: single[key] for key in ("low", "high", "n")},
                "abilities": now, "kept": share,
                "shortfall": lost[0]["shortfall"] if lost else 0.0}  # fmt: skip

    return validate

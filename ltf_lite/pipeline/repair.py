"""`ltf repair`: give a tuned model back the search that it lost, by what its base said."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from ltf_lite.pipeline.common import plain
from ltf_lite.pipeline.graph import STAGES, stage_of
from ltf_lite.pipeline.run.adopt import adopt
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.pipeline.run.lock import locked, signed
from ltf_lite.pipeline.train import check, finish
from ltf_lite.presets import Preset, parse

STEPS = 600
REPLAY = 0.36  # of the rows
SLOWER = 0.5  # times the run's learning rate


def repair(source: Path, folder: Path | None = None, steps: int = STEPS) -> Run:
    """Tune a finished run's model on, its successes beside what the base said while it searched.

    A run of its own, by default beside the source's, with the same problems, base and harvest; it
    is evaluated and exported as any other. Raises RunError.
    """
    told = Run.load(source)
    preset = repaired(told, steps)
    folder = folder or beside(source, preset.name)
    check(preset)
    with locked(folder), ExitStack() as work:
        run = Run.prepare(folder, preset, False)
        adopt(run, told)
        finish(run, STAGES, lambda: work.enter_context(signed(folder)))
        return run


def beside(source: Path, name: str) -> Path:
    """The folder of that name beside a run's, which may be told as `.` too."""
    told = source.resolve() if source.name in ("", "..") else source
    return told.with_name(name)


def continued(preset: Preset, run: Run) -> Preset:
    """The preset with a run's adapter to go on from; raises RunError where it has none."""
    tuned = (run.at.model / "config.json").is_file()
    if not tuned or not all(_done(run, name) for name in ("tune", "merge")):
        own = run.preset.previous
        verb = f"`ltf again {own}`" if own else "`ltf train`"
        raise RunError(
            f"{run.folder} has no tuned model {'of its settings' if tuned else 'yet'}: finish it "
            f"with {verb} first"
        )
    tuning = preset.tuning.model_copy(update={"start": str(run.at.adapter)})
    return preset.model_copy(update={"tuning": tuning})


def _done(run: Run, name: str) -> bool:
    """Whether a stage was done with the settings that the run has now."""
    stage, entry = stage_of(name), run.entry(name)
    return entry.status == "done" and entry.input == run.input_hash(stage.parts, stage.upstream)


def repaired(run: Run, steps: int = STEPS) -> Preset:
    """The preset that repairs a run; raises RunError where there is nothing to repair it by."""
    old = continued(run.preset, run).tuning
    if not any(run.at.harvest.glob("replay-*.parquet")):
        raise RunError(
            f"{run.folder} has nothing to repair its model by: no tree search asked the base "
            "anything, or an earlier ltf searched; add {name: tot} to the preset's search and "
            "train it anew"
        )
    changes = {
        "steps": steps,
        "eval_every": max(1, steps // 3),
        "warmup": min(old.warmup, steps // 10),
        "learning_rate": SLOWER * old.learning_rate,
        "replay": REPLAY,
    }
    tuning = plain(old).model_copy(update=changes).model_dump(mode="json")
    told = {**run.manifest.preset, "name": f"{run.preset.name}-repaired", "tuning": tuning}
    return parse(told, f"the repair of {run.folder}")

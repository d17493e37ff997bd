"""What can be known to be impossible before anything of a run is written."""

from __future__ import annotations

from pathlib import Path

from ltf_lite.core.files import BrokenFile
from ltf_lite.core.places import place
from ltf_lite.engines import EngineError, base_ref
from ltf_lite.engines.hub import at_hand
from ltf_lite.evaluation.heldout import HeldoutError, paragraphs
from ltf_lite.evaluation.retention import OTHER, SIBLING
from ltf_lite.pipeline.abilities import heldout_file
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.presets import Preset, PresetError
from ltf_lite.reasoners import able
from ltf_lite.tasks import SPLITS, TaskError
from ltf_lite.tuning import trackers
from ltf_lite.tuning.checkpoints import SETTINGS


def check(preset: Preset) -> None:
    """Refuse what a run could not do.

    Raises TaskError, ReasonerError and PresetError.
    """
    _base(preset)
    for split in SPLITS:
        preset.task.problems(split, 1, preset.seed)
    for reasoner in (*preset.search, *preset.evaluation):
        able(reasoner, preset.task)
    _texts(preset)
    _floors(preset)
    _previous(preset)
    if (start := preset.tuning.start) and not (place(start) / SETTINGS).is_file():
        raise PresetError(
            f"tuning.start: {start} is no adapter: there is no {SETTINGS} in it; a run's lies in "
            "its tuning/adapter"
        )
    if lacking := trackers.lacking(preset.tuning.report_to):
        raise PresetError(
            f"tuning.report_to: {lacking[0]} is not installed here: `pip install {lacking[0]}`, or "
            "leave it out"
        )
    # what it imports comes with pyarrow, which the app starts without
    from ltf_lite.pipeline.executors.plugin import executor_of

    executor_of(preset)


def _base(preset: Preset) -> None:
    """Refuse a base that can't be."""
    try:
        base_ref(preset.model.base)
    except EngineError as error:
        raise PresetError(f"model.base: {error}") from error


def check_at_hand(preset: Preset) -> None:
    """Refuse a base of the Hub that can't be had, before torch is loaded.

    Raises RunError, or PresetError for a name that hardly is one of the Hub.
    """
    ref = base_ref(preset.model.base)
    if ref.kind == "hub" and not at_hand(ref.place):
        from ltf_lite.export.preflight import WHOLE, unreachable

        why = unreachable(ref.place, list(WHOLE))
        if "/" not in ref.place:  # but for the oldest, a name on the Hub has its owner's before it
            raise PresetError(f"model.base: {why}")
        raise RunError(why)


def _previous(preset: Preset) -> None:
    """Refuse to go on from a run that has no tuned model, or in which other problems are tests."""
    if preset.previous is None:
        return
    folder = place(preset.previous)
    try:
        told = Run.load(folder)
    except (RunError, BrokenFile) as error:
        raise PresetError(f"previous: {error}") from error
    if not (told.at.model / "config.json").is_file():
        raise PresetError(
            f"previous: {folder} has no tuned model yet: finish it with `ltf train` first"
        )
    for name in ("seed", "task", "problems", "model"):
        if getattr(told.preset, name) != getattr(preset, name):
            raise PresetError(
                f"previous: {folder.absolute()} was made with other settings of {name}; a run goes "
                "on with the same seed, task, problems and model, so that no test problem was "
                "trained on"
            )


def check_apart(preset: Preset, folder: Path) -> None:
    """Refuse to write a run where one lies that it goes on from; raises PresetError, RunError."""
    now = preset
    while now.previous is not None:
        if place(now.previous).resolve() == folder.resolve():
            raise PresetError(
                f"previous: {folder} can't go on from itself; give the run another folder with "
                "--out, or the preset another name"
            )
        now = Run.load(place(now.previous)).preset


def _texts(preset: Preset) -> None:
    """Refuse a text that can't be read."""
    try:
        paragraphs(heldout_file(preset))
    except HeldoutError as error:
        raise PresetError(f"retention.heldout: {error}") from error
    if preset.harvest.replay is None:
        return
    # pyarrow comes with it, which the app starts without
    from ltf_lite.harvest.replay import ReplayError, prompts_in

    try:
        prompts_in(place(preset.harvest.replay))
    except ReplayError as error:
        raise PresetError(f"harvest.replay: {error}") from error


def _floors(preset: Preset) -> None:
    """Refuse a floor without anything to measure it on."""
    floors = preset.retention.floors()
    if (other := preset.retention.other) is not None:
        try:
            other.up_to("test", 1, preset.seed)
        except TaskError as error:
            raise PresetError(f"retention.other: {error}") from error
    elif OTHER in floors:
        raise PresetError("retention.other_task needs a task: name one as retention.other")
    if SIBLING in floors and preset.task.sibling() is None:
        raise PresetError(f"retention.sibling: the task {preset.task.name} has no sibling task")

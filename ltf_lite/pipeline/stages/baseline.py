"""Ask the base the test problems with every reasoner, before anything is searched or tuned.

And measure its abilities on the validation problems, which checkpoints are set beside.
"""

from __future__ import annotations

from contextlib import closing

from ltf_lite.core.progress import bar
from ltf_lite.engines import Engine
from ltf_lite.evaluation.types import Abilities, read_abilities, write_record
from ltf_lite.pipeline import abilities
from ltf_lite.pipeline.common import set_threads
from ltf_lite.pipeline.opening import engine_of
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.stages.evaluate import ask, ask_elsewhere


def main(run: Run) -> None:
    set_threads(run)
    ask_elsewhere(run, "base", run.preset.evaluation)
    with closing(engine_of(run, "base")) as engine:
        ask(run, engine, "base", run.preset.evaluation)
        measure(run, engine)


def measure(run: Run, engine: Engine) -> None:
    """Write what the base can do on the validation problems, unless that is there."""
    file, preset = run.at.base_abilities, run.preset
    if file.is_file():
        read_abilities(file, preset.task.name)
        return
    many = len(abilities.named(preset.evaluation)) + abilities.besides(preset)
    with bar("validate the base", many) as advance:
        found = abilities.validate(run, engine, advance)
    write_record(file, Abilities(task=preset.task.name, model="base", abilities=found))

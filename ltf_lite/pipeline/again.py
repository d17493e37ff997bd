"""`ltf again`: search again with a run's tuned model, and tune on; a round is a run of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltf_lite.core.progress import say
from ltf_lite.pipeline.common import round_of
from ltf_lite.pipeline.graph import STAGES, stage_of
from ltf_lite.pipeline.process import in_process
from ltf_lite.pipeline.repair import beside, continued
from ltf_lite.pipeline.run.adopt import adopt
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.pipeline.run.lock import locked, signed
from ltf_lite.pipeline.train import check, check_apart, finish
from ltf_lite.presets import Preset, parse, worked_on

KEPT = tuple(map(stage_of, ("problems", "baseline")))  # the rest is made anew


@dataclass(frozen=True)
class Rise:
    """What a round gained in the single pass on the validation problems, beside the round before.

    `before` and `after` are rates of `n`; `points` is their difference with its 95 % interval, `p`
    McNemar's.
    """

    round: int
    before: float
    after: float
    n: int
    points: float
    low: float
    high: float
    p: float

    @property
    def rose(self) -> bool:
        return self.low > 0


def again(
    source: Path, folder: Path | None = None, executor: Mapping[str, Any] | None = None
) -> tuple[Run, Rise]:
    """The next round after a finished run, and what it gained; raises RunError, PresetError.

    It is a run of its own, by default beside the source, with the same problems and base. Its
    harvest is the old one and what the tuned model finds and fails at (expert iteration: Anthony
    et al. 2017, arXiv 1705.08439). `executor` is where it is searched, in place of the source's.
    """
    told = Run.load(source)
    preset = worked_on(next_round(told), executor)
    folder = folder or beside(source, preset.name)
    check(preset)
    check_apart(preset, folder)
    say(f"Round {round_of(told) + 2} goes to {folder}: the tuned model of {source} searches.")
    with locked(folder), ExitStack() as work:
        run = Run.prepare(folder, preset, False)
        adopt(run, told, KEPT)
        finish(run, STAGES, lambda: work.enter_context(signed(folder)))
        return run, Rise(**in_process(folder, "rise"))


def next_round(run: Run) -> Preset:
    """The preset of the round after a run; raises RunError where there can be none."""
    continued(run.preset, run)  # it has a tuned model
    if not any(reasoner.asks_model for reasoner in run.preset.search):
        raise RunError(
            f"{run.folder} has no use for another round: its search asks no model, so it would "
            "find the same again; add {name: cot, n: 8, temperature: 0.8} to the preset's search "
            "and train it anew"
        )
    stem = re.sub(r"-round-\d+$", "", run.preset.name)
    told: dict[str, Any] = dict(run.manifest.preset)
    number, about = round_of(run) + 2, re.sub(r" \(round \d+: .*\)$", "", run.preset.about)
    told["name"] = f"{stem}-round-{number}"
    how = f"(round {number}: searched with {run.preset.name}'s tuned model, and tuned on from it)"
    told["about"] = f"{about} {how}".strip()
    told["tuning"] = {**told["tuning"], "start": None}  # a repaired run's is older than its own
    told["previous"] = str(run.folder.absolute())
    return parse(told, f"the round after {run.folder}")


def rise_sentence(run: Run, rise: Rise) -> str:
    """What a round gained, and whether another is advised."""
    advice = f"another may gain too: ltf again {run.folder}"
    if not rise.rose:
        found = "it solves less" if rise.high < 0 else "that can't be told from nothing"
        keep = f"; keep {run.preset.previous}" if rise.points < 0 else ""
        advice = f"{found}, so another is not advised{keep}"
    points = f"{rise.points:+.1f} points [{rise.low:+.1f}, {rise.high:+.1f}], p = {rise.p:.2g}"
    return (
        f"Round {rise.round}: the single pass solves {100 * rise.after:.1f} % of the {rise.n} "
        f"validation problems, {100 * rise.before:.1f} % the round before ({points}); {advice}."
    )

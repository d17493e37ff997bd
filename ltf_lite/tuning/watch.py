"""What goes on around the steps: rate, counting, stopping a lost run, validating, the best kept."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import TrainerCallback

from ltf_lite.core.files import read_as, write_as
from ltf_lite.tuning import checkpoints
from ltf_lite.tuning.fold import summed
from ltf_lite.tuning.settings import Tuning, TuningError
from ltf_lite.tuning.types import Best, LogLine, Validation, append_log, read_log

EVERY = 20  # steps between two looks at the losses: each look waits for the device


class Progress(NamedTuple):
    """Where a run is: its mean losses since the last time, and its seconds of training."""

    step: int
    steps: int
    learning: float
    forgetting: float
    seconds: float
    replay: float = 0.0


class Look(NamedTuple):
    """Means over the steps since the last look: the losses, and the gradient's norm."""

    learning: float
    forgetting: float
    replay: float
    norm: float


Validate = Callable[[Any, Any], Validation]  # of a model and its tokenizer
OnProgress = Callable[[Progress], None]


def rate_share(step: int, tuning: Tuning) -> float:
    """Step's learning rate as a share of the peak: linear warm-up, then cosine to the floor."""
    if step < tuning.warmup:
        return (step + 1) / tuning.warmup
    part = min(1.0, (step - tuning.warmup) / max(1, tuning.steps - tuning.warmup))
    return tuning.floor + (1 - tuning.floor) * 0.5 * (1 + math.cos(math.pi * part))


class Watch(TrainerCallback):
    """Looks at the losses, stops a run that explodes, validates after every checkpoint."""

    def __init__(
        self, trainer: Any, tokenizer: Any, validate: Validate, progress: OnProgress
    ) -> None:
        self.trainer, self.tokenizer = trainer, tokenizer
        self.validate, self.progress = validate, progress
        self.looked = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.looked = state.global_step
        log = read_log(self.trainer.folder.log)
        self.trainer.ranks.wait()  # or the first may have written before the others have read
        if state.global_step > (log[-1].step if log else 0):
            self.evaluate(state.global_step)  # it was killed between checkpoint and validation
        ready(self.trainer.model)
        self.trainer.tally.begin()
        self.trainer.mark = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        # Always before a checkpoint, so that none is written of a model that is lost.
        if step % EVERY and not control.should_save:
            return
        seen: Look = self.trainer.look(step - self.looked)
        self.looked = step
        tally = self.trainer.tally
        tally.first = tally.first or (seen.learning, seen.forgetting, seen.replay)
        guard(step, seen, tally.first)
        tell(self.trainer, losses_of(seen, self.trainer.tuning, step))
        losses = seen.learning, seen.forgetting
        self.progress(Progress(step, state.max_steps, *losses, tally.seconds, seen.replay))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluate(state.global_step)

    def evaluate(self, step: int) -> None:
        """Let the first process validate; the others wait for it."""
        if self.trainer.ranks.first:
            self.judge(step)
        self.trainer.ranks.wait()
        self.trainer.tally.begin()
        self.trainer.mark = time.perf_counter()

    def judge(self, step: int) -> None:
        """Validate, keep the adapter if none did better, and only then write the log's line."""
        trainer, tally, model = self.trainer, self.trainer.tally, self.trainer.model
        with undisturbed(model), summed(model):
            found = self.validate(model, self.tokenizer)
        keep_if_best(trainer.folder.adapter, model, Best(step, found))
        tuning: Tuning = trainer.tuning
        line = LogLine(
            step=step,
            learning=tally.learning / max(1, tally.summed),
            forgetting=tally.forgetting / max(1, tally.summed),
            rate=tuning.learning_rate * rate_share(step - 1, tuning),
            seconds=round(tally.seconds, 3),
            validation=found,
            replay=tally.replay / max(1, tally.summed),
            weight=tuning.token_weight(tally.learn, tally.forget),
        )
        append_log(trainer.folder.log, line)
        tell(trainer, {"eval_success": found.success, **_numbers(found.abilities)})


def losses_of(seen: Look, tuning: Tuning, step: int) -> dict[str, float]:
    """What a tracker is told of the steps since the last look; `loss` is what was minimised."""
    weights = tuning.weights()
    own = weights[0] * seen.learning + weights[1] * seen.forgetting
    return {
        "loss": (1 - tuning.replay) * own + tuning.replay * seen.replay,
        "learning": seen.learning,
        "forgetting": seen.forgetting,
        "replay": seen.replay,
        "grad_norm": seen.norm,
        "learning_rate": tuning.learning_rate * rate_share(step - 1, tuning),
    }


def _numbers(abilities: Mapping[str, float]) -> dict[str, float]:
    return {f"eval_{name.replace(' ', '_')}": value for name, value in abilities.items()}


def tell(trainer: Any, numbers: dict[str, float]) -> None:
    """Tell the trackers, if there are any."""
    if trainer.tuning.report_to:
        trainer.log(numbers)


def guard(step: int, now: Look, first: tuple[float, ...]) -> None:
    """TuningError if a loss or the gradient is not finite, or a loss left all it started from.

    Twice the first value and 4 nats more: a model that guesses blindly is there, none that learns.
    Of either sign: gradient ascent's forgetting loss explodes downwards.
    """
    advice = "the last checkpoint is kept; start anew with a lower learning_rate or alpha"
    if not all(math.isfinite(value) for value in now):
        raise TuningError(f"the loss or its gradient is not a number at step {step}; {advice}")
    for name, value, start in zip(("learning", "forgetting", "replay"), now, first, strict=False):
        if abs(value) > 2 * abs(start) + 4:
            raise TuningError(
                f"the {name} loss exploded, from {start:.2f} to {value:.2f} at step {step}; "
                + advice
            )


def keep_if_best(folder: Path, model: Any, now: Best) -> None:
    """Keep the adapter unless an earlier one ranks higher; of equals the later stays."""
    record = folder / checkpoints.BEST
    if record.exists() and read_as(record, Best).validation.rank > now.validation.rank:
        return

    def write(new: Path) -> None:
        checkpoints.save_adapter(model, new)
        write_as(new / checkpoints.BEST, now)

    checkpoints.swap(folder, write)


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients, after which training goes on as if nothing had been."""
    states = random.getstate(), np.random.get_state()
    getattr(model, "for_inference", model.eval)()  # unsloth's models have a mode of their own
    with torch.random.fork_rng(), torch.no_grad():
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    ready(model)


def ready(model: Any) -> None:
    """Training mode."""
    getattr(model, "for_training", model.train)()

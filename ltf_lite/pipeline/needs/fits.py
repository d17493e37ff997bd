"""Whether tuning fits a card: the estimate beside what is free, and what fits instead."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from ltf_lite import presets
from ltf_lite.pipeline.run.folder import RunError
from ltf_lite.presets import Preset, PresetError
from ltf_lite.tuning import TuningError
from ltf_lite.tuning.memory import Estimate, estimates
from ltf_lite.tuning.shapes import Shape, read_config, shape_of

GB = 2**30  # a "12 GB" card holds about so many GiB
USABLE = 0.95  # of a card's memory: the driver and a screen take some


def estimates_of(preset: Preset, cuda: bool, online: bool = True) -> list[Estimate]:
    """The peaks of one device, from the whole micro-batch to the smallest; raises TuningError."""
    shape, tuning = shape_of(read_config(preset.model.base, online)), preset.tuning
    share = tuning.model_copy(update={"batch": ceil(tuning.batch / tuning.devices)})
    return estimates(shape, share, preset.model.load_in_4bit, cuda)


def fitting(found: Sequence[Estimate], room: float) -> Estimate | None:
    """The largest that fits."""
    return next((each for each in found if each.total <= room), None)


def check_fits(preset: Preset, card: str | None, free: int | None) -> str:
    """The estimate beside what is free, in one line.

    `card` is its name, or None for the CPU, which is only warned of: it can swap. Processes that
    share a tuning share its memory, but have a card each. Raises RunError
    if not even the smallest micro-batch fits the card, TuningError if the base has no shape.
    """
    found = estimates_of(preset, card is not None, online=False)
    count = preset.tuning.devices
    each = f" on each of {count} devices" if count > 1 else ""
    line = f"tuning: about {in_words(found[0].total)}{each} at its peak (an estimate)"
    if free is None:
        return line
    where = f"on {card}" if card else "of memory"
    line += f", {in_words(free)} free {where}"
    fits = fitting(found, free if card else free / count)
    if fits is found[0]:
        return line
    if fits is not None:
        return f"{line}; {at_once(fits)} at once should fit ({in_words(fits.total)})"
    if card is None:
        return f"{line}: it may not fit"
    raise RunError(
        f"{preset.name} needs about {in_words(found[-1].total)} of the card's memory even with "
        f"{at_once(found[-1])} at once, and {in_words(free)} are free on {card}: "
        f"{advice(nearest_fitting(preset, free))}"
    )


def nearest_fitting(preset: Preset, room: float) -> str | None:
    """The other preset on disk with the largest base whose tuning fits so many bytes of a card.

    A study, which is there to be swept, is no stand-in for a run.
    """
    best: tuple[int, int, str] | None = None
    for name, file in presets.available().items():
        try:
            other = presets.load(str(file))
            found = estimates_of(other, True, online=False)
            size = _weights(shape_of(read_config(other.model.base, online=False)))
        except (PresetError, TuningError):
            continue
        if name != preset.name and not other.sweep and fitting(found, room):
            best = max(best or (0, 0, ""), (size, found[0].total, name))
    return best[2] if best else None


def _weights(shape: Shape) -> int:
    """The weights of a base's linear layers."""
    return shape.layers * sum(a * b for a, b in shape.linear.values())


def advice(name: str | None) -> str:
    return f"the nearest preset that fits is {name}" if name else "no preset here fits"


def at_once(found: Estimate) -> str:
    """`4 successes and 4 failures`."""
    sides = ((found.successes, "success", "successes"), (found.failures, "failure", "failures"))
    return " and ".join(f"{n} {one if n == 1 else more}" for n, one, more in sides if n)


def in_words(size: float) -> str:
    return f"{size / GB:.1f} GiB" if size >= GB else f"{size / 2**20:.0f} MiB"

"""Does a preset's tuning fit a card? The estimate beside what is free, and what fits instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltf_lite import doctor, presets
from ltf_lite.engines import model_path
from ltf_lite.pipeline.run import RunError
from ltf_lite.presets import Preset
from ltf_lite.tuning import TuneSettings, TuningError
from ltf_lite.tuning.memory import Estimate, base_bytes, estimates
from ltf_lite.tuning.shapes import read_config, shape_of

GB = 2**30  # a "12 GB" card holds about so many GiB
USABLE = 0.95  # of a card's memory: the driver and a screen take some
CARDS = (8, 12, 16, 24)  # GB
ON_CPU = 5e8  # weights of a base; with more, a CPU would tune for days
BITS = {"f16": 16, "q8_0": 8.5, "q6_k": 6.6, "q5_k_m": 5.7, "q4_k_m": 4.9}  # a weight in GGUF


def settings_of(preset: Preset) -> TuneSettings:
    """What the preset tunes with; seed and threads are the run's."""
    own = preset.tuning.model_dump(exclude={"credit", "seed"})
    return TuneSettings(**own, load_in_4bit=preset.model.load_in_4bit)


def estimates_of(preset: Preset, cuda: bool, online: bool = True) -> list[Estimate]:
    """The preset's peaks, from the whole micro-batch to the smallest; raises TuningError."""
    shape = shape_of(read_config(preset.model.base, online))
    return estimates(shape, settings_of(preset), cuda)


def fitting(found: list[Estimate], room: float) -> Estimate | None:
    """The largest that fits."""
    return next((each for each in found if each.total <= room), None)


def check_fits(preset: Preset, card: str | None, free: int | None) -> str:
    """The estimate beside what is free, in one line.

    `card` is its name, or None for the CPU, which is only warned of: it can swap. Raises RunError
    if not even the smallest micro-batch fits the card, TuningError if the base has no shape.
    """
    found = estimates_of(preset, card is not None, online=False)
    line = f"tuning: about {in_words(found[0].total)} at its peak (an estimate)"
    if free is None:
        return line
    where = f"on {card}" if card else "of memory"
    line += f", {in_words(free)} free {where}"
    fits = fitting(found, free)
    if fits is found[0]:
        return line
    if fits is not None:
        return f"{line}; {at_once(fits)} at once should fit ({in_words(fits.total)})"
    if card is None:
        return f"{line}: it may not fit"
    raise RunError(
        f"{preset.name} needs about {in_words(found[-1].total)} of the card's memory even with "
        f"{at_once(found[-1])} at once, and {in_words(free)} are free on {card}: "
        f"{advice(nearest(preset, free))}"
    )


def nearest(preset: Preset, room: float) -> str | None:
    """The other preset on disk with the largest base whose tuning fits so many bytes of a card.

    A study, which is there to be swept, is no stand-in for a run.
    """
    best: tuple[int, int, str] | None = None
    for name, file in presets.available().items():
        try:
            other = presets.load(str(file))
            found = estimates_of(other, True, online=False)
            shape = shape_of(read_config(other.model.base, online=False))
        except (presets.PresetError, TuningError):
            continue
        if name != preset.name and not other.sweep and fitting(found, room):
            size = shape.layers * sum(a * b for a, b in shape.linear.values())
            best = max(best or (0, 0, ""), (size, found[0].total, name))
    return best[2] if best else None


def advice(name: str | None) -> str:
    return f"the nearest preset that fits is {name}" if name else "no preset here fits"


def preview(
    preset: Preset, size: int | None, card: str | None, free: int | None, online: bool = True
) -> dict[str, Any]:
    """What `--dry-run` says, for a machine to read; bytes throughout.

    `size` is the card asked about, GB; `card` and `free` are what is here, None for none or
    unknown. Unless `online`, the network is not touched. Raises TuningError if the base's shape
    cannot be known.
    """
    on_card, on_cpu = estimates_of(preset, True, online), estimates_of(preset, False, online)
    here = on_card if card else on_cpu
    cards = {f"{gb}": fitting(on_card, USABLE * gb * GB) for gb in ([size] if size else CARDS)}
    fits = all(cards.values()) if size else None
    return {
        "preset": preset.name,
        "base": preset.model.base,
        "load_in_4bit": preset.model.load_in_4bit,
        "card": {"whole": told(on_card[0]), "smallest": told(on_card[-1])},
        "cpu": {"whole": told(on_cpu[0]), "smallest": told(on_cpu[-1])},
        "here": {"card": card, "free": free,
                 "fits": None if free is None else told(fitting(here, free))},
        "cards": {gb: told(found) for gb, found in cards.items()},
        "fits": fits,
        "nearest": nearest(preset, USABLE * size * GB) if size and not fits else None,
    }  # fmt: skip


def needs(preset: Preset) -> dict[str, Any]:
    """`preview` for this machine, without the network, and what else training needs here.

    Besides: "cuda", whether torch can use a card; "unsloth", its version or None; "disk" {"needed",
    "free"}, bytes; "has" and "sentence", whether this machine can train it, and why. Raises
    RunError if the base's shape is not known here.
    """
    card, free = doctor.free_memory()
    facts = doctor.facts()
    try:
        said = preview(preset, None, card, free, online=False)
        shape = shape_of(read_config(preset.model.base, online=False))
    except TuningError as error:
        raise RunError(f"what {preset.name} needs can't be told here: {error}") from error
    whole = base_bytes(shape, TuneSettings(load_in_4bit=False), True)
    disk = {"needed": _disk(preset, whole), "free": facts["disk_free"]}
    listed = facts["cards"][0]["name"] if facts["cards"] else None
    lacks = _lacks(preset, said, whole / 2, listed)
    if not lacks and disk["needed"] > disk["free"]:
        lacks = (
            f"a run leaves about {in_words(disk['needed'])} on disk, and {in_words(disk['free'])} "
            "are free here"
        )
    return {
        **said,
        "cuda": card is not None,
        "unsloth": facts["packages"]["unsloth"],
        "disk": disk,
        "has": not lacks,
        "sentence": f"This machine can't train it: {lacks}." if lacks
        else f"This machine can train it: {_has(said)}.",
    }  # fmt: skip


def _disk(preset: Preset, whole: int) -> int:
    """Roughly what a run leaves: the base if it has to be fetched, the merged model, GGUF files."""
    bits = 16 + sum(BITS[kind] for kind in ("f16", *preset.export.quantizations))
    return round(whole * (bits / 16 + (not _at_hand(preset.model.base))))


def _at_hand(base: str) -> bool:
    """Whether the weights of a base are on this machine."""
    if Path(model_path(base)).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(base, name), str) for name in names)


def _lacks(preset: Preset, said: dict[str, Any], weights: float, listed: str | None) -> str | None:
    """Why this machine can't tune the preset, or None."""
    card, free, fits = (said["here"][key] for key in ("card", "free", "fits"))
    peak = in_words(said["card"]["whole"]["total"])
    if card is None and weights > ON_CPU:
        here = f"torch can't use the {listed} here" if listed else "there is no NVIDIA card here"
        return f"tuning {said['base']} needs a card with about {peak} free, and {here}"
    if free is None or fits:
        return None
    if card is None:
        least = in_words(said["cpu"]["smallest"]["total"])
        return f"tuning needs about {least} of memory, and {in_words(free)} are free"
    least = in_words(said["card"]["smallest"]["total"])
    way = advice(nearest(preset, free))
    return f"tuning needs at least {least} on the {card}, where {in_words(free)} are free; {way}"


def _has(said: dict[str, Any]) -> str:
    card, free, fits = (said["here"][key] for key in ("card", "free", "fits"))
    peak = (fits or said["card" if card else "cpu"]["whole"])["total"]
    have = "what is free is not known"
    if free is not None:
        have = in_words(free) + (f" are free on the {card}" if card else " of memory are free")
    at = f", with {fits['at_once']} at once" if fits and fits["pieces"] > 1 and card else ""
    return f"tuning needs about {in_words(peak)}{at} (an estimate), and {have}"


def told(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**found._asdict(), "total": found.total, "at_once": at_once(found)}


def preview_text(said: dict[str, Any]) -> str:
    """What `--dry-run` says, for a person; in columns, on a card and on a CPU without one."""
    columns = ["card"] if said["here"]["card"] or said["fits"] is not None else ["card", "cpu"]
    titles = {"card": "on a card", "cpu": "on this CPU"}
    bits = " in 4 bits" if said["load_in_4bit"] else ""
    lines = [f"{said['preset']}: tuning {said['base']}{bits}, estimated, not measured"]
    lines.append(f"{'':<44}" + "".join(f"{titles[column]:>14}" for column in columns))
    table: dict[str, dict[str, int]] = {}
    for column in columns:
        for name, size in said[column]["whole"]["parts"].items():
            table.setdefault(name, {})[column] = size
    for column in columns:
        for found in said[column].values():
            table.setdefault(f"peak, {found['at_once']} at once", {})[column] = found["total"]
    for name, sizes in table.items():
        cells = (in_words(sizes[c]) if c in sizes else "–" for c in columns)
        lines.append(f"{name:<44}" + "".join(f"{cell:>14}" for cell in cells))
    here = said["here"]
    if here["free"] is not None and said["fits"] is None:
        place = f"free on {here['card']}" if here["card"] else "of memory free, no card"
        lines.append(f"here: {in_words(here['free'])} {place}: {verdict(here['fits'])}")
    lines += [f"a card of {gb} GB: {verdict(found)}" for gb, found in said["cards"].items()]
    if said["fits"] is False:
        lines.append(advice(said["nearest"]))
    return "\n".join(lines)


def verdict(found: dict[str, Any] | None) -> str:
    return f"fits, {found['at_once']} at once" if found else "does not fit"


def at_once(found: Estimate) -> str:
    """`4 successes and 4 failures`."""
    sides = ((found.successes, "success", "successes"), (found.failures, "failure", "failures"))
    return " and ".join(f"{n} {one if n == 1 else more}" for n, one, more in sides if n)


def in_words(size: float) -> str:
    return f"{size / GB:.1f} GiB" if size >= GB else f"{size / 2**20:.0f} MiB"

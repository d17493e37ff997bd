"""What a preset needs of a card, a CPU and the disk, and whether this machine has it."""

from __future__ import annotations

from collections.abc import Sequence

from ltf_lite.core import machine
from ltf_lite.engines import EngineError, resolve
from ltf_lite.engines.from_gguf import at_hand
from ltf_lite.pipeline.needs.fits import (
    GB,
    USABLE,
    advice,
    at_once,
    estimates_of,
    fitting,
    in_words,
    nearest_fitting,
)
from ltf_lite.pipeline.needs.types import Disk, Here, Needs, Peak, Peaks, Preview
from ltf_lite.pipeline.run.folder import RunError
from ltf_lite.presets import Preset
from ltf_lite.tuning import TuningError
from ltf_lite.tuning.memory import Estimate, base_bytes
from ltf_lite.tuning.shapes import read_config, shape_of

CARDS = (8, 12, 16, 24)  # GB
ON_CPU = 5e8  # weights of a base; with more, a CPU would tune for days
BITS = {"f16": 16, "q8_0": 8.5, "q6_k": 6.6, "q5_k_m": 5.7, "q4_k_m": 4.9}  # a weight in GGUF


def preview(
    preset: Preset, size: int | None, card: str | None, free: int | None, online: bool = True
) -> Preview:
    """What tuning needs on a card and on a CPU.

    `size` is the card asked about, GB; `card` and `free` are what is here, None for none or
    unknown. Unless `online`, the network is not touched. Raises TuningError if the base's shape
    cannot be known.
    """
    on_card, on_cpu = estimates_of(preset, True, online), estimates_of(preset, False, online)
    here = on_card if card else on_cpu
    cards = {
        str(gb): told(fitting(on_card, USABLE * gb * GB)) for gb in ([size] if size else CARDS)
    }
    fits = all(cards.values()) if size else None
    return Preview(
        preset=preset.name,
        base=preset.model.base,
        load_in_4bit=preset.model.load_in_4bit,
        card=_peaks(on_card),
        cpu=_peaks(on_cpu),
        here=Here(card, free, None if free is None else told(fitting(here, free))),
        cards=cards,
        fits=fits,
        nearest=nearest_fitting(preset, USABLE * size * GB) if size and not fits else None,
    )


def needs(preset: Preset) -> Needs:
    """What training the preset needs, and whether this machine has it; without the network.

    Raises RunError if the base's shape is not known here.
    """
    card, free = machine.free_memory()
    facts = machine.facts()
    try:
        said = preview(preset, None, card, free, online=False)
        shape = shape_of(read_config(preset.model.base, online=False))
    except TuningError as error:
        raise RunError(f"what {preset.name} needs can't be told here: {error}") from error
    whole = base_bytes(shape, False, True)
    disk = Disk(_disk(preset, whole), facts.disk_free)
    listed = facts.cards[0].name if facts.cards else None
    lacks = _lacks(preset, said, whole / 2, listed)
    if not lacks and disk.needed > disk.free:
        lacks = (
            f"a run leaves about {in_words(disk.needed)} on disk, and {in_words(disk.free)} are "
            "free here"
        )
    can, can_not = "This machine can train it", "This machine can't train it"
    return Needs(
        **vars(said),
        cuda=card is not None,
        unsloth=facts.packages["unsloth"],
        disk=disk,
        has=not lacks,
        sentence=f"{can_not}: {lacks}." if lacks else f"{can}: {_has(said)}.",
    )


def _disk(preset: Preset, whole: int) -> int:
    """Roughly what a run leaves: the base if it has to be fetched, the merged model, GGUF files."""
    bits = 16 + sum(BITS[kind] for kind in ("f16", *preset.export.quantizations))
    return round(whole * (bits / 16 + (not _at_hand(preset.model.base))))


def _at_hand(base: str) -> bool:
    """Whether the weights of a base are on this machine, as transformers loads them."""
    try:
        ref = resolve(base)
        if ref.kind in ("folder", "gguf"):
            return ref.kind == "folder" or at_hand(ref.place) is not None
    except EngineError:
        return False
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(base, name), str) for name in names)


def _lacks(preset: Preset, said: Preview, weights: float, listed: str | None) -> str | None:
    """Why this machine can't tune the preset, or None."""
    here = said.here
    if here.card is None and weights > ON_CPU:
        none = f"torch can't use the {listed} here" if listed else "there is no NVIDIA card here"
        peak = in_words(said.card.whole.total)
        return f"tuning {said.base} needs a card with about {peak} free, and {none}"
    if here.free is None or here.fits:
        return None
    free = in_words(here.free)
    if here.card is None:
        least = in_words(said.cpu.smallest.total)
        return f"tuning needs about {least} of memory, and {free} are free"
    least = in_words(said.card.smallest.total)
    way = advice(nearest_fitting(preset, here.free))
    return f"tuning needs at least {least} on the {here.card}, where {free} are free; {way}"


def _has(said: Preview) -> str:
    here = said.here
    peak = here.fits or said.peaks("card" if here.card else "cpu").whole
    have = "what is free is not known"
    if here.free is not None:
        where = f"free on the {here.card}" if here.card else "of memory are free"
        have = f"{in_words(here.free)} {'are ' if here.card else ''}{where}"
    cut = here.fits is not None and here.fits.pieces > 1 and here.card
    at = f", with {peak.at_once} at once" if cut else ""
    return f"tuning needs about {in_words(peak.total)}{at} (an estimate), and {have}"


def told(found: Estimate | None) -> Peak | None:
    """An estimate with its sum."""
    return found and Peak(*found, total=found.total, at_once=at_once(found))


def _peaks(found: Sequence[Estimate]) -> Peaks:
    whole, smallest = told(found[0]), told(found[-1])
    assert whole is not None
    assert smallest is not None
    return Peaks(whole, smallest)

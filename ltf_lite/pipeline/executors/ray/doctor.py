"""`ltf doctor --cluster`: what a cluster has, and whether a preset's search has a place on it."""

from __future__ import annotations

from dataclasses import dataclass

from ltf_lite.pipeline.executors.plugin import executor_of
from ltf_lite.pipeline.executors.ray import Ray, cluster
from ltf_lite.pipeline.executors.ray.cluster import GIB, Node, Shape, many
from ltf_lite.presets import Preset, PresetError
from ltf_lite.tuning import TuningError
from ltf_lite.tuning.memory import base_bytes
from ltf_lite.tuning.shapes import read_config, shape_of


@dataclass(frozen=True)
class Found:
    """The machines of a cluster; with a preset, how large its workers are and how many fit.

    `fits` is None without a preset, `why` what is in the way or to be known.
    """

    address: str
    nodes: tuple[Node, ...]
    worker: Shape | None = None
    places: int | None = None
    fits: bool | None = None
    why: str = ""


def look(address: str, preset: Preset | None) -> Found:
    """What a cluster has, and whether it fits; raises RunError, PresetError."""
    if lacking := Ray().lacking:
        raise PresetError(f"doctor: {lacking}")
    wanted = executor_of(preset) if preset else None
    settings = wanted if isinstance(wanted, Ray) else Ray()
    with cluster.connected(address) as at:
        found = tuple(cluster.nodes())
        if preset is None:
            return Found(at, found)
        worker = cluster.shape(settings, preset.threads)
    places = worker.places(found)
    if not places:
        why = f"no machine has room for a worker, which takes {worker}"
    else:
        why = _memory(preset, worker, found)
    fits = places > 0 and not why
    if fits and places < (worker.count or 0):
        why = f"{worker.count} workers are asked for: {places} begin, the others wait for room"
    return Found(at, found, worker, places, fits, why)


def _memory(preset: Preset, worker: Shape, found: tuple[Node, ...]) -> str:
    """Which machine has too little memory for the models of its workers; empty where none has.

    Of cards a cluster does not tell the memory; `ltf doctor` on that machine does.
    """
    if preset.engine.name == "server" or worker.cards:
        return ""
    try:
        shape = shape_of(read_config(preset.model.base))
    except TuningError:
        return ""
    each = base_bytes(shape, preset.model.load_in_4bit, False) + GIB  # Python with its libraries
    for node in found:
        wanted = worker.places([node])
        if wanted * each > node.memory:
            return (
                f"{wanted} workers on {node.host} take {wanted * each / GIB:.1f} GiB of memory, "
                f"and the cluster has {node.memory / GIB:.1f} there: set fewer `workers`, or more "
                "`threads`, in the preset"
            )
    return ""


def as_text(found: Found) -> str:
    """The same for a person."""
    width = max((len(node.host) for node in found.nodes), default=0)
    lines = [
        f"{node.host:<{width}}  {many(node.cores, 'core')}, {many(node.cards, 'card')}"
        f"{f' ({node.kind})' if node.cards and node.kind else ''}, {node.memory / GIB:.1f} GiB"
        for node in found.nodes
    ]
    cores, cards = (sum(getattr(node, what) for node in found.nodes) for what in ("cores", "cards"))
    every = many(len(found.nodes), "machine"), many(cores, "core"), many(cards, "card")
    lines += ["", f"Ray cluster {found.address}: {', '.join(every)}"]
    if found.worker is not None:
        have = "has" if found.places == 1 else "have"
        lines.append(f"A worker takes {found.worker}: {found.places} {have} a place.")
    if found.fits is not None:
        lines.append("The preset fits." if found.fits else "The preset does not fit.")
    return "\n".join([*lines, *([f"{found.why}."] if found.why else [])])

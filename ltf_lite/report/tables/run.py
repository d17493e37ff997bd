"""What a run cost, whether its file is proven equal, and its manifest, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ltf_lite.core.manifest import StageEntry
from ltf_lite.core.progress import duration
from ltf_lite.export.gguf.types import Divergence, Parity
from ltf_lite.report.tables.base import Cell, Table, cell, rate, without_empty

MIB = 2**-20
HEAD = (
    "stage",
    "time",
    "calls",
    "tokens in",
    "tokens out",
    "tokens trained on",
    "peak memory, MiB",
    "peak device memory, MiB",
    "energy, kJ",
)


def counted(stages: Mapping[str, StageEntry]) -> dict[str, StageEntry]:
    """The stages that a run's cost is made of: all that are done, but for the report of it."""
    return {
        name: stage for name, stage in stages.items() if stage.status == "done" and name != "report"
    }


def stage_table(stages: Mapping[str, StageEntry]) -> Table | None:
    """Time, tokens, peak memory and energy of every stage that counts, and their sums.

    None before any stage is done.
    """
    done = list(counted(stages).values())
    if not done:
        return None
    whole = StageEntry(
        seconds=sum(stage.seconds for stage in done),
        engine_calls=sum(stage.engine_calls for stage in done),
        tokens_in=sum(stage.tokens_in for stage in done),
        tokens_out=sum(stage.tokens_out for stage in done),
        joules=_all(sum, (stage.joules for stage in done)),
        peak_bytes=_all(max, (stage.peak_bytes for stage in done)),
        peak_device_bytes=_all(max, (stage.peak_device_bytes for stage in done)),
        facts={"tokens_trained": sum(map(trained, done))},
    )
    rows = [(cell(name), *_stage(stage)) for name, stage in counted(stages).items()]
    table = Table(
        "stages",
        "Cost by stage",
        HEAD,
        [*rows, (cell("whole run"), *_stage(whole))],
        "Each stage is a process of its own. The whole run's time, calls, tokens and energy are "
        "sums, its peak the highest. Energy, where the machine reports it, is the whole device's. "
        "A stage that was killed and resumed counts all that made its files; of what the kill cut "
        "off, the last second may be missing.",
    )
    return without_empty(table)


def trained(stage: StageEntry) -> int:
    """The tokens that a stage says it trained on."""
    return stage.facts.get("tokens_trained") or 0


def _all(joined: Any, values: Iterable[Any]) -> Any:
    """Sum or maximum of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return joined(known) if known else None


def _stage(stage: StageEntry) -> tuple[Cell, ...]:
    counts = stage.engine_calls, stage.tokens_in, stage.tokens_out, trained(stage)
    return (
        Cell(stage.seconds, duration(stage.seconds)),
        *(cell(count or None, "{:,}") for count in counts),
        *(cell(peak, "{:,.0f}", MIB) for peak in (stage.peak_bytes, stage.peak_device_bytes)),
        cell(stage.joules, "{:,.2f}", 1e-3),
    )


def parity_tables(parity: Parity) -> list[Table]:
    """The proof that the exported files are what was tuned."""
    tokens, greedy = parity.tokens, parity.greedy
    same = f"{greedy.equal} of {greedy.n} equal token for token"
    proof = [
        (
            cell("tokenizer"),
            Cell(tokens.mismatches, f"{tokens.mismatches} of {tokens.n} texts differ"),
        ),
        (cell(f"greedy answers, {greedy.bits} bits"), Cell(greedy.equal, same)),
    ]
    if greedy.bits < 32:
        ties = f"{greedy.ties} within {greedy.tie} logits (32 bits did not fit the memory)"
        proof.append((cell("ties among them"), Cell(greedy.ties, ties)))
    success = [
        (cell(name), rate(found.rate), cell(found.points, "{:+.1f}"))
        for name, found in parity.success.items()
    ]
    tables = [
        Table("parity", "llama.cpp against torch", ("what", "found"), proof),
        Table(
            "parity_success",
            "Success through llama.cpp",
            ("file", "solved [95 %]", "points to torch"),
            success,
        ),
        _divergence_table(parity),
    ]
    return [table for table in tables if table.rows]


def _divergence_table(parity: Parity) -> Table:
    head = (
        "file",
        "weights held as",
        "KL, nats a token",
        "at most",
        "same likeliest token",
        "positions",
        "paths",
    )
    return Table(
        "parity_divergence",
        "How far quantized files are from f16",
        head,
        [
            _divergence(name, found, parity.files[name].types)
            for name, found in parity.divergence.items()
        ],
        "KL divergence to f16 over harvested paths, with its 95 % interval.",
    )


def _divergence(name: str, found: Divergence, types: Mapping[str, float]) -> tuple[Cell, ...]:
    held = ", ".join(f"{kind} {100 * part:.1f} %" for kind, part in types.items())
    low, high = found.low, found.high
    span = "" if low is None else f" [{low:.2g}, {high:.2g}]"
    return (
        cell(name),
        cell(held),
        Cell(found.mean, f"{found.mean:.2g}{span}", low, high),
        cell(found.max, "{:.2g}"),
        cell(found.same_top, "{:.2f} %", 100),
        cell(found.tokens, "{:,}"),
        cell(found.n),
    )


def manifest_table(manifest: Mapping[str, Any]) -> Table:
    """Everything that the manifest says, a setting a row."""
    rows = [(cell(name), Cell(value, str(value))) for name, value in _flat(manifest)]
    return Table("manifest", "Manifest", ("setting", "value"), rows)


def _flat(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of JSON data with its dotted name; an empty part is a leaf."""
    several = isinstance(data, list | tuple)
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif several and any(isinstance(each, Mapping | list | tuple) for each in data):
        for at, value in enumerate(data, 1):
            yield from _flat(value, f"{name}.{at}")
    else:
        yield name, ", ".join(map(str, data)) if several else data

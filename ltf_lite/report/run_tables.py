"""What a run cost, whether its file is proven equal, and its manifest, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ltf_lite.progress import duration
from ltf_lite.report.tables import Cell, Table, cell, rate, without_empty

MIB = 2**-20


def counted(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The stages that a run's cost is made of: all that are done, but for the report of it."""
    return {
        name: stage for name, stage in stages.items()
        if stage.get("status") == "done" and name != "report"
    }  # fmt: skip


def stage_table(stages: Mapping[str, Mapping[str, Any]]) -> Table:
    """Time, tokens, peak memory and energy of every stage that counts, and their sums."""
    done = counted(stages)
    rows = [(cell(name), *_stage(stage)) for name, stage in done.items()]
    sums: dict[str, Any] = {}
    for key in ("seconds", "tokens_in", "tokens_out", "tokens_trained", "joules", "engine_calls"):
        values = [stage[key] for stage in done.values() if stage.get(key) is not None]
        sums |= {key: sum(values)} if values else {}
    for key in ("peak_bytes", "peak_device_bytes"):
        values = [stage[key] for stage in done.values() if stage.get(key) is not None]
        sums |= {key: max(values)} if values else {}
    table = Table(
        "stages", "Cost by stage",
        ("stage", "time", "calls", "tokens in", "tokens out", "tokens trained on",
         "peak memory, MiB", "peak device memory, MiB", "energy, kJ"),
        [*rows, (cell("whole run"), *_stage(sums))],
        "Each stage is a process of its own. The whole run's time, calls, tokens and energy are "
        "sums, its peak the highest. Energy, where the machine reports it, is the whole device's.",
    )  # fmt: skip
    return without_empty(table)


def _stage(stage: Mapping[str, Any]) -> tuple[Cell, ...]:
    seconds = stage.get("seconds")
    return (
        cell(None) if seconds is None else Cell(seconds, duration(seconds)),
        *(
            cell(stage.get(key) or None, "{:,}")
            for key in ("engine_calls", "tokens_in", "tokens_out", "tokens_trained")
        ),
        *(cell(stage.get(key), "{:,.0f}", MIB) for key in ("peak_bytes", "peak_device_bytes")),
        cell(stage.get("joules"), "{:,.2f}", 1e-3),
    )


def parity_tables(parity: Mapping[str, Any]) -> list[Table]:
    """The proof that the exported files are what was tuned."""
    tokens, greedy = parity["tokens"], parity["greedy"]
    proof = [
        (cell("tokenizer"), Cell(tokens["mismatches"],
                                 f"{tokens['mismatches']} of {tokens['n']} texts differ")),
        (cell(f"greedy answers, {greedy['bits']} bits"),
         Cell(greedy["equal"], f"{greedy['equal']} of {greedy['n']} equal token for token")),
    ]  # fmt: skip
    if greedy["bits"] < 32:
        ties = f"{greedy['ties']} within {greedy['tie']} logits (32 bits did not fit the memory)"
        proof.append((cell("ties among them"), Cell(greedy["ties"], ties)))
    success = [
        (cell(name), rate(found), cell(found["points"], "{:+.1f}"))
        for name, found in parity["success"].items()
    ]
    divergence = [_divergence(name, found, parity) for name, found in parity["divergence"].items()]
    tables = [
        Table("parity", "llama.cpp against torch", ("what", "found"), proof),
        Table("parity_success", "Success through llama.cpp",
              ("file", "solved [95 %]", "points to torch"), success),
        Table("parity_divergence", "How far quantized files are from f16",
              ("file", "weights held as", "KL, nats a token", "at most", "same likeliest token",
               "positions", "paths"), divergence,
              "KL divergence to f16 over harvested paths, with its 95 % interval."),
    ]  # fmt: skip
    return [table for table in tables if table.rows]


def _divergence(name: str, found: Mapping[str, Any], parity: Mapping[str, Any]) -> tuple[Cell, ...]:
    held = ", ".join(f"{t} {100 * n:.1f} %" for t, n in parity["files"][name]["types"].items())
    low, high = found["low"], found["high"]
    span = "" if low is None else f" [{low:.2g}, {high:.2g}]"
    return (
        cell(name), cell(held), Cell(found["mean"], f"{found['mean']:.2g}{span}", low, high),
        cell(found["max"], "{:.2g}"), cell(found["same_top"], "{:.2f} %", 100),
        cell(found["tokens"], "{:,}"), cell(found["n"]),
    )  # fmt: skip


def manifest_table(manifest: Mapping[str, Any]) -> Table:
    """Everything that the manifest says, a setting a row."""
    rows = [(cell(name), Cell(value, str(value))) for name, value in _flat(manifest)]
    return Table("manifest", "Manifest", ("setting", "value"), rows)


def _flat(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of JSON data with its dotted name; an empty part is a leaf."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, list) and any(isinstance(each, (Mapping, list)) for each in data):
        for at, value in enumerate(data, 1):
            yield from _flat(value, f"{name}.{at}")
    else:
        yield name, ", ".join(map(str, data)) if isinstance(data, list) else data

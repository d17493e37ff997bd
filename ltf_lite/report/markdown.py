"""The report of a run in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ltf_lite.evaluation import compared, retention
from ltf_lite.evaluation.success import FEW
from ltf_lite.files import read_json
from ltf_lite.progress import duration
from ltf_lite.report.results import (
    headline,
    headline_sentence,
    name_of,
    percent,
    records,
    rows,
)


def table(head: Iterable[str], body: Iterable[Iterable[Any]]) -> str:
    lines = [list(map(str, head)), *([str(cell) for cell in row] for row in body)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def success_table(results: list[dict[str, Any]]) -> str:
    return table(
        ("model", "answer", "solved [95 %]", "n", "tokens", "ms", "valid steps"),
        (
            (
                {"none": "–"}.get(r["model"], r["model"]), r["answer"], percent(r), r["n"],
                f"{r['tokens']:.0f}" if r["tokens"] else "–", f"{1000 * r['seconds']:.2f}",
                "–" if r["valid_steps"] is None else f"{100 * r['valid_steps']:.1f} %",
            )
            for r in results
        ),
    )  # fmt: skip


def difference_table(folder: Path) -> str:
    """The tuned single pass against the base's answers to the same problems, and how to read it."""
    files = sorted(folder.glob("evaluation/*/*.test.json"))
    found = compared(map(read_json, files))
    if not found:
        return "The records of this run don't say which problems each answer solved.\n"
    return table(
        ("the base's", "n", "tuned single pass", "base", "difference, points [95 %]",
         "only tuned solved", "only base solved", "p", "real?"),
        (
            (name_of(row["second"]["choice"], row["second"]["label"]), row["n"],
             *(f"{100 * row[side]['rate']:.1f} %" for side in ("first", "second")),
             f"{row['points']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]", row["b"], row["c"],
             f"{row['p']:.2g}" if row["p"] >= 1e-4 else "< 0.0001", real(row))
            for row in found
        ),
    ) + (
        "\nEach row compares the tuned single pass with one answer of the base on the problems "
        "that both were asked. p is how often chance alone would split the problems that only one "
        "of them solved at least this unevenly (McNemar's exact test); below 0.05 the difference "
        "is called real, and above it these problems can't tell the two apart, which does not "
        "prove them equal. Intervals: paired bootstrap over problems. p is not corrected for the "
        "number of rows. An answer whose record does not say which problems it solved has no row.\n"
    )  # fmt: skip


def real(row: dict[str, Any]) -> str:
    """What a row of `compared` allows to say."""
    if row["n"] < FEW:
        return "too few problems to conclude anything"
    return "yes" if row["p"] < 0.05 else "can't tell"


def pass_section(folder: Path) -> str:
    """How many problems k samples would solve if the verifier picked; "" where nobody sampled."""
    found = [r for r in records(folder) if r.get("pass_at")]
    if not found:
        return ""
    sizes = sorted({int(k) for r in found for k in r["pass_at"]})
    return "## pass@k: is a right path among k samples?\n\n" + table(
        ("model", "reasoner", *(f"pass@{k} [95 %]" for k in sizes)),
        (
            (r["model"], r["label"],
             *(percent(r["pass_at"][str(k)]) if str(k) in r["pass_at"] else "–" for k in sizes))
            for r in found
        ),
    )  # fmt: skip


def kinds_table(folder: Path) -> str:
    """Failure kinds of every model's paths, shares of its paths."""
    found = [r for r in records(folder) if r["model"] != "none"]
    kinds = sorted({kind for r in found for kind in r["kinds"]} - {"success"})
    return table(
        ("model", "reasoner", "success", *kinds),
        (
            (r["model"], r["label"],
             *(f"{100 * r['kinds'].get(k, 0) / sum(r['kinds'].values()):.1f} %"
               for k in ("success", *kinds)))
            for r in found
        ),
    )  # fmt: skip


def retention_table(folder: Path) -> str:
    """Every ability before and after tuning."""
    return table(
        ("reasoner", "ability", "base", "tuned", "tuned / base"),
        (
            (
                row["reasoner"],
                row["ability"],
                f"{100 * row['base']:.1f} %",
                f"{100 * row['tuned']:.1f} %",
                "–" if row["ratio"] is None else f"{row['ratio']:.2f}",
            )
            for row in retention(records(folder))
        ),
    )


def stage_table(stages: dict[str, Any]) -> str:
    return table(
        ("stage", "time", "peak memory"),
        (
            (name, duration(s["seconds"]),
             f"{s['peak_bytes'] / 2**20:.0f} MiB" if "peak_bytes" in s else "–")
            for name, s in stages.items()
            if s.get("status") == "done"
        ),
    )  # fmt: skip


def parity_lines(parity: dict[str, Any]) -> str:
    tokens, greedy = parity["tokens"], parity["greedy"]
    lines = [
        f"- tokenizer: {tokens['mismatches']} of {tokens['n']} texts differ",
        f"- greedy, {greedy['bits']} bits: {greedy['equal']} of {greedy['n']} answers equal token "
        f"for token{', ' + ties_words(greedy) if greedy['bits'] < 32 else ''}",
    ]
    for name, rate in parity["success"].items():
        lines.append(
            f"- {name} through llama.cpp: {percent(rate)}, {rate['points']:+.1f} points to torch"
        )
    for name, found in parity["divergence"].items():
        held = ", ".join(f"{t} {100 * n:.1f} %" for t, n in parity["files"][name]["types"].items())
        low, high = found["low"], found["high"]
        span = "" if low is None else f" [{low:.2g}, {high:.2g}]"
        lines.append(
            f"- {name} ({held}): KL divergence to f16 {found['mean']:.2g}{span} nats a token over "
            f"{found['n']} harvested paths, at most {found['max']:.2g}; the same likeliest token "
            f"at {100 * found['same_top']:.2f} % of {found['tokens']:,} positions"
        )
    return "\n".join(lines) + "\n"


def ties_words(greedy: dict[str, Any]) -> str:
    return f"{greedy['ties']} ties within {greedy['tie']} logits (32 bits did not fit the memory)"


def report(folder: Path, manifest: dict[str, Any]) -> str:
    """The whole page."""
    results, preset = rows(folder), manifest["preset"]
    tuning = read_json(folder / "tuning" / "result.json")
    taken = read_json(folder / "tuning" / "examples.json")
    parity = read_json(folder / "gguf" / "parity.json")
    return "\n".join(
        [
            f"# {preset['name']}: {preset['about']}\n",
            headline_sentence(headline(results)) + "\n",
            "![success against seconds](headline.png)\n",
            "## Success on the test problems\n",
            success_table(results),
            "Tokens and milliseconds are means over the test set asked in bulk. A sampled rate is "
            "the mean over all samples. An oracle is an upper bound, not a search: the verifier "
            "picks.\n",
            "## Is the difference real?\n",
            difference_table(folder),
            pass_section(folder),
            "## What happened to the paths\n",
            kinds_table(folder),
            "## What the tuning kept\n",
            retention_table(folder),
            "## Tuning\n",
            f"Best checkpoint: step {tuning['step']}, chosen on the validation problems. "
            f"Training examples by reasoner: {examples_line(taken)}.\n",
            "## The exported file\n",
            parity_lines(parity),
            "## Cost\n",
            stage_table(manifest["stages"]),
            f"{manifest['cores']} cores, {manifest['system']}, "
            f"torch {manifest['packages']['torch']}, seed {preset['seed']}.\n",
        ]
    )


def examples_line(counts: dict[str, dict[str, int]]) -> str:
    return "; ".join(
        f"{reasoner}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        for reasoner, kinds in counts.items()
    )

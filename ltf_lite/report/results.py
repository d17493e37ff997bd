"""What a run found, read from its own records: one row a model and way of answering."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ltf_lite.reasoners import TREES
from ltf_lite.report.tables import percent

MODELS = ("none", "base", "tuned")  # in this order; the exported files come after them
NAMES = {
    "greedy": "single pass",
    "random": "random legal steps (floor)",
    "dfs": "exact search (dfs)",
    "bfs": "exact search (bfs)",
}
TREE_NAMES = {"tot": "tree of thoughts", "rap": "RAP"}


def records(folder: Path) -> list[dict[str, Any]]:
    """Every evaluation record of a run, base before tuned, without the paths it was made from.

    Raises BrokenFile, and ForeignFile where one is of another schema or of another task.
    """
    from ltf_lite.evaluation.records import task_named  # scipy's import takes a second

    task = task_named(folder)
    files = [*folder.glob("evaluation/*/*.test.json"), *folder.glob("gguf/*.test.json")]
    found = [_record(file, file.stat().st_mtime_ns, task) for file in sorted(files)]
    return sorted(
        found, key=lambda r: MODELS.index(r["model"]) if r["model"] in MODELS else len(MODELS)
    )


@lru_cache(maxsize=256)
def _record(file: Path, changed: int, task: str | None) -> dict[str, Any]:
    """A record, read once as long as it stays the same: its paths may be megabytes."""
    from ltf_lite.evaluation.records import read_record  # scipy's import takes a second

    return {key: value for key, value in read_record(file, task).items() if key != "paths"}


def name_of(choice: str, label: str) -> str:
    """The words for a way of answering; an oracle is named as one.

    `label` is the reasoner with its settings, which tell one tree search from another.
    """
    name, _, settings = label.partition(" ")
    tree = TREE_NAMES.get(name, name) if name in TREES else None
    by = f" ({settings})" if settings else ""
    if choice == "oracle":
        return f"{name}{by}: oracle over its paths (the verifier picks: upper bound)"
    if tree and choice == name:
        return tree + by
    if tree and choice == f"oracle {name}":
        return f"{tree}{by}, the verifier picks and stops it (upper bound)"
    if choice.startswith("oracle@"):
        return f"{choice} (the verifier picks: upper bound)"
    if choice.startswith("best-of-n@"):
        return f"best of {choice.split('@')[1]} by likelihood"
    if choice == "sample":
        return "one sample (mean)"
    return NAMES.get(choice, choice)


def rows(folder: Path) -> list[dict[str, Any]]:
    """One row a model and choice; seconds and tokens are a problem's, in bulk, calls the set's."""
    return [
        {"model": r["model"], "answer": name_of(choice, r["label"]), "choice": choice,
         "reasoner": r["reasoner"], "label": r["label"], "calls": r["calls"],
         "valid_steps": r["valid_steps"], **rate}
        for r in records(folder)
        for choice, rate in r["rates"].items()
    ]  # fmt: skip


def is_search(row: dict[str, Any]) -> bool:
    """Whether a row is a search that asks no verifier."""
    return row["choice"] in TREES or row["choice"].startswith(("self-consistency@", "best-of-n@"))


def headline(table: list[dict[str, Any]]) -> dict[str, Any]:
    """Single pass before and after tuning, and the base's best search that asks no verifier."""

    def pick(model: str) -> dict[str, Any]:
        return next(r for r in table if r["model"] == model and r["choice"] == "greedy")

    searches = [row for row in table if row["model"] == "base" and is_search(row)]
    base, tuned = pick("base"), pick("tuned")
    best = max(searches, key=lambda r: r["rate"], default=None)
    return {
        "base": base, "tuned": tuned, "search": best,
        "speedup": best["seconds"] / tuned["seconds"] if best else None,
    }  # fmt: skip


def headline_sentence(facts: dict[str, Any]) -> str:
    base, tuned, search = facts["base"], facts["tuned"], facts["search"]
    text = f"Single pass: {percent(tuned)} after tuning, {percent(base)} before"
    if search:
        text += (
            f"; the base's best search without a verifier ({search['answer']}, n = {search['n']}) "
            f"{percent(search)}, at {facts['speedup']:.0f} times the tuned single pass's seconds"
        )
    return text + f" (n = {tuned['n']})."

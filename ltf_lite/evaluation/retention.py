"""What tuning kept of the base's abilities: every rate after it over the same rate before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def retention(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a way of answering that base and tuned model share: both rates, and their ratio.

    The share of valid steps of each reasoner is among them. `ratio` is None where the base has 0.
    """
    before, after = (_abilities(records, model) for model in ("base", "tuned"))
    return [
        {
            "ability": ability,
            "base": rate,
            "tuned": after[ability],
            "ratio": after[ability] / rate if rate else None,
        }
        for ability, rate in before.items()
        if ability in after
    ]


def _abilities(records: Sequence[dict[str, Any]], model: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for record in records:
        if record["model"] == model:
            found |= {choice: rate["rate"] for choice, rate in record["rates"].items()}
            found[f"valid steps, {record['label']}"] = record["valid_steps"]
    return found

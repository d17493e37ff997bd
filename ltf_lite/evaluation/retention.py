"""What tuning kept of the base's abilities: every rate after it over the same rate before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

VALID_STEPS = "valid steps"


def retention(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a way of answering that base and tuned model share: both rates, and their ratio.

    The share of valid steps of each reasoner is among them. `ratio` is None where the base has 0.
    """
    before, after = (_abilities(records, model) for model in ("base", "tuned"))
    return [
        {
            "reasoner": label,
            "ability": ability,
            "base": rate,
            "tuned": after[label, ability],
            "ratio": after[label, ability] / rate if rate else None,
        }
        for (label, ability), rate in before.items()
        if (label, ability) in after
    ]


def _abilities(records: Sequence[dict[str, Any]], model: str) -> dict[tuple[str, str], float]:
    """Rates by reasoner (with its settings) and way of choosing."""
    found: dict[tuple[str, str], float] = {}
    for record in records:
        if record["model"] == model:
            label = record["label"]
            found |= {(label, choice): rate["rate"] for choice, rate in record["rates"].items()}
            if record["valid_steps"] is not None:
                found[label, VALID_STEPS] = record["valid_steps"]
    return found

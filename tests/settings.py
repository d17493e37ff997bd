"""Tuning settings for tests: a method by its name, with what a preset would have to say."""

from __future__ import annotations

from typing import Any

from ltf_lite.tuning import Tuning
from ltf_lite.tuning.methods import METHODS


def tuning(method: str = "uft", **told: Any) -> Tuning:
    """The method with these settings, and few steps where nothing is said of them."""
    return METHODS.get(method)(**{"steps": 6, "learning_rate": 5e-3, "eval_every": 6, **told})


def changed(settings: Tuning, **changes: Any) -> Tuning:
    """The same settings but for the changes; a new method keeps what it knows of the old ones."""
    told = {**settings.model_dump(exclude_defaults=True), **changes}
    method = told.pop("method", settings.method)
    known = METHODS.get(method).model_fields
    return tuning(
        method, **{key: value for key, value in told.items() if key in known or key in changes}
    )

"""Runs in a worker: problems of reasoning-gym, and which of its scorers run what they are given."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any


def item(name: str) -> Any:
    from reasoning_gym import create_dataset

    return json.loads(json.dumps(create_dataset(name, size=1, seed=3)[0], default=str))


def running() -> list[str]:
    from reasoning_gym.factory import DATASETS

    runs = re.compile(r"\b(?:eval|exec|parse_expr|sympify)\(")
    return [n for n, (c, _) in DATASETS.items() if runs.search(inspect.getsource(c.score_answer))]

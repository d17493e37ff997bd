"""What the worker process of reasoning-gym does: make entries. It imports the library."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any


def opened(generator: str, config: dict[str, Any], level: int | None) -> int:
    """The count of a generator's settings; raises ValueError for what it has not."""
    return len(vars(_dataset(generator, json.dumps(config), level).config))


def entry(generator: str, config: dict[str, Any], level: int | None, at: int) -> Any:
    """The entry of that number, as JSON can say it."""
    made = _dataset(generator, json.dumps(config), level)[at]
    told = {key: made[key] for key in ("question", "answer", "metadata")}
    return json.loads(json.dumps(told, default=str))


@lru_cache(maxsize=4)
def _dataset(generator: str, config: str, level: int | None) -> Any:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS, create_curriculum, has_curriculum

    if generator not in DATASETS:
        import difflib

        near = difflib.get_close_matches(generator, DATASETS, 1)
        hint = f"did you mean {near[0]}?" if near else "reasoning-gym lists them in its README"
        raise ValueError(f"there is no such generator; {hint}")
    own = json.loads(config)
    if level is not None:
        if not has_curriculum(generator):
            raise ValueError("it has no curriculum: leave level out")
        curriculum = create_curriculum(generator)
        for name in curriculum.attributes:
            most = len(curriculum.get_attribute(name).levels) - 1
            curriculum.set_attr_level(name, min(level, most))
        levels = vars(curriculum.generate_configuration())
        own = {**{key: levels[key] for key in levels if key not in ("seed", "size")}, **own}
    own = {key: tuple(value) if isinstance(value, list) else value for key, value in own.items()}
    return reasoning_gym.create_dataset(generator, **{"seed": 0, "size": 1_000_000, **own})

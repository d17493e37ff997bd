"""What is known of a base: its name on the Hub, its licence, and what its GGUF file holds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from ltf_lite.engines import EngineError, base_ref
from ltf_lite.engines.from_gguf import weights_of
from ltf_lite.engines.llama.check import metadata
from ltf_lite.engines.refs import SMOLLM2, TINY_BASE

# Of the bases that have a name of their own: their name on the Hub, and their licence.
OWN = {
    TINY_BASE: {"licence": "apache-2.0"},
    SMOLLM2: {"base_id": "HuggingFaceTB/SmolLM2-135M-Instruct", "licence": "apache-2.0"},
}
CARD = "README.md"


def told_of(base: str) -> dict[str, Any]:
    """What the card tells of a base, by the names of `CardFacts`; nothing of one that is gone."""
    found: dict[str, Any] = dict(OWN.get(base, {}))
    with suppress(EngineError):
        ref = base_ref(base)
        if ref.kind == "gguf":
            found |= {"file": Path(ref.place).name, "stored": weights_of(ref.place)}
            found.setdefault("licence", metadata(ref.place, "general.license") or "")
        elif ref.kind == "hub":
            found |= {"base_id": ref.place, "licence": _licence_of_cached(ref.place)}
        else:
            found.setdefault("licence", _licence(Path(ref.place) / CARD))
    return found


def named(base: str) -> str:
    """How a card calls a base: one of this machine without the folders that it lies in."""
    with suppress(EngineError):
        ref = base_ref(base)
        if base not in OWN and ref.kind in ("folder", "gguf"):
            return Path(ref.place).name
    return base


def _licence_of_cached(name: str) -> str:
    """The licence of a model on the Hub, as far as its card is in the cache here."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, CARD)
    return _licence(Path(file)) if isinstance(file, str) else ""


def _licence(card: Path) -> str:
    """The licence that a model card says in its front matter."""
    try:
        parts = card.read_text(encoding="utf-8").split("---\n", 2)
        told = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else {}
        return str(told.get("license") or "")
    except (OSError, ValueError, yaml.YAMLError, AttributeError):
        return ""

"""A GGUF file as a base: turned once into a model folder, which everything else then uses.

`names` holds the tables, `header` reads what a file says of itself, `config` and `vocabulary` put
it into transformers' words, `weights` writes the tensors, `cache` keeps the folder.
"""

from __future__ import annotations

from ltf_lite.engines.from_gguf.cache import at_hand, folder_of
from ltf_lite.engines.from_gguf.config import config_of, weights_of

__all__ = ["at_hand", "config_of", "folder_of", "weights_of"]

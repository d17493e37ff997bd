"""`python -m tests.benchmarks.gguf_fuzz [COUNT] [SEED]`: broken GGUF files, opened and asked.

Each of them must be answered or refused in one sentence; none may end this process. It prints what
became of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ltf_lite.engines import EngineError, Sampling
from ltf_lite.engines.llama.engine import LlamaCppEngine
from tests import tiny_gguf

KINDS = ("llama", "qwen3", "gemma3", "jamba", "mamba2", "lfm2")
ODD: list[Any] = [0, 1, 3, 7, 63, 65, 1000, 2**31 - 1, 2**32 - 1, -1.0, float("nan"), 1e30, ""]
Rng = np.random.Generator


def bytes_changed(file: Path, rng: Rng, begin: float, end: float) -> None:
    """A few bytes of a part of the file, at random; most of the parts' ends are shares of it."""
    content = bytearray(file.read_bytes())
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(int(begin * len(content)), max(int(end * len(content)), 30)))
        content[at] = int(rng.choice([0, 1, 255, rng.integers(256)]))
    file.write_bytes(content)


def words_changed(file: Path, rng: Rng) -> None:
    """One 32-bit number of the header's end, where the tensors are told of."""
    content = bytearray(file.read_bytes())
    names = [at for at in range(len(content)) if content[at : at + 4] == b"blk."]
    at = int(rng.choice(names)) + 4 * int(rng.integers(0, 16))
    content[at : at + 4] = int(rng.choice([0, 1, 2, 14, 42, 2**31, 2**32 - 1])).to_bytes(
        4, "little"
    )
    file.write_bytes(content)


def header(folder: Path, kind: str, rng: Rng) -> None:
    bytes_changed(tiny_gguf.tiny(folder, kind), rng, 0, 0)


def anywhere(folder: Path, kind: str, rng: Rng) -> None:
    bytes_changed(tiny_gguf.tiny(folder, kind), rng, 0, 0.1)


def tensors(folder: Path, kind: str, rng: Rng) -> None:
    words_changed(tiny_gguf.tiny(folder, kind), rng)


def metadata(folder: Path, kind: str, rng: Rng) -> None:
    """A key that has another value, or is not there."""
    told = tiny_gguf.KINDS[kind]
    key = str(rng.choice(list(told)))
    value = ODD[int(rng.integers(len(ODD)))] if rng.random() < 0.8 else None
    tiny_gguf.tiny(folder, kind, **{f"{kind}.{key}": value})


def vocabulary(folder: Path, kind: str, rng: Rng) -> None:
    """Tokens twice, empty or missing; ids that no token has; a tokenizer of another kind."""
    known = tiny_gguf.vocabulary()
    tokens = list(known["tokenizer.ggml.tokens"])
    one, other = (int(at) for at in rng.integers(len(tokens), size=2))
    changes: list[dict[str, Any]] = [
        {"tokens": [*tokens[:one], tokens[other], *tokens[one + 1 :]]},
        {"tokens": [*tokens[:one], "", *tokens[one + 1 :]]},
        {"tokens": tokens[:one]},
        {"tokens": None},
        {"model": str(rng.choice(["llama", "bert", "t5", "rwkv", "no_vocab", "plamo2", "none"]))},
        {"model": "llama", "scores": [float(at) for at in range(len(tokens))]},
        {"pre": rng.choice([None, "default", "deepseek-llm", "gpt-4o", "tekken"])},
        {"eos_token_id": int(rng.choice([one, len(tokens), 2**32 - 1]))},
        {"bos_token_id": int(rng.choice([one, len(tokens), 2**32 - 1]))},
        {"token_type": [int(kind) for kind in rng.integers(0, 9, len(tokens))]},
        {"token_type": [1] * one},
        {"merges": None},
        {"merges": ["a b c", "", "x"]},
    ]
    chosen = changes[int(rng.integers(len(changes)))]
    tiny_gguf.tiny(folder, kind, **{f"tokenizer.ggml.{key}": v for key, v in chosen.items()})


WAYS: tuple[Callable[[Path, str, Rng], None], ...] = (
    header,
    anywhere,
    tensors,
    metadata,
    vocabulary,
    vocabulary,
)


def tried(file: Path) -> str:
    """What became of a file: `answered`, or the sentence."""
    try:
        engine = LlamaCppEngine(file)
    except EngineError as error:
        return str(error)
    try:
        engine.generate(["1 + 2", "naïve 日本 🙂"], Sampling(n=2, temperature=1.0, max_tokens=8))
        engine.score(["1 + 2"], [" = 3"])
    except EngineError as error:
        return str(error)
    finally:
        engine.close()
    return "answered"


def main(count: int = 300, seed: int = 0) -> None:
    found: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place:
        for at in range(count):
            rng = np.random.default_rng([seed, at])
            way, kind = WAYS[at % len(WAYS)], KINDS[int(rng.integers(len(KINDS)))]
            folder = Path(place) / str(at)
            folder.mkdir()
            way(folder, kind, rng)
            (file,) = folder.iterdir()
            began = time.perf_counter()
            said = tried(file)
            slowest = max(slowest, time.perf_counter() - began)
            assert "\n" not in said, said
            print(f"{at} {way.__name__} {kind}: {said.replace(str(file), 'FILE')}", flush=True)
            found[way.__name__, "answered" if said == "answered" else "refused"] += 1
            file.unlink()
    print(dict(found), f"slowest {slowest:.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

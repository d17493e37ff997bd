"""How far a quantized GGUF file's next tokens lie from those of the file it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from math import sqrt
from pathlib import Path

import numpy as np

from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.evaluation.success import Z95
from ltf_lite.export.errors import ExportError
from ltf_lite.export.gguf.types import Divergence

POSITIONS = 64  # whose logits are held at once: 37 MiB a file at 151,936 tokens


def divergence(
    reference: str | Path, quantized: str | Path, texts: Sequence[tuple[str, str]]
) -> Divergence:
    """KL(reference || quantized) in nats a token, over (prompt, completion) texts.

    Compared is what both files expect after the prompt and after each token of the completion,
    tokenized apart as in training. Texts longer than the context are left out. Raises EngineError,
    and ExportError where no text fits.
    """
    rows = []
    with ExitStack() as stack:
        files = [
            stack.enter_context(closing(LlamaContext(file, None, None, False, 1)))
            for file in (reference, quantized)
        ]
        dialect = files[0].dialect()
        heads = files[0].asked([prompt for prompt, _ in texts], dialect)
        for head, (_, completion) in zip(heads, texts, strict=True):
            tail = files[0].encode(completion, False)
            if head and len(head) + len(tail) <= files[0].context:
                rows.append(_text(files, head, tail))
    if not rows:
        raise ExportError(f"none of {len(texts)} texts fits the context of {str(reference)!r}")
    return _summary(rows)


def kl(wanted: np.ndarray, found: np.ndarray) -> float:
    """KL divergence of two distributions given as logits (vocabulary,), nats."""
    p, q = (_log_softmax(logits.astype(np.float64)) for logits in (wanted, found))
    return max(0.0, float((np.exp(p) * (p - q)).sum()))  # rounding can leave -1e-17


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum())


def _text(files: list[LlamaContext], head: list[int], tail: list[int]) -> tuple[np.ndarray, int]:
    """KL at each position of one text, and at how many both find the same token likeliest."""
    found, same = [], 0
    for wanted, given in zip(*(_logits(file, head, tail) for file in files), strict=True):
        found += [kl(p, q) for p, q in zip(wanted, given, strict=True)]
        same += int((wanted.argmax(1) == given.argmax(1)).sum())
    return np.array(found), same


def _logits(file: LlamaContext, head: list[int], tail: list[int]) -> Iterator[np.ndarray]:
    """Logits (a few positions, vocabulary) after the prompt and each token of the completion."""
    yield file.decode(file.begin(0, head))
    file.hold(0, head)  # prompts share a beginning, which is then computed once
    entries = [(token, at, 0, True) for at, token in enumerate(tail, len(head))]
    for at in range(0, len(entries), POSITIONS):
        yield file.decode(entries[at : at + POSITIONS])
    file.drop(0)


def _summary(rows: list[tuple[np.ndarray, int]]) -> Divergence:
    """The figures of texts; positions of one text depend on each other, so texts are what counts.

    The interval is that of a ratio of sums over texts, normal approximation.
    """
    sums = np.array([found.sum() for found, _ in rows])
    sizes = np.array([len(found) for found, _ in rows])
    n, tokens = len(rows), int(sizes.sum())
    mean = float(sums.sum() / tokens)
    half = None
    if n > 1:
        half = Z95 * sqrt(float(((sums - mean * sizes) ** 2).sum()) * n / (n - 1)) / tokens
    return Divergence(
        mean=mean,
        low=None if half is None else max(0.0, mean - half),
        high=None if half is None else mean + half,
        max=max(float(found.max()) for found, _ in rows),
        same_top=sum(same for _, same in rows) / tokens,
        n=n,
        tokens=tokens,
    )

"""How much memory tuning takes at its peak, from the base's shape and the settings alone.

The bytes a token are those of transformers' Qwen2 and Qwen3 under peft; tests/test_memory.py
holds them to a step whose every tensor is counted. unsloth's kernels take less.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from ltf_lite.tuning.settings import AT_ONCE, LOGITS, SHORT, Tuning
from ltf_lite.tuning.shapes import Shape

BLOCK, NESTED = 64, 256  # weights under one NF4 scale, scales under one scale of theirs
TABLES = 4 * (16 + 256 + 1)  # of each quantized tensor: both code books and the scales' mean
ADAPTER = 16  # bytes a parameter, fp32: weight, gradient, AdamW's two moments
CONTEXT = 768 * 2**20  # CUDA's context, the libraries' kernels and workspaces
PROCESS = 1408 * 2**20  # on the CPU: Python with its libraries, and the examples to learn from
FRAGMENTS = 0.1  # of what comes and goes at every step, lost between the allocator's blocks


class Estimate(NamedTuple):
    """The peak with a micro-batch in so many pieces: bytes by what they hold, and their sum."""

    pieces: int
    successes: int
    failures: int
    parts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def estimate(shape: Shape, tuning: Tuning, in_4bit: bool, cuda: bool, pieces: int = 1) -> Estimate:
    """The peak of tuning on a card or on the CPU, every row being `max_length` tokens long."""
    good, bad, again = rows(tuning, pieces)
    tokens = (good + bad + again) * tuning.max_length
    weights, adapter = base_bytes(shape, in_4bit, cuda), ADAPTER * adapter_size(shape, tuning)
    kept = tokens * shape.layers * (2 * shape.hidden if cuda else _kept_on_cpu(shape, tuning))
    moment = max(_layer(shape, tuning, in_4bit, cuda, tokens), _loss(shape, tuning, cuda, tokens))
    reserve = (CONTEXT if cuda else PROCESS) + round(FRAGMENTS * (kept + moment))
    parts = {
        "base weights": weights,
        "adapter, gradients, AdamW": adapter,
        "activations kept": kept,
        "one layer or the loss": moment,
        "libraries and fragments": reserve,
    }
    return Estimate(pieces, good, bad, parts)


def estimates(shape: Shape, tuning: Tuning, in_4bit: bool, cuda: bool) -> list[Estimate]:
    """A micro-batch in one piece, two, four, …, as training cuts it when a card's memory runs out.

    The last has one row of each side at most. On the CPU nobody says that memory ran out: pieces
    are small from the start, and stay as they are.
    """
    if not cuda:
        pieces = ceil(sum(rows(tuning)) * tuning.max_length / AT_ONCE)
        return [estimate(shape, tuning, in_4bit, cuda, pieces)]
    found = [estimate(shape, tuning, in_4bit, cuda)]
    while max(found[-1].successes, found[-1].failures) > 1:
        found.append(estimate(shape, tuning, in_4bit, cuda, found[-1].pieces * 2))
    return found


def rows(tuning: Tuning, pieces: int = 1) -> tuple[int, int, int]:
    """(successes, failures, replay) of the largest piece of a micro-batch, as `Batches` cuts it."""
    good = tuning.batch * tuning.accumulation
    parts = tuning.accumulation * pieces
    sides = good, tuning.failures(good), tuning.replayed(good)
    return ceil(sides[0] / parts), ceil(sides[1] / parts), ceil(sides[2] / parts)


def base_bytes(shape: Shape, in_4bit: bool, cuda: bool) -> int:
    """The frozen weights: NF4 with double quantization, or 16 bits on a card and 32 on the CPU.

    Embeddings, head and norms are never quantized.
    """
    width = 2 if cuda else 4
    sizes = [a * b for a, b in shape.linear.values()]
    layer = sum(map(nf4_bytes, sizes)) if in_4bit else width * sum(sizes)
    tables = (1 if shape.tied else 2) * shape.vocabulary * shape.hidden
    norms = (2 * shape.layers + 1) * shape.hidden
    return shape.layers * layer + width * (tables + norms)


def nf4_bytes(size: int) -> int:
    """A tensor of `size` weights in NF4: 4 bits each, 8 a block, 32 a block of blocks (4.127)."""
    blocks = ceil(size / BLOCK)
    return ceil(size / 2) + blocks + 4 * ceil(blocks / NESTED) + TABLES


def adapter_size(shape: Shape, tuning: Tuning) -> int:
    """Parameters of the adapter."""
    wide = sum(sum(shape.linear[name]) for name in tuning.targets)
    return shape.layers * tuning.rank * wide


def _kept_on_cpu(shape: Shape, tuning: Tuning) -> int:
    """Bytes a token and layer: everything that the backward pass will want, in fp32.

    In 16 bits it is about half. Over short lines attention keeps its scores.
    """
    heads = 12 if shape.head_norms else 8
    return (
        16 * shape.hidden
        + heads * (shape.queries + shape.keys)
        + 16 * shape.intermediate
        + 4 * tuning.rank * len(tuning.targets)
        + (4 * shape.heads * tuning.max_length if tuning.max_length <= SHORT else 0)
    )


def _layer(shape: Shape, tuning: Tuning, in_4bit: bool, cuda: bool, tokens: int) -> int:
    """What the backward pass of one layer adds; on a card the layer is computed once more."""
    weight = _dequantized(shape, cuda) if in_4bit else 0
    if not cuda:
        return tokens * (12 * shape.hidden + 8 * shape.intermediate) + weight
    # peft takes a 16-bit layer's input to fp32 and back, a 4-bit layer's not.
    wide, heads, middle = (18, 8, 12) if in_4bit else (32, 10, 14)
    own = 4 * (shape.queries + shape.keys) if shape.head_norms else 0
    # `heads` counts keys and values as wide as queries: some kernels repeat them for their group.
    return weight + tokens * (
        wide * shape.hidden
        + heads * shape.queries
        + own
        + middle * shape.intermediate
        + 2 * tuning.rank * len(tuning.targets)
    )


def _dequantized(shape: Shape, cuda: bool) -> int:
    """The largest linear layer's weight and its scales, while it is multiplied by."""
    size = max(a * b for a, b in shape.linear.values())
    return (2 if cuda else 4) * size + 8 * ceil(size / BLOCK)


def _loss(shape: Shape, tuning: Tuning, cuda: bool, tokens: int) -> int:
    """Hidden states and their slopes; a chunk's logits, the same in fp32, and log p."""
    logits = min(LOGITS, tokens * shape.vocabulary)
    casts = 2 * adapter_size(shape, tuning) if cuda else 0  # the adapter in 16 bits, for autocast
    return 12 * tokens * shape.hidden + 10 * logits + casts

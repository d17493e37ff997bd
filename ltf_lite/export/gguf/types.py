"""The records of an export: how well its GGUF files agree with the model that was tuned."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltf_lite.evaluation.types import Rate


@dataclass(frozen=True)
class TokenDifference:
    """A text and its token ids under transformers and under the GGUF file."""

    text: str
    transformers: list[int]
    llamacpp: list[int]


@dataclass(frozen=True)
class TokenParity:
    """On how many of `n` texts the two tokenizers disagree, and the first `examples`."""

    n: int
    mismatches: int
    examples: list[TokenDifference] = field(default_factory=list)


@dataclass(frozen=True)
class AnswerDifference:
    """Where a greedy answer is not what transformers would write.

    `at` counts the answer's tokens. Each side's next token follows, none where that side stops.
    `margin` says by how many logits transformers prefers its own, None where one side stops.
    """

    prompt: str
    at: int
    transformers: list[int]
    llamacpp: list[int]
    margin: float | None


@dataclass(frozen=True)
class GreedyParity:
    """How many of `n` greedy answers are equal in `bits` of precision.

    `ties` are answers that differ only where transformers prefers its own token by less than `tie`
    logits; `tie` is None where no difference is excused.
    """

    n: int
    equal: int
    ties: int
    tie: float | None
    bits: int
    first_differences: list[AnswerDifference] = field(default_factory=list)

    @property
    def differing(self) -> int:
        return self.n - self.equal - self.ties


@dataclass(frozen=True)
class SuccessParity:
    """The single pass of a GGUF file; `torch` is the torch model's rate, `points` the difference.

    `points` are percentage points, positive where the file solves more.
    """

    rate: Rate
    torch: float
    points: float


@dataclass(frozen=True)
class Divergence:
    """KL divergence of a quantized file from f16, nats a token, at `tokens` places of `n` texts.

    `low` and `high` are the 95 % interval of the mean over texts, None for a single text.
    `same_top` is the share of places whose likeliest token is the same.
    """

    mean: float
    low: float | None
    high: float | None
    max: float
    same_top: float
    n: int
    tokens: int


@dataclass(frozen=True)
class FileFacts:
    """The size of a GGUF file, and which share of its weights is stored in which type."""

    bytes: int
    types: dict[str, float]


@dataclass(frozen=True)
class Parity:
    """What an export measured of its files, by kind of file; it has passed with no `failures`.

    `coarse` says of which quantized files too much success is lost: the others can be used.
    """

    tokens: TokenParity
    greedy: GreedyParity
    success: dict[str, SuccessParity]
    divergence: dict[str, Divergence]
    files: dict[str, FileFacts]
    passed: bool
    failures: list[str]
    coarse: list[str] = field(default_factory=list)


def judged(
    tokens: TokenParity,
    greedy: GreedyParity,
    success: dict[str, SuccessParity],
    divergence: dict[str, Divergence],
    files: dict[str, FileFacts],
    points: float,
) -> Parity:
    """The verdict on these figures; a file may solve `points` percentage points less."""
    failures = []
    if tokens.mismatches:
        failures.append(f"{tokens.mismatches} of {tokens.n} texts get other tokens")
    if greedy.differing:
        failures.append(f"{greedy.differing} of {greedy.n} greedy answers differ")
    coarse = [
        f"the {kind} file solves {-found.points:.1f} points less than the tuned model, and "
        f"export.success_points allows {points:g}: take another file"
        for kind, found in success.items()
        if found.points < -points
    ]
    return Parity(tokens, greedy, success, divergence, files, not failures, failures, coarse)

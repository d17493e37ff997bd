"""What a tuning run may be told, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

LOGITS = 2**24  # that a loss holds at once: 64 MiB in fp32
AT_ONCE = 1024  # tokens a piece on the CPU: twice as many are as fast and take twice the memory


class TuningError(RuntimeError):
    """A tuning run that cannot start or go on, with a sentence for the user."""


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter on the linear layers `targets`: W + (alpha / rank) · B A."""

    rank: int = 32
    alpha: int = 64
    dropout: float = 0.0
    targets: tuple[str, ...] = LINEAR


@dataclass(frozen=True)
class TuneSettings:
    """One tuning run.

    `method` names the loss; `alpha` weighs forgetting against learning (0 is SFT and draws no
    failures); `beta`, `gamma` and `nll_weight` are other methods' (`beta` None is the customary
    one). `batch` successes and round(batch · ratio) failures go through one forward pass,
    `accumulation` of them make one step; `warmup` is in steps; `floor` is the last rate as a share
    of `learning_rate`; `max_length` is in tokens, longer examples are dropped; `threads` 0 leaves
    torch's own choice.
    """

    method: str = "uft"
    steps: int = 1000
    batch: int = 32
    ratio: float = 1.0
    alpha: float = 1e-4
    beta: float | None = None
    gamma: float = 1.0
    nll_weight: float = 1.0
    learning_rate: float = 2e-4
    warmup: int = 50
    floor: float = 0.1
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    rank: int = 32
    lora_alpha: int = 64
    dropout: float = 0.0
    targets: tuple[str, ...] = LINEAR
    load_in_4bit: bool = False
    accumulation: int = 1
    max_length: int = 512
    eval_every: int = 200
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "rank", "lora_alpha", "accumulation", "eval_every"):
            if getattr(self, name) < 1:
                raise TuningError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("ratio", "warmup", "weight_decay", "threads", "seed"):
            if getattr(self, name) < 0:
                raise TuningError(f"{name} must not be negative, but is {getattr(self, name)}")
        for name in ("alpha", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TuningError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if not 0 <= self.floor <= 1:
            raise TuningError(f"floor must be in [0, 1], not {self.floor}")
        if self.learning_rate <= 0:
            raise TuningError(f"learning_rate must be positive, not {self.learning_rate}")
        if self.max_length < 2:
            raise TuningError(f"max_length must be at least 2, not {self.max_length}")

"""What every tuning run may be told: the settings that all methods share."""

from __future__ import annotations

from abc import abstractmethod
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from ltf_lite.core.errors import LtfError
from ltf_lite.core.plugins import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from ltf_lite.tuning.parts import Parts

Linear = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Decay = Annotated[float, Field(ge=0, lt=1)]  # of a running mean
Tracker = Literal["trackio", "mlflow", "wandb", "tensorboard"]
Credit = Literal["whole", "fatal_step", "decision", "pivot"]
BESIDE = ("report_to", "devices")  # settings that decide nothing of what is tuned
LINEAR: tuple[str, ...] = get_args(Linear)
WEIGHED = "J = (1 - alpha) · learning + alpha · forgetting"

LOGITS = 2**24  # that a loss holds at once: 64 MiB in fp32
SHORT = 512  # tokens of a line, up to which a CPU attends by plain multiplications
AT_ONCE = 1024  # tokens a piece on the CPU: twice as many are as fast and take twice the memory


class TuningError(LtfError, RuntimeError):
    """A tuning run that cannot start or go on."""


class Tuning(Plugin):
    """A method with its settings: LoRA, and what becomes smaller.

    A method is a subclass in a file of its own under `methods/`: its own settings, `forgetting`,
    and `weights`. `batch` successes and as many failures as `failures(batch)` says go through one
    forward pass, `accumulation` of them make one step; `warmup` is in steps; `floor` is the last
    rate as a share of `learning_rate`; `max_length` is in tokens, longer examples are dropped;
    `seed` draws the adapter's first weights and the order (the preset's where it is None);
    `targets` are the linear layers that get an adapter. `replay` is the share r of a step's rows
    that are what the base said while it searched, and the weight of the KL from the base there:
    r · KL(base || tuned) + (1 - r) · J. `start` is the folder of an adapter of the same base and
    settings, to go on from. `report_to` are trackers that are told of losses and validations, and
    `devices` share every step, a process each; they change nothing that is tuned but rounding.
    """

    # A sentence for the model card, and what a method asks for: pairs of a success and a failure
    # of the same problem, the failures' NLL under the base.
    sentence: ClassVar[str] = ""
    pairs: ClassVar[bool] = False
    reference: ClassVar[bool] = False
    by_token: ClassVar[bool] = False  # forgetting is a mean over the tokens to forget

    method: str
    steps: int = Field(gt=0)
    batch: int = Field(32, gt=0)
    accumulation: int = Field(1, gt=0)
    learning_rate: float = Field(gt=0, lt=1)
    warmup: int = Field(50, ge=0)
    floor: float = Field(0.02, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    rank: int = Field(32, gt=0)
    lora_alpha: float = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[Linear, ...] = Field(get_args(Linear), min_length=1)
    max_length: int = Field(512, gt=8)
    replay: float = Field(0.0, ge=0, le=0.9)
    start: str | None = None
    eval_every: int = Field(gt=0)
    seed: int | None = Field(None, ge=0)
    report_to: tuple[Tracker, ...] = ()
    devices: int = Field(1, gt=0, le=64)

    @model_validator(mode="after")
    def _can_be_shared(self) -> Tuning:
        if self.batch < self.devices:
            raise ValueError(f"a batch of {self.batch} cannot be shared by {self.devices} devices")
        return self

    @abstractmethod
    def forgetting(self, parts: Parts) -> Tensor:
        """The loss of a micro-batch beside `learning`."""

    @abstractmethod
    def weights(self) -> tuple[float, float]:
        """The weights of learning and of forgetting in J."""

    def token_weight(self, learn: int, forget: int) -> float:
        """A forgotten token's weight in J beside a learnt one's, of so many; 0 if there is none."""
        learning, forgetting = self.weights()
        return forgetting * learn / (learning * forget) if self.by_token and forget else 0.0

    def failures(self, successes: int) -> int:
        """How many failures go with so many successes."""
        return 0

    def replayed(self, successes: int) -> int:
        """How many rows of replay go with so many successes and their failures."""
        rows = successes + self.failures(successes)
        return ceil(rows * self.replay / (1 - self.replay))

    @property
    def credited(self) -> Credit:
        """How much of a failed path is forgotten."""
        return "whole"

    def own(self) -> dict[str, Any]:
        """The settings that only this method has, for the model card."""
        return {k: v for k, v in self if k not in Tuning.model_fields}


class Weighted(Tuning):
    """A method of J = (1 - alpha) · learning + alpha · forgetting, over unpaired failures.

    `credit` says how much of a failed path is forgotten: the `whole`, from the `fatal_step` on,
    only its `decision`, or only its `pivot`, the token after which nothing right is left; `ratio`
    is failures beside each success.
    """

    alpha: float = Field(1e-4, ge=0, lt=1)
    credit: Credit = "whole"
    ratio: float = Field(1.0, ge=0, le=16)

    def weights(self) -> tuple[float, float]:
        return 1 - self.alpha, self.alpha

    def failures(self, successes: int) -> int:
        return round(successes * self.ratio) if self.alpha else 0

    @property
    def credited(self) -> Credit:
        return self.credit

"""The preset's schema: every section and setting of a run, with its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSection(Section):
    """The task and its settings; numbers and ranges are inclusive."""

    name: str
    count: int | None = None
    numbers: tuple[int, int] | None = None
    targets: tuple[int, int] | None = None
    max_intermediate: int | None = None
    draw: Literal["uniform", "walk"] | None = None
    ranked: str | None = None
    test_ranks: tuple[int, int] | None = None

    def settings(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name"}, exclude_none=True)


class ModelSection(Section):
    """The base: `tiny-base`, a directory or a hub name."""

    base: str
    load_in_4bit: bool = False


class ProblemsSection(Section):
    """How many problems each split has."""

    train: int = Field(gt=0)
    validation: int = Field(gt=0)
    test: int = Field(gt=0)


class Budget(Section):
    """The most tokens that a reasoner may generate a problem."""

    tokens: int = Field(gt=0)


class ReasonerSection(Section):
    """A reasoner and its settings; `problems` limits it to the first so many."""

    name: str
    problems: int | None = Field(None, gt=0)

    def settings(self) -> dict[str, Any]:
        """What the reasoner is made with."""
        own = self.model_dump(exclude={"name", "problems"}, exclude_none=True)
        return {k: v["tokens"] if k == "budget" else v for k, v in own.items()}

    @property
    def single_pass(self) -> bool:
        """Whether this is one greedy chain of thought, as long as it likes."""
        return False

    @property
    def label(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.settings().items())])


class CotSection(ReasonerSection):
    name: Literal["cot"]
    n: int | None = Field(None, gt=0, le=1024)
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    budget: Budget | None = None

    @model_validator(mode="after")
    def _samples_differ(self) -> CotSection:
        if (self.n or 1) > 1 and not self.temperature:
            raise ValueError("cot with n above 1 needs a temperature above 0")
        return self

    @property
    def single_pass(self) -> bool:
        return (self.n or 1) == 1 and not self.temperature and self.budget is None


class TreeSection(ReasonerSection):
    """What tree of thoughts and RAP share."""

    expand: Literal["propose", "sample"] | None = None
    samples: int | None = Field(None, gt=0, le=256)
    votes: int | None = Field(None, gt=0, le=256)
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    transitions: Literal["checked", "faithful"] | None = None
    oracle: bool | None = None
    budget: Budget | None = None


class TotSection(TreeSection):
    name: Literal["tot"]
    order: Literal["breadth", "depth"] | None = None
    beam: int | None = Field(None, gt=0, le=1024)
    value: Literal["prompt", "logprob", "rollout"] | None = None
    threshold: float | None = Field(None, ge=0, le=1)
    expansions: int | None = Field(None, gt=0)


class RapSection(TreeSection):
    name: Literal["rap"]
    iterations: int | None = Field(None, gt=0)
    exploration: float | None = Field(None, ge=0)
    likelihood: float | None = Field(None, ge=0, le=1)
    depth: int | None = Field(None, gt=0)


class ExactSection(ReasonerSection):
    name: Literal["bfs", "dfs"]
    paths: int | None = Field(None, ge=0)
    failures: int | None = Field(None, ge=0)


class RandomSection(ReasonerSection):
    name: Literal["random"]


AnyReasoner = Annotated[
    CotSection | TotSection | RapSection | ExactSection | RandomSection,
    Field(discriminator="name"),
]


class TorchSection(Section):
    """The base itself, in process."""

    name: Literal["torch"] = "torch"


class LlamaCppSection(Section):
    """A GGUF file of the base, through llama.cpp."""

    name: Literal["llamacpp"]
    file: str


class ServerSection(Section):
    """An OpenAI-compatible completions endpoint that serves the base."""

    name: Literal["server"]
    url: str
    model: str | None = None
    concurrency: int = Field(32, gt=0, le=1024)


AnyEngine = Annotated[TorchSection | LlamaCppSection | ServerSection, Field(discriminator="name")]


class HarvestSection(Section):
    """Which harvested paths are trained on: at most so many a problem and side."""

    successes_per_problem: int = Field(4, gt=0)
    failures_per_problem: int = Field(4, ge=0)


Method = Literal["sft", "uft", "gradient_ascent", "npo", "simpo", "cpo_simpo"]
Linear = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# The settings that only some methods know; what one does not know is refused, not ignored.
METHOD_SETTINGS: dict[str, tuple[str, ...]] = {
    "sft": (),
    "uft": ("alpha", "credit", "ratio"),
    "gradient_ascent": ("alpha", "credit", "ratio"),
    "npo": ("alpha", "credit", "ratio", "beta"),
    "simpo": ("beta", "gamma"),
    "cpo_simpo": ("beta", "gamma", "nll_weight"),
}


class TuningSection(Section):
    """LoRA, and what becomes smaller: by default J = (1 - alpha) · learning + alpha · forgetting.

    `method` names the loss, `seed` draws the adapter's first weights and the order (the preset's
    seed where it is not given), `targets` are the linear layers that get an adapter.
    """

    method: Method = "uft"
    alpha: float = Field(1e-4, ge=0, lt=1)
    credit: Literal["whole", "fatal_step", "decision"] = "whole"
    beta: float | None = Field(None, gt=0)
    gamma: float = Field(1.0, ge=0)
    nll_weight: float = Field(1.0, ge=0)
    steps: int = Field(gt=0)
    batch: int = Field(32, gt=0)
    ratio: float = Field(1.0, ge=0, le=16)
    accumulation: int = Field(1, gt=0)
    learning_rate: float = Field(gt=0, lt=1)
    warmup: int = Field(50, ge=0)
    floor: float = Field(0.02, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    rank: int = Field(32, gt=0)
    lora_alpha: float = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[Linear, ...] = Field(get_args(Linear), min_length=1)
    max_length: int = Field(512, gt=8)
    eval_every: int = Field(gt=0)
    seed: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _knows_its_settings(self) -> TuningSection:
        for name in sorted(set(foreign(self.method)) & self.model_fields_set):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"the method {self.method} knows no {name}: leave it out")
        return self


def foreign(method: str) -> list[str]:
    """The settings of other methods that this one does not know."""
    every = {name for names in METHOD_SETTINGS.values() for name in names}
    return sorted(every - set(METHOD_SETTINGS[method]))


class ExportSection(Section):
    """The GGUF files besides f16, and how parity is judged."""

    quantizations: tuple[Literal["q8_0", "q6_k", "q5_k_m", "q4_k_m"], ...] = ("q8_0",)
    greedy_problems: int = Field(50, gt=0)
    success_points: float = Field(2.0, gt=0)


class Preset(Section):
    """A whole run; every random choice comes from `seed`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    about: str = ""
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, gt=0)
    task: TaskSection
    model: ModelSection
    problems: ProblemsSection
    engine: AnyEngine = TorchSection()
    search: tuple[AnyReasoner, ...] = Field(min_length=1)
    harvest: HarvestSection = HarvestSection()
    tuning: TuningSection
    evaluation: tuple[AnyReasoner, ...] = Field(min_length=1)
    export: ExportSection = ExportSection()

    @field_validator("evaluation")
    @classmethod
    def _has_single_pass(cls, sections: tuple[AnyReasoner, ...]) -> tuple[AnyReasoner, ...]:
        if not any(section.single_pass for section in sections):
            raise ValueError("a run is judged by its single pass: add {name: cot, n: 1}")
        return sections
